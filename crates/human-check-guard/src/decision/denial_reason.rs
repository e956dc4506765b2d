use std::time::Duration;

use crate::Text;

/// Why a request does not reach its handler.
///
/// The client learns no more than this. The log holds the exact reason, for example that the token
/// was expired. See docs/reference/refusal-responses.md for the response of each.
///
/// ```
/// use human_check_guard::DenialReason;
///
/// let denial = DenialReason::ChallengeRequired;
/// assert_eq!((denial.status(), denial.as_str()), (403, "challenge-required"));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DenialReason {
    /// The request has no token, and the route demands one. Status 403.
    ///
    /// A token of a provider that the guard does not accept counts as no token.
    ChallengeRequired,
    /// What arrived cannot be a token, or there are several tokens that contradict each other.
    /// Status 400.
    InvalidToken,
    /// The token does not prove a human: it is invalid, expired, used, of another site, or against
    /// a rule of the policy. Status 403.
    VerificationFailed,
    /// The token was used before, and another request sent it at the same time as this one. The
    /// other request got the verdict. Status 409.
    ///
    /// A double click on a form causes it. Only a request that overlaps with another one gets this
    /// response; a token that is sent again later is [`VerificationFailed`](Self::VerificationFailed).
    AlreadySubmitted,
    /// The check could not reach a verdict, for example because the provider is down. Status 503.
    Unavailable {
        /// The time after which the client may try again, if the provider requested one or the
        /// circuit breaker is open. The response states 1 to 3600 seconds.
        retry_after: Option<Duration>,
        /// Whether the token may be used up. If `false`, the client can send the same token again.
        token_used: bool,
        /// Whether the client should send the same request again within seconds: the server is
        /// finding out whether the provider is down, and then shows another challenge or verifies
        /// the token.
        retry: bool,
    },
    /// The configuration is wrong, for example a secret. Status 500.
    Misconfigured,
    /// The body is larger than the limit of the guard. Status 413.
    BodyTooLarge,
    /// The large bodies that the guard holds for all clients together have too many bytes, so this
    /// one was not read to its end. Status 503.
    TooManyUploads,
    /// The body did not arrive within the guard's timeout. Status 408, and the connection is
    /// closed.
    BodyTooSlow,
}

impl DenialReason {
    /// Returns the name of the reason, for logs and metric labels. It is also the fragment of the
    /// problem's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChallengeRequired => "challenge-required",
            Self::InvalidToken => "invalid-token",
            Self::VerificationFailed => "verification-failed",
            Self::Unavailable { .. } => "verification-unavailable",
            Self::Misconfigured => "misconfigured",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyTooSlow => "body-too-slow",
            Self::AlreadySubmitted => "already-submitted",
            Self::TooManyUploads => "too-many-uploads",
        }
    }

    /// Returns the HTTP status of the response.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidToken => 400,
            Self::ChallengeRequired | Self::VerificationFailed => 403,
            Self::BodyTooSlow => 408,
            Self::AlreadySubmitted => 409,
            Self::BodyTooLarge => 413,
            Self::Misconfigured => 500,
            Self::TooManyUploads | Self::Unavailable { .. } => 503,
        }
    }

    /// Returns the text of the problem's `title`.
    pub fn title(self) -> Text {
        match self {
            Self::ChallengeRequired => Text::ChallengeRequiredTitle,
            Self::InvalidToken => Text::InvalidTokenTitle,
            Self::VerificationFailed => Text::VerificationFailedTitle,
            Self::Unavailable { .. } => Text::VerificationUnavailableTitle,
            Self::Misconfigured => Text::MisconfiguredTitle,
            Self::BodyTooLarge => Text::BodyTooLargeTitle,
            Self::BodyTooSlow => Text::BodyTooSlowTitle,
            Self::AlreadySubmitted => Text::AlreadySubmittedTitle,
            Self::TooManyUploads => Text::TooManyUploadsTitle,
        }
    }

    /// Returns the text of the problem's `detail`, which says what the visitor can do.
    pub fn detail(self) -> Text {
        match self {
            Self::ChallengeRequired | Self::InvalidToken | Self::VerificationFailed => {
                Text::ChallengeDetail
            }
            Self::Unavailable { .. } => Text::VerificationUnavailableDetail,
            Self::Misconfigured => Text::MisconfiguredDetail,
            Self::BodyTooLarge => Text::BodyTooLargeDetail,
            Self::BodyTooSlow => Text::BodyTooSlowDetail,
            Self::AlreadySubmitted => Text::AlreadySubmittedDetail,
            Self::TooManyUploads => Text::TooManyUploadsDetail,
        }
    }

    /// Returns whether a new challenge may help, so that the page should show one.
    pub(crate) fn wants_challenge(self) -> bool {
        matches!(
            self,
            Self::ChallengeRequired | Self::InvalidToken | Self::VerificationFailed
        )
    }
}
