//! The names of headers and of their parameters.

/// Whether a byte may stand in a header or parameter name (RFC 9110, `tchar`).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
