//! The kinds of tokens, which their prefixes tell. See docs/providers/captchala.md#token-kinds.

use human_check_core::{Reason, Refusal};

/// Whether tokens of the provider's backup service are verified.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum OfflineTokens {
    /// The backup service verifies them.
    Accepted,
    /// They are refused without a call.
    #[default]
    Refused,
}

/// Decides by the prefix whether a token is verified, and refuses it when its kind proves nothing.
///
/// The visitor chooses the prefix, so a prefix leads to a call or to a refusal and to no other
/// result. That the quota is exhausted is said by the provider's reply alone.
///
/// # Errors
///
/// The [`Refusal`] of a kind that is not verified.
pub(crate) fn screen(token: &str, offline: OfflineTokens) -> Result<(), Refusal> {
    match TokenKind::of(token) {
        TokenKind::Degraded | TokenKind::Pass => Ok(()),
        TokenKind::Offline if offline == OfflineTokens::Accepted => Ok(()),
        TokenKind::Offline | TokenKind::Unverifiable => {
            Err(Refusal::new(Reason::UnverifiableToken))
        }
    }
}

/// The kind of a token. Prefixes are compared exactly, with case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenKind {
    /// `dg_`: made by the service while the quota is exhausted.
    Degraded,
    /// `offline_`: made by the backup service.
    Offline,
    /// `pt_`: made by the service after a challenge.
    Pass,
    /// Any other prefix: a visitor can type such a token.
    Unverifiable,
}

impl TokenKind {
    /// Returns the kind of a token.
    pub(crate) fn of(token: &str) -> Self {
        match token.split_once('_') {
            Some(("pt", _)) => Self::Pass,
            Some(("dg", _)) => Self::Degraded,
            Some(("offline", _)) => Self::Offline,
            _ => Self::Unverifiable,
        }
    }
}
