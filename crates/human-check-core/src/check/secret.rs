use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::ConfigError;

/// A secret key, API key or private key.
///
/// The text is wiped from memory when the last clone is dropped. The type has neither `Display` nor
/// `Serialize`, and `Debug` prints `[redacted]`. Only [`expose`](Self::expose) returns the text, so
/// a search for that name finds every use.
///
/// ```
/// use human_check_core::Secret;
///
/// let secret = Secret::new("0x4AAAAAAAexample")?;
/// assert_eq!(format!("{secret:?}"), "Secret([redacted])");
/// assert!(Secret::new("  ").is_err());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Creates a secret from one line of text, as the provider's dashboard shows it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the text is empty, or contains white space, control characters or
    /// characters beyond ASCII. Those come from a faulty copy, and some cannot be sent in an HTTP
    /// header.
    pub fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = Zeroizing::new(text.into());
        if text.trim().is_empty() {
            return Err(ConfigError::new(
                "secret",
                "is empty",
                "copy the secret from the provider's dashboard",
            ));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::new(
                "secret",
                "holds white space or characters that are not printable ASCII",
                "copy it again without line breaks, quotes or spaces around it",
            ));
        }
        Ok(Self(Arc::new(text)))
    }

    /// Creates a secret from text of several lines, such as a private key in PEM form.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the text is empty or holds white space only.
    pub fn multiline(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = Zeroizing::new(text.into());
        if text.trim().is_empty() {
            return Err(ConfigError::new(
                "secret",
                "is empty",
                "paste the whole text, from BEGIN to END",
            ));
        }
        Ok(Self(Arc::new(text)))
    }

    /// Returns the text of the secret. Use it in the request to the provider and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Whether the test keys that a provider publishes may prove a human.
///
/// With test keys the provider's verdict does not depend on the visitor, so they are refused by
/// default.
///
/// ```
/// use human_check_core::{Policy, TestKeyPolicy};
///
/// let for_tests = Policy::new().with_test_keys(TestKeyPolicy::Allowed);
/// assert!(!TestKeyPolicy::default().allowed());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TestKeyPolicy {
    /// For tests only: replies to test keys count. [`Facts::test_key`](crate::Facts::test_key)
    /// marks them.
    Allowed,
    /// A test secret is an error when the check is built, and a reply to test keys is refused.
    #[default]
    Refused,
}

impl TestKeyPolicy {
    /// Returns whether test keys are allowed.
    pub fn allowed(self) -> bool {
        self == Self::Allowed
    }
}
