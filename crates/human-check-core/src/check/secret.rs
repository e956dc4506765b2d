use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::ConfigError;

/// A provider's secret key, API key or private key.
///
/// Wiped from memory when the last clone is dropped. It has neither `Display` nor `Serialize`,
/// and `Debug` prints `[redacted]`; [`expose`](Self::expose) is the one way to its text, so a
/// search for that word finds every use.
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
    /// Takes a one-line secret as the provider's dashboard shows it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is empty or blank, or holds white space, control or non-ASCII
    /// characters: those come from a bad copy, and some would break an HTTP header.
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

    /// Takes a secret of several lines, such as a PEM private key.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is empty or blank.
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

    /// The secret itself. Put it where the provider wants it and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// Whether a provider's published testing keys may be used.
///
/// They let everybody in, so they are refused unless a test says otherwise by name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TestKeyPolicy {
    /// For tests only: answers to testing keys count, and are marked as such.
    Allowed,
    /// Testing keys are an error when a check is built, and answers to them are refused.
    #[default]
    Refused,
}

impl TestKeyPolicy {
    /// Whether they are allowed.
    pub fn allowed(self) -> bool {
        self == Self::Allowed
    }
}
