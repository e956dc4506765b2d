use std::borrow::Cow;
use std::fmt;

/// The error of a check, policy or secret that cannot be built from the given settings.
///
/// It names the setting, the problem, and what to write instead. It never contains a secret.
///
/// ```
/// use human_check_core::Secret;
///
/// let error = Secret::new("").unwrap_err();
/// assert_eq!(error.field(), "secret");
/// assert_eq!(
///     error.to_string(),
///     "`secret` is empty; copy the secret from the provider's dashboard"
/// );
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ConfigError {
    field: Cow<'static, str>,
    problem: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

impl ConfigError {
    /// Creates an error for the setting `field`.
    ///
    /// `problem` continues a sentence that begins with the name of the setting, such as "is empty".
    /// `remedy` is an instruction, such as "write a number above zero".
    ///
    /// ```
    /// use human_check_core::ConfigError;
    ///
    /// let error = ConfigError::new("capacity", "is zero", "write a number above zero");
    /// assert_eq!(error.to_string(), "`capacity` is zero; write a number above zero");
    /// ```
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// Sets the name of the setting, for example to the place of its key in a file.
    ///
    /// For a configuration layer, which knows where the setting was written. Problem and remedy
    /// stay.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = field.into();
        self
    }

    /// Sets what to write instead.
    ///
    /// For a layer whose users correct the setting in another way than in code.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Returns the name of the wrong setting, for example `secret` or `hostnames`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Returns what is wrong with the setting.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Returns what to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}; {}", self.field, self.problem, self.remedy)
    }
}

/// Prints the same text as `Display`, because a `main` that returns the error prints its `Debug`
/// form.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
