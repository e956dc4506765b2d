use std::borrow::Cow;
use std::fmt;

/// A check, policy or secret that cannot be built as asked.
///
/// Names the setting, what is wrong with it and what to write instead. Never shows a secret.
#[derive(Clone, Eq, PartialEq)]
pub struct ConfigError {
    field: Cow<'static, str>,
    problem: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

impl ConfigError {
    /// Says that `field` has `problem`, and how to mend it.
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

    /// Replaces the name of the setting, for example by the place of its key in a file.
    ///
    /// What is wrong and what to write instead stay: a configuration layer that knows where a setting
    /// came from puts that in, and nothing else.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = field.into();
        self
    }

    /// Replaces what to write instead, for a layer with other means than the code that failed.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The setting at fault, for example `secret` or `hostnames`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}; {}", self.field, self.problem, self.remedy)
    }
}

/// As `Display`: it is what a `main` prints that returns the error.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
