use crate::random::fraction;
use crate::{CheckError, ErrorKind, Provider, Reason, Submission, Verdict};

/// What a health probe found out about a provider: whether it returns verdicts at all.
///
/// [`HumanCheck::probe_health`](crate::HumanCheck::probe_health) returns it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Health {
    /// The provider says that the junk token is human, so it judges nothing: its testing keys do that,
    /// and so does a server that is not the provider.
    AcceptsJunk,
    /// The provider refused the junk token.
    Up,
    /// The provider refused the junk token for a reason that the adapter does not know.
    UpUnexplained,
    /// The provider could not be reached, did not reply in time, replied with a 5xx, or reported an
    /// outage. The text is the reason of the error, such as `timeout`.
    Down(&'static str),
    /// The result says nothing: the provider limits the rate, declined, or rejected the request; or
    /// no request was sent. The text is the reason.
    Inconclusive(&'static str),
    /// The provider replied that a setting of ours is wrong, such as the secret. The text is the
    /// reason.
    Misconfigured(&'static str),
}

impl Health {
    /// Returns whether the provider returned a verdict, whatever it was.
    pub fn is_up(self) -> bool {
        matches!(self, Self::AcceptsJunk | Self::Up | Self::UpUnexplained)
    }

    /// Returns what the outcome of a check of a junk token says about the provider.
    pub fn of(outcome: &Result<Verdict, CheckError>) -> Self {
        match outcome {
            Ok(Verdict::NotHuman(refusal)) if is_local(refusal.reason()) => {
                Self::Inconclusive(refusal.reason().as_str())
            }
            Ok(Verdict::NotHuman(refusal)) if refusal.reason() == Reason::Other => {
                Self::UpUnexplained
            }
            Ok(Verdict::NotHuman(_)) => Self::Up,
            Ok(Verdict::Human(_)) => Self::AcceptsJunk,
            // The check was not called, so the provider has said nothing.
            Err(error) if error.reason() == "circuit-open" => Self::Inconclusive("circuit-open"),
            Err(error) if error.kind() == ErrorKind::Unavailable => Self::Down(error.reason()),
            Err(error) if error.kind() == ErrorKind::Misconfigured => {
                Self::Misconfigured(error.reason())
            }
            Err(error) => Self::Inconclusive(error.reason()),
        }
    }
}

/// Returns whether a refusal with this reason is made without a call of the provider.
pub(crate) fn is_local(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Malformed | Reason::Missing | Reason::UnverifiableToken
    )
}

/// Returns a submission with a well-formed token that no provider has issued. `prefix` is the text
/// that the provider's tokens begin with.
///
/// For the health probes of adapters.
pub fn junk_submission(provider: &Provider, prefix: &str) -> Submission {
    let random = (fraction() * u64::MAX as f64) as u64;
    let token = format!("{prefix}human-check-health-probe-{random:016x}");
    Submission::new().with_token(provider, token)
}
