//! What a page shows about a decision: advice for the visitor, and the operator's view.

use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use human_check_axum::HumanError;
use human_check_core::Facts;
use human_check_guard::DenialReason;

use crate::headers::Nonce;
use crate::log::{Entry, captured};
use crate::page::ErrorPage;

/// The operator's view of a request: the entry of the log, and the facts. A real site would not
/// show it to visitors.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) status: u16,
    pub(crate) entry: Option<Entry>,
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Operator {
    pub(crate) fn new(status: StatusCode, facts: Option<&Facts>) -> Self {
        Self {
            status: status.as_u16(),
            entry: captured(),
            facts: facts.map(named_facts).unwrap_or_default(),
        }
    }
}

/// Returns the facts as pairs of name and text.
fn named_facts(facts: &Facts) -> Vec<(&'static str, String)> {
    let hostname = facts.hostname.as_ref().map(|host| host.as_str().to_owned());
    let action = facts
        .action
        .as_ref()
        .map(|action| action.as_str().to_owned());
    let score = facts
        .score
        .map(|score| format!("{:.2} (1 = human)", score.human()));
    [("host", hostname), ("action", action), ("score", score)]
        .into_iter()
        .filter_map(|(name, fact)| Some((name, fact?)))
        .collect()
}

/// What a visitor reads after a refusal. It depends on the denial only, and does not reveal the
/// reason.
pub(crate) struct Advice {
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
}

/// Returns the advice for a denial.
pub(crate) fn advice(denial: DenialReason) -> Advice {
    let (title, detail) = match denial {
        DenialReason::ChallengeRequired => (
            "One step is missing",
            "Please complete the check above the button, and send the form again.",
        ),
        DenialReason::InvalidToken | DenialReason::VerificationFailed => (
            "Verification failed",
            "Please complete the check once more, and send the form again. What you typed is still here.",
        ),
        DenialReason::Unavailable { .. } => (
            "Please try again in a moment",
            "The check cannot be completed right now. It is not your fault.",
        ),
        _ => (
            "The site has an error",
            "Please try again later. What you typed is still here.",
        ),
    };
    Advice { title, detail }
}

/// Returns the HTTP status of a denial.
pub(crate) fn status(denial: DenialReason) -> StatusCode {
    StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Creates the page for a body that is not the form. The guard calls no provider for it.
pub(crate) fn malformed_form(nonce: Nonce, rejection: &HumanError<FormRejection>) -> Response {
    let status = match rejection {
        HumanError::Inner(inner) => inner.status(),
        HumanError::Rejected(refused) => status(refused.reason()),
        HumanError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ErrorPage::page(
        status,
        nonce,
        "The form is incomplete or malformed. No provider was called, and the token is still unused.",
    )
}
