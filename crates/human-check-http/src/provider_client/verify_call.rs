use std::fmt;

use human_check_core::{CheckError, Provider, Submission, Verdict};

use crate::Request;

/// When a request may be sent a second time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResendPolicy {
    /// Also when the provider may have acted on the first, because it recognises the second by a key.
    Idempotent,
    /// Only when no byte of the first was sent. Right wherever verifying spends the token.
    Unsent,
}

/// One verification to be asked. `Debug` shows no secrets.
pub struct VerifyCall<'a> {
    /// Who is asked.
    pub provider: &'a Provider,
    /// For whom.
    pub submission: &'a Submission,
    /// What is sent.
    pub request: Request,
    /// Token and secrets: texts that must not come back in codes and details.
    pub secrets: &'a [&'a str],
    /// Whether it may be sent twice.
    pub resend: ResendPolicy,
}

impl fmt::Debug for VerifyCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyCall")
            .field("provider", self.provider)
            .field("submission", self.submission)
            .field("request", &self.request)
            .field("resend", &self.resend)
            .finish_non_exhaustive()
    }
}

/// What came of asking, and how often the provider was asked.
#[derive(Debug)]
pub struct CallOutcome {
    /// The verdict or error.
    pub outcome: Result<Verdict, CheckError>,
    /// How many requests were sent.
    pub attempts: u32,
}
