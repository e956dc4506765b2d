//! What a visitor is told, and what an operator sees of it.

use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::response::Response;
use human_check_axum::HumanError;
use human_check_core::Facts;
use human_check_guard::DenialReason;

use crate::headers::Nonce;
use crate::log::{Entry, captured};
use crate::page::ErrorPage;

/// What stands in the log about a visitor, shown because this is a demo.
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
            facts: facts.map(told).unwrap_or_default(),
        }
    }
}

fn told(facts: &Facts) -> Vec<(&'static str, String)> {
    let hostname = facts.hostname.as_ref().map(|host| host.as_str().to_owned());
    let action = facts
        .action
        .as_ref()
        .map(|action| action.as_str().to_owned());
    let score = facts
        .score
        .map(|score| format!("{:.2} (1 = human)", score.human()));
    [("solved on", hostname), ("for", action), ("score", score)]
        .into_iter()
        .filter_map(|(name, fact)| Some((name, fact?)))
        .collect()
}

/// What a visitor is told: the same for every reason behind one denial.
pub(crate) struct Advice {
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
}

pub(crate) fn advice(denial: DenialReason) -> Advice {
    let (title, detail) = match denial {
        DenialReason::ChallengeRequired => (
            "One step is missing",
            "Please complete the check above the button, and send the form again.",
        ),
        DenialReason::InvalidToken | DenialReason::VerificationFailed => (
            "We could not let you in",
            "Please complete the check once more, and send the form again. What you typed is still here.",
        ),
        DenialReason::Unavailable { .. } => (
            "Please try again in a moment",
            "The check cannot be completed right now. It is not your fault.",
        ),
        _ => (
            "Something is wrong on our side",
            "Please try again later. What you typed is still here.",
        ),
    };
    Advice { title, detail }
}

pub(crate) fn status(denial: DenialReason) -> StatusCode {
    StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A body that is no such form. Nobody was asked about it.
pub(crate) fn unread(nonce: Nonce, rejection: &HumanError<FormRejection>) -> Response {
    let status = match rejection {
        HumanError::Inner(inner) => inner.status(),
        HumanError::Rejected(refused) => status(refused.reason()),
        HumanError::NoBody => StatusCode::METHOD_NOT_ALLOWED,
    };
    ErrorPage::page(
        status,
        nonce,
        "The form did not arrive as it should, so nobody was asked and no token is spent.",
    )
}
