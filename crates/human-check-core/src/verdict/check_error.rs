use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::Provider;

/// The error of a check that could not reach a verdict.
///
/// It is never a refusal: that is a [`Verdict`](crate::Verdict). [`kind`](Self::kind) says what the
/// caller may do next. The message contains no URL, no token and no secret.
///
/// ```
/// use human_check_core::{CheckError, ErrorKind, Provider};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let error = CheckError::new(ErrorKind::Unavailable, &ACME, "timeout");
/// assert_eq!(error.to_string(), "acme is unavailable (timeout)");
/// assert!(error.token_may_be_used());
/// ```
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

/// Why a check could not reach a verdict. There are six kinds.
///
/// The kind decides what the code around the check may do:
///
/// | kind | fail over to another provider | let the request through (fail open) | HTTP status |
/// | --- | --- | --- | --- |
/// | `Unavailable` | yes | if the route fails open | 503 |
/// | `Declined` | if opted in | if the route opts in by a setting of its own | 503 |
/// | `RateLimited` | if opted in | never | 503 |
/// | `StoreUnavailable` | never | if the route opts in by a setting of its own | 503 |
/// | `Protocol` | never | never | 503 |
/// | `Misconfigured` | never; alert the operator | never | 500 |
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The provider, or a limit in front of it, declined to verify: a quota is exhausted, too many
    /// checks are in flight, the token is degraded. It is not an outage, because an attacker can
    /// exhaust a quota.
    Declined,
    /// The secret, a key, the project, the endpoint or the login of the replay store in the
    /// configuration is wrong.
    Misconfigured,
    /// The provider sent an invalid reply. A visitor may have provoked it with an unusual token.
    Protocol,
    /// The provider replied that it received too many requests, HTTP 429. It is not an outage,
    /// because a client can cause it with many tokens.
    RateLimited,
    /// The provider vouched for the visitor, but the replay store could not tell whether the token
    /// was used before. A route that fails open on it may let a replay through.
    StoreUnavailable,
    /// The provider could not be reached, did not reply in time, or reported an outage.
    Unavailable,
}

impl ErrorKind {
    /// Returns the kind that permits less, for a combinator whose checks all failed.
    pub(crate) fn more_severe(self, other: Self) -> Self {
        let rank = |kind| match kind {
            Self::Unavailable => 0,
            Self::RateLimited => 1,
            Self::Declined => 2,
            Self::StoreUnavailable => 3,
            Self::Protocol => 4,
            Self::Misconfigured => 5,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }

    /// Returns a short name for logs and metric labels, such as `unavailable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Misconfigured => "misconfigured",
            Self::Protocol => "protocol",
            Self::RateLimited => "rate-limited",
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
    /// Creates an error of `kind` about `provider`. Until set otherwise, the token may be used.
    ///
    /// `reason` is a short name from a fixed set, in the style of `rate-limited`. It may become a
    /// metric label.
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

    /// Sets the provider's own codes. Default none.
    #[must_use]
    pub fn with_codes(mut self, codes: Vec<String>) -> Self {
        self.0.codes = codes;
        self
    }

    /// Sets how long to wait before the next call, such as the provider's `Retry-After`. Default
    /// none.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Sets that the provider did not receive the token, so the visitor can submit it again.
    #[must_use]
    pub fn with_token_unused(mut self) -> Self {
        self.0.token_may_be_used = false;
        self
    }

    /// Sets that the provider may have received the token. This is the default.
    #[must_use]
    pub fn with_token_used(mut self) -> Self {
        self.0.token_may_be_used = true;
        self
    }

    /// Sets `kind` if it permits less than the present kind; see [`ErrorKind::more_severe`].
    pub(crate) fn escalated_to(mut self, kind: ErrorKind) -> Self {
        self.0.kind = self.0.kind.more_severe(kind);
        self
    }

    /// Sets the cause. Its text must not contain a URL, a token or a secret. Default none.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns which of the six kinds of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the provider that the error is about.
    pub fn provider(&self) -> &Provider {
        &self.0.provider
    }

    /// Returns what happened, as a short name from a fixed set, such as `timeout`.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// Returns the provider's own codes. A provider may add codes at any time.
    pub fn codes(&self) -> &[String] {
        &self.0.codes
    }

    /// Returns how long to wait before the next call, if the provider or a combinator states it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns whether the token may be used up, so that the visitor needs a new one.
    pub fn token_may_be_used(&self) -> bool {
        self.0.token_may_be_used
    }

    /// Returns whether the operator must act, because the configuration is wrong.
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
            ErrorKind::Declined => write!(f, "{provider} declined to verify ({reason})"),
            ErrorKind::Misconfigured => {
                write!(f, "the configuration of {provider} is wrong ({reason})")
            }
            ErrorKind::Protocol => write!(f, "{provider} sent an invalid reply ({reason})"),
            ErrorKind::RateLimited => write!(f, "{provider} limits the rate ({reason})"),
            ErrorKind::Unavailable => write!(f, "{provider} is unavailable ({reason})"),
            ErrorKind::StoreUnavailable => write!(
                f,
                "the replay store could not claim the token of {provider} ({reason})"
            ),
        }
    }
}

impl Error for CheckError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
