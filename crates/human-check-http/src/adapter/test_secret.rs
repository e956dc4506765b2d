use human_check_core::{ConfigError, Secret, TestKeyPolicy};

/// What the error of [`refuse_test_secret`] says to write instead, in the terms of code. A configuration
/// layer puts its own terms in the place of this text.
pub const TEST_SECRET_REMEDY: &str =
    "use the secret of your own site, or the constructor `for_testing` in a test";

/// Refuses a secret that a provider has published for tests, unless test keys are allowed: with it the
/// provider's verdict does not depend on the visitor.
///
/// # Errors
///
/// [`ConfigError`] on the field `secret`.
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
