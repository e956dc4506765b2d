//! The characters of header names and of their parameters.

/// Returns whether `byte` may be part of a header name or parameter name (RFC 9110, `tchar`).
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
