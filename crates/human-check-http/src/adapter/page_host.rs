use human_check_core::Hostname;

/// Reads the host of a page from the page's URL or origin.
///
/// Returns `None` if `url` is not the `http` or `https` URL of a page, or states a user beside the
/// host. The host must be written as in [`Hostname`]: other readers of URLs repair more, and a
/// repaired host may be another one than the visitor saw.
///
/// ```
/// use human_check_http::adapter::page_host;
///
/// assert_eq!(page_host("https://www.example.com/login?x").unwrap().as_str(), "www.example.com");
/// assert!(page_host("https://www.example.com@other.example/").is_none());
/// ```
pub fn page_host(url: &str) -> Option<Hostname> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))?;
    Hostname::parse(rest.split(['/', '?', '#']).next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_plain_url_is_read() {
        for url in [
            "https://www.example.com",
            "http://www.example.com/",
            "https://WWW.example.com:8443/login",
            "https://www.example.com?next=https://other.example/",
            "https://www.example.com#@other.example",
        ] {
            let host = page_host(url);
            assert_eq!(host.unwrap().as_str(), "www.example.com", "{url}");
        }
        for url in [
            "",
            "www.example.com",
            "//www.example.com/",
            "https://",
            "https:///www.example.com/",
            "https:/www.example.com/",
            "https:\\\\www.example.com\\",
            "https://www.example.com\\.other.example/",
            "https://user@www.example.com/",
            "https://other.example:x@www.example.com/",
            "https://www.exam\tple.com/",
            "https://www.exam\nple.com/",
            " https://www.example.com/",
            "https://www%2eexample.com/",
            "ftp://www.example.com/",
            "javascript://www.example.com/",
            "blob:https://www.example.com/",
        ] {
            assert_eq!(page_host(url), None, "{url:?}");
        }
    }
}
