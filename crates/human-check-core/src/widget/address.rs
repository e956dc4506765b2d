//! The address of a script.

/// Scheme and authority of an address, and the rest of it.
pub(super) fn split_origin(url: &str) -> Option<(&str, &str)> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme))?;
    let end = url[scheme.len()..].find('/');
    Some(url.split_at(end.map_or(url.len(), |end| scheme.len() + end)))
}

/// The origin as a policy writes it. Paths are on the page's own.
pub(super) fn origin(url: &str) -> &str {
    match split_origin(url) {
        Some((origin, _)) => origin,
        None if url.starts_with('/') => "'self'",
        None => url,
    }
}

pub(super) fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}
