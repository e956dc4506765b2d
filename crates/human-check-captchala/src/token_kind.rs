//! What a token is, by its prefix.

use human_check_core::{CheckError, ErrorKind, Reason, Refusal};

use crate::CAPTCHALA;

/// Whether tokens of the provider's backup service are asked about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum OfflineTokens {
    /// They are.
    Accepted,
    /// They are refused.
    #[default]
    Refused,
}

/// Decides by its prefix whether a token may be asked about: `Ok(None)` when it may.
///
/// # Errors
///
/// `Declined` for a token that was handed out because the quota is spent.
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

/// Section 5. Prefixes are exact and case counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TokenKind {
    Degraded,
    Offline,
    Pass,
    Unverifiable,
}

impl TokenKind {
    pub(crate) fn of(token: &str) -> Self {
        match token.split_once('_') {
            Some(("pt", _)) => Self::Pass,
            Some(("dg", _)) => Self::Degraded,
            Some(("offline", _)) => Self::Offline,
            _ => Self::Unverifiable,
        }
    }
}
