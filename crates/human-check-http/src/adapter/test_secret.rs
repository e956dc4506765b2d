use human_check_core::{ConfigError, Secret, TestKeyPolicy};

/// The remedy in the error of [`refuse_test_secret`], for users who set the secret in code.
///
/// A configuration layer replaces it with a remedy for its own users; see
/// [`ConfigError::with_remedy`].
pub const TEST_SECRET_REMEDY: &str = "use the keys of your own site; a test can allow test keys with `ProviderClient::with_test_keys`";

/// Checks that `secret` is not one of the test secrets that a provider has `published`.
///
/// With a test secret the provider's verdict does not depend on the visitor. With
/// [`TestKeyPolicy::Allowed`] every secret is accepted. The constructor of an adapter calls it.
///
/// ```
/// use human_check_core::{Secret, TestKeyPolicy};
/// use human_check_http::adapter::refuse_test_secret;
///
/// let secret = Secret::new("acme-always-passes")?;
/// let error = refuse_test_secret(&secret, &["acme-always-passes"], TestKeyPolicy::Refused);
/// assert_eq!(error.unwrap_err().field(), "secret");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// # Errors
///
/// [`ConfigError`] for the field `secret`.
pub fn refuse_test_secret(
    secret: &Secret,
    published: &[&str],
    policy: TestKeyPolicy,
) -> Result<(), ConfigError> {
    if !policy.allowed() && published.contains(&secret.expose()) {
        return Err(ConfigError::new(
            "secret",
            "is a published test secret, with which a verdict does not depend on the visitor",
            TEST_SECRET_REMEDY,
        ));
    }
    Ok(())
}
