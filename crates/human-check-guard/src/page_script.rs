//! The routes of the page script, without a framework.

use crate::page::{DIGEST, FILES};
use crate::{GuardResponse, RequestHead};

/// Returns the response to a request for a file of the page script. `None` if no file has this name.
///
/// The files are `human-check`, and `requests` and `widgets`, which it loads when it needs them.
///
/// | `file_name` | response |
/// | --- | --- |
/// | with the present digest, such as [`page_script_file_name`](crate::page_script_file_name) | the file, which caches keep for a year |
/// | `human-check.js`, and the other two | the file, which caches ask for again each time; for pages that do not know the digest |
/// | with another digest | the same as without one, because another machine may have another version |
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
    let stem = file_name.strip_suffix(".js")?;
    let (text, digest) = FILES.iter().find_map(|(name, text)| {
        let rest = stem.strip_prefix(name)?;
        let digest = rest.strip_prefix('-').filter(|digest| is_digest(digest));
        (rest.is_empty() || digest.is_some()).then_some((*text, digest))
    })?;
    let is_present = digest == Some(DIGEST.as_str());
    // The files that it loads have the same digest, or none as well.
    let tag = match is_present {
        true => format!("\"{}\"", *DIGEST),
        false => format!("\"{}-plain\"", *DIGEST),
    };
    let mut is_unchanged = false;
    head.header("if-none-match", &mut |line| {
        let mut tags = std::str::from_utf8(line).unwrap_or_default().split(',');
        is_unchanged |= tags.any(|known| {
            let known = known.trim();
            known == "*" || known.trim_start_matches("W/") == tag
        });
    });
    let keeps = match is_present {
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
            // A page of another origin needs it for a module. The script is the same for all.
            ("access-control-allow-origin", "*".into()),
        ],
        body: match (is_unchanged, is_present) {
            (true, _) => String::new(),
            (false, true) => with_digest(text),
            (false, false) => text.to_owned(),
        },
    })
}

/// Returns the text of a file that loads the other files by their names with the digest.
fn with_digest(text: &str) -> String {
    FILES.iter().fold(text.to_owned(), |text, (name, _)| {
        let import = |file: &str| format!("import(\"./{file}.js\")");
        text.replace(&import(name), &import(&format!("{name}-{}", *DIGEST)))
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::page_script_file_name;

    const SOURCE: &str = FILES[0].1;

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
        assert_eq!(kept.status, 200);
        for (name, text) in FILES {
            let file =
                page_script_response(&Head(None), &format!("{name}-{}.js", *DIGEST)).unwrap();
            assert!(
                header(&file, "cache-control").contains("immutable"),
                "{name}"
            );
            assert!(!file.body.contains("import(\"./widgets.js\")"), "{name}");
            let plain = page_script_response(&Head(None), &format!("{name}.js")).unwrap();
            assert_eq!(plain.body, text, "{name}");
        }
        assert!(
            kept.body
                .contains(&format!("import(\"./widgets-{}.js\")", *DIGEST))
        );
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
            "other.js",
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
