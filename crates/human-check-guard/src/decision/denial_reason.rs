use std::time::Duration;

/// Why a request does not reach its handler.
///
/// The visitor learns no more than this: what exactly failed is for the log.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DenialReason {
    /// No token arrived, and this route wants one. 403.
    ChallengeRequired,
    /// What arrived is no token, or several that contradict. 400.
    InvalidToken,
    /// The token does not prove a human: bad, expired, used, foreign, or against a rule. 403.
    VerificationFailed,
    /// Nobody could tell. 503.
    Unavailable {
        /// How long the provider asked to be left alone.
        retry_after: Option<Duration>,
        /// Whether the token may be used up. If not, the same one can be sent again.
        token_used: bool,
    },
    /// Our own setup is wrong. 500.
    Misconfigured,
    /// The body is larger than the guard reads. 413.
    BodyTooLarge,
    /// The body did not arrive in time. 408, and the connection is closed.
    BodyTooSlow,
}

impl DenialReason {
    /// The last part of the problem's type, also fit for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChallengeRequired => "challenge-required",
            Self::InvalidToken => "invalid-token",
            Self::VerificationFailed => "verification-failed",
            Self::Unavailable { .. } => "verification-unavailable",
            Self::Misconfigured => "misconfigured",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyTooSlow => "body-too-slow",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidToken => 400,
            Self::ChallengeRequired | Self::VerificationFailed => 403,
            Self::BodyTooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::Misconfigured => 500,
            Self::Unavailable { .. } => 503,
        }
    }

    /// The problem's title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ChallengeRequired => "Verification required",
            Self::InvalidToken => "Verification not understood",
            Self::VerificationFailed => "Verification failed",
            Self::Unavailable { .. } => "Verification unavailable",
            Self::Misconfigured => "Internal error",
            Self::BodyTooLarge => "Request too large",
            Self::BodyTooSlow => "Request too slow",
        }
    }

    /// What the visitor can do.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::ChallengeRequired | Self::InvalidToken | Self::VerificationFailed => {
                "Please complete the verification and try again."
            }
            Self::Unavailable { .. } => {
                "The verification cannot be completed right now. Please try again in a moment."
            }
            Self::Misconfigured => "Something is wrong on our side. Please try again later.",
            Self::BodyTooLarge => "Please send less at once.",
            Self::BodyTooSlow => "Please try again.",
        }
    }

    /// Whether a new challenge may help, so that a page should show one.
    pub(crate) fn wants_challenge(self) -> bool {
        matches!(
            self,
            Self::ChallengeRequired | Self::InvalidToken | Self::VerificationFailed
        )
    }
}
