//! The routes of the page script, without a framework.

use crate::page::{DIGEST, SOURCE};
use crate::{GuardResponse, RequestHead, page_script_file_name};

/// Returns the response to a request for a file of the page script. `None` if no file has this name.
///
/// | `file_name` | response |
/// | --- | --- |
/// | [`page_script_file_name`] | the script, which caches keep for a year |
/// | `human-check.js` | the script, which caches ask for again each time; for pages that do not know the name |
/// | `human-check-` and another digest | the same as for `human-check.js`, because another machine may have another version |
///
/// ```
/// use human_check_guard::{RequestHead, page_script_response};
///
/// fn serve(head: &dyn RequestHead, file_name: &str) -> (u16, String) {
///     match page_script_response(head, file_name) {
///         Some(response) => (response.status, response.body),
///         None => (404, String::new()),
///     }
/// }
/// ```
pub fn page_script_response(head: &dyn RequestHead, file_name: &str) -> Option<GuardResponse> {
    let is_digest = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_known = file_name == "human-check.js"
        || file_name
            .strip_prefix("human-check-")
            .and_then(|rest| rest.strip_suffix(".js"))
            .is_some_and(is_digest);
    if !is_known {
        return None;
    }
    let tag = format!("\"{}\"", *DIGEST);
    let mut is_unchanged = false;
    head.header("if-none-match", &mut |line| {
        let tags = std::str::from_utf8(line).unwrap_or_default().split(',');
        is_unchanged |= tags
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|known| known == tag);
    });
    let keeps = match file_name == page_script_file_name() {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    Some(GuardResponse {
        status: if is_unchanged { 304 } else { 200 },
        headers: vec![
            ("content-type", "text/javascript; charset=utf-8".into()),
            ("cache-control", keeps.into()),
            ("etag", tag.into()),
            ("x-content-type-options", "nosniff".into()),
        ],
        body: match is_unchanged {
            true => String::new(),
            false => SOURCE.to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    struct Head(Option<String>);

    impl RequestHead for Head {
        fn method(&self) -> &str {
            "GET"
        }

        fn peer(&self) -> Option<IpAddr> {
            None
        }

        fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
            if let Some(tags) = &self.0 {
                line("If-None-Match", tags.as_bytes());
            }
        }
    }

    fn header(response: &GuardResponse, name: &str) -> String {
        let mut headers = response.headers.iter();
        let found = headers.find(|(known, _)| *known == name);
        found.unwrap().1.clone().into_owned()
    }

    #[test]
    fn the_name_with_the_digest_is_kept_and_other_names_are_asked_for_again() {
        let kept = page_script_response(&Head(None), page_script_file_name()).unwrap();
        assert_eq!((kept.status, &*kept.body), (200, SOURCE));
        assert!(header(&kept, "cache-control").contains("immutable"));
        for name in ["human-check.js", "human-check-0123456789abcdef.js"] {
            let response = page_script_response(&Head(None), name).unwrap();
            assert_eq!((response.status, &*response.body), (200, SOURCE), "{name}");
            assert_eq!(header(&response, "cache-control"), "no-cache", "{name}");
        }
        for name in [
            "",
            "options",
            "human-check",
            "human-check-1.js",
            "../human-check.js",
        ] {
            assert_eq!(page_script_response(&Head(None), name), None, "{name}");
        }
    }

    #[test]
    fn a_script_that_the_browser_has_is_not_sent_again() {
        let first = page_script_response(&Head(None), "human-check.js").unwrap();
        let tags = format!("\"other\", W/{}", header(&first, "etag"));
        let again = page_script_response(&Head(Some(tags)), "human-check.js").unwrap();
        assert_eq!((again.status, &*again.body), (304, ""));
        let other =
            page_script_response(&Head(Some("\"other\"".into())), "human-check.js").unwrap();
        assert_eq!(other.status, 200);
    }
}
