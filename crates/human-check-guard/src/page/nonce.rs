use human_check_core::ConfigError;

/// A nonce as the grammar of policies has it, which is also safe inside an attribute.
pub(super) fn checked_nonce(nonce: &str) -> Result<String, ConfigError> {
    let value = nonce.trim_end_matches('=');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+/-_".contains(&b);
    if value.is_empty() || nonce.len() - value.len() > 2 || !value.bytes().all(fits) {
        // It is not shown: whoever knows it may run scripts.
        return Err(ConfigError::new(
            "nonce",
            "is not base64 or base64url",
            "draw 16 random bytes for each response and encode them",
        ));
    }
    Ok(nonce.to_owned())
}
