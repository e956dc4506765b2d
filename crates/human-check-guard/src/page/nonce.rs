use human_check_core::ConfigError;

/// Returns the nonce if it is valid in a content security policy (base64 or base64url). Such a text
/// is also safe inside of an HTML attribute.
///
/// # Errors
///
/// [`ConfigError`] on `nonce` for any other text.
pub(super) fn checked_nonce(nonce: &str) -> Result<String, ConfigError> {
    let value = nonce.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+/-_".contains(&b);
    if value.is_empty() || nonce.len() - value.len() > 2 || !value.bytes().all(fits) {
        // The error does not show the nonce: with it, injected scripts could run.
        return Err(ConfigError::new(
            "nonce",
            "is not base64 or base64url",
            "draw 16 random bytes for each response and encode them",
        ));
    }
    Ok(nonce.to_owned())
}
