use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::Provider;

/// Nobody could tell whether the visitor is human.
///
/// Never a refusal: a visitor who was refused is a [`Verdict`](crate::Verdict). What to do with it
/// depends on [`kind`](Self::kind). The message names no URL, no token and no secret.
#[derive(Debug)]
pub struct CheckError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    provider: Provider,
    reason: &'static str,
    codes: Vec<String>,
    retry_after: Option<Duration>,
    token_may_be_used: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why nobody could tell.
///
/// What the code around a check may do with each:
///
/// | kind | ask another provider? | let the visitor in? | over HTTP |
/// | --- | --- | --- | --- |
/// | `Unavailable` | yes | if the route says so | 503 |
/// | `Declined` | yes | only by a choice of its own | 503 |
/// | `Misconfigured` | never, alarm | never | 500 |
/// | `Protocol` | never | never | 503 |
/// | `StoreUnavailable` | never | only by a choice of its own | 503 |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The provider answered but would not judge: quota spent, degraded token. An attacker can
    /// burn a quota, so this is not an outage.
    Declined,
    /// Our secret, key, project or endpoint is wrong.
    Misconfigured,
    /// The answer made no sense. A visitor may have provoked it with an odd token.
    Protocol,
    /// The provider said yes, but the store of spent tokens could not say whether this token was
    /// used before. Whoever is let in then may be a replay.
    StoreUnavailable,
    /// The provider could not be reached, did not answer in time, or said that it is in trouble.
    Unavailable,
}

impl ErrorKind {
    /// The one of two that gives a route less reason to open. When several were asked in vain,
    /// this is what it comes to.
    pub(crate) fn more_severe(self, other: Self) -> Self {
        let rank = |kind| match kind {
            Self::Unavailable => 0,
            Self::Declined => 1,
            Self::StoreUnavailable => 2,
            Self::Protocol => 3,
            Self::Misconfigured => 4,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }

    /// A short name, fit for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Misconfigured => "misconfigured",
            Self::Protocol => "protocol",
            Self::Unavailable => "unavailable",
            Self::StoreUnavailable => "store-unavailable",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CheckError {
    /// An error of `kind` about `provider`.
    ///
    /// `reason` is a short name of a fixed set in the style of `rate-limited`; it may become a metric label.
    pub fn new(kind: ErrorKind, provider: &Provider, reason: &'static str) -> Self {
        Self(Box::new(Inner {
            kind,
            provider: provider.clone(),
            reason,
            codes: Vec::new(),
            retry_after: None,
            token_may_be_used: true,
            source: None,
        }))
    }

    /// The same with the provider's own codes.
    #[must_use]
    pub fn with_codes(mut self, codes: Vec<String>) -> Self {
        self.0.codes = codes;
        self
    }

    /// The same with how long the provider asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// The same with the knowledge that the provider never saw the token.
    #[must_use]
    pub fn with_token_unused(mut self) -> Self {
        self.0.token_may_be_used = false;
        self
    }

    /// The same with the knowledge that the provider may have seen the token, which is what is
    /// assumed at first.
    #[must_use]
    pub fn with_token_used(mut self) -> Self {
        self.0.token_may_be_used = true;
        self
    }

    /// The same, but of the other kind if that gives less reason to open.
    pub(crate) fn escalated_to(mut self, kind: ErrorKind) -> Self {
        self.0.kind = self.0.kind.more_severe(kind);
        self
    }

    /// The same with what caused it. The cause must not show a URL, a token or a secret.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Which of the four ways it failed.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Which provider it is about.
    pub fn provider(&self) -> &Provider {
        &self.0.provider
    }

    /// What happened, as a short name of a fixed set.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The provider's own codes. An open set.
    pub fn codes(&self) -> &[String] {
        &self.0.codes
    }

    /// How long the provider asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the token may be used up, so that the visitor needs a new one.
    pub fn token_may_be_used(&self) -> bool {
        self.0.token_may_be_used
    }

    /// Whether the site's owner must act: our configuration is wrong.
    pub fn is_alert(&self) -> bool {
        self.0.kind == ErrorKind::Misconfigured
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            provider, reason, ..
        } = &*self.0;
        match self.0.kind {
            ErrorKind::Declined => write!(f, "{provider} would not judge ({reason})"),
            ErrorKind::Misconfigured => {
                write!(f, "{provider} rejects our configuration ({reason})")
            }
            ErrorKind::Protocol => write!(
                f,
                "{provider} gave an answer that makes no sense ({reason})"
            ),
            ErrorKind::Unavailable => write!(f, "{provider} could not be asked ({reason})"),
            ErrorKind::StoreUnavailable => write!(
                f,
                "a token of {provider} could not be claimed as used ({reason})"
            ),
        }
    }
}

impl Error for CheckError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
