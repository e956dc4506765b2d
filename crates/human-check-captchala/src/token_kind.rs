//! The kinds of tokens, which their prefixes tell. See docs/providers/captchala.md#token-kinds.

use human_check_core::{CheckError, ErrorKind, Reason, Refusal};

use crate::CAPTCHALA;

/// Whether tokens of the provider's backup service are verified.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum OfflineTokens {
    /// The backup service verifies them.
    Accepted,
    /// They are refused without a call.
    #[default]
    Refused,
}

/// Decides by the prefix whether a token is verified. Returns `Ok(None)` when it is, and a refusal
/// when its kind proves nothing.
///
/// # Errors
///
/// `Declined` for a token that the provider made while the quota is exhausted.
pub(crate) fn screen(token: &str, offline: OfflineTokens) -> Result<Option<Refusal>, CheckError> {
    match TokenKind::of(token) {
        TokenKind::Pass => Ok(None),
        TokenKind::Offline if offline == OfflineTokens::Accepted => Ok(None),
        TokenKind::Degraded => {
            Err(CheckError::new(ErrorKind::Declined, &CAPTCHALA, "quota").with_token_unused())
        }
        TokenKind::Offline | TokenKind::Unverifiable => {
            Ok(Some(Refusal::new(Reason::UnverifiableToken)))
        }
    }
}

/// The kind of a token. Prefixes are compared exactly, with case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenKind {
    /// `dg_`: made while the quota is exhausted.
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
