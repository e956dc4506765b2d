//! Parts of the URL of a script.

/// Splits an absolute URL into its origin (scheme and authority) and the rest. `None` for a path.
pub(super) fn split_origin(url: &str) -> Option<(&str, &str)> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme))?;
    let end = url[scheme.len()..].find('/');
    Some(url.split_at(end.map_or(url.len(), |end| scheme.len() + end)))
}

/// Returns the origin of a URL as a content security policy writes it. A path is `'self'`.
pub(super) fn origin(url: &str) -> &str {
    match split_origin(url) {
        Some((origin, _)) => origin,
        None if url.starts_with('/') => "'self'",
        None => url,
    }
}

/// Appends `text` to `into`, with every character encoded that is not unreserved in a URL.
pub(super) fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}
