//! A sign-up form behind the vendor of choice.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use human_check_axum::{Guarded, Rejection};
use human_check_core::Facts;
use human_check_guard::{Denial, Html, Page, Refused, Visitor};
use serde::Deserialize;

use crate::headers::Nonce;
use crate::lineup::Contender;
use crate::log::{Entry, witnessed};
use crate::page::{Frame, PAGES, Trouble, show};
use crate::site::{App, Door};

/// What somebody signs up with, and the answer to the challenge beside it.
///
/// An application takes a `HumanForm<Signup>` and never sees the answer. The demo sees it, to send it
/// a second time for whoever wants to watch that fail.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Posted {
    name: String,
    email: String,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

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
            entry: witnessed(),
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

pub(crate) fn advice(denial: Denial) -> Advice {
    let (title, detail) = match denial {
        Denial::ChallengeRequired => (
            "One step is missing",
            "Please complete the check above the button, and send the form again.",
        ),
        Denial::InvalidToken | Denial::VerificationFailed => (
            "We could not let you in",
            "Please complete the check once more, and send the form again. What you typed is still here.",
        ),
        Denial::Unavailable { .. } => (
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

#[derive(Template)]
#[template(path = "signup.html")]
struct Shown {
    frame: Frame,
    here: Contender,
    widget: Html,
    /// Why there is no widget.
    missing: Option<String>,
    name: String,
    email: String,
    refused: Option<(Advice, Operator)>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    frame: Frame,
    here: Contender,
    posted: Posted,
    operator: Operator,
    /// Field and answer, to be sent again.
    again: Option<(String, String)>,
}

/// Which vendor to meet.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Choice {
    provider: Option<String>,
}

/// `GET /?provider=…`
pub(crate) async fn page(
    State(app): State<App>,
    Query(choice): Query<Choice>,
    Extension(nonce): Extension<Nonce>,
) -> Response {
    let contender = match &choice.provider {
        None => app.usual().next(),
        Some(name) => Contender::named(name),
    };
    match contender.and_then(|contender| app.door(contender)) {
        Some(door) => form(StatusCode::OK, &app, nonce, door, Posted::default(), None),
        None => Trouble::page(
            StatusCode::NOT_FOUND,
            nonce,
            "The demo has no vendor of that name.",
        ),
    }
}

/// The form, and what the guard makes of whoever sent it.
type Checked = Guarded<Form<Posted>, Result<Visitor, Refused>>;

/// `POST /signup/{provider}`
pub(crate) async fn submit(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Extension(contender): Extension<Contender>,
    checked: Result<Checked, Rejection<FormRejection>>,
) -> Response {
    let (Form(posted), checked) = match checked {
        Ok(checked) => checked.into_parts(),
        Err(rejection) => return unread(nonce, &rejection),
    };
    match (checked, app.door(contender)) {
        (Ok(visitor), _) => {
            let facts = visitor.human().map(|human| human.facts());
            let operator = Operator::new(StatusCode::OK, facts);
            let field = contender.field();
            let answer = posted.rest.get(field).cloned();
            let welcome = Welcome {
                frame: Frame::new("You are in", "/", nonce),
                here: contender,
                again: answer.map(|answer| (field.to_owned(), answer)),
                posted,
                operator,
            };
            show(StatusCode::OK, &welcome, &[])
        }
        (Err(refused), Some(door)) => {
            let denial = refused.denial();
            let status = status(denial);
            let refused = (advice(denial), Operator::new(status, None));
            form(status, &app, nonce, door, posted, Some(refused))
        }
        (Err(refused), None) => human_check_axum::respond(refused),
    }
}

pub(crate) fn status(denial: Denial) -> StatusCode {
    StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A body that is no such form. Nobody was asked about it.
pub(crate) fn unread(nonce: Nonce, rejection: &Rejection<FormRejection>) -> Response {
    let status = match rejection {
        Rejection::Inner(inner) => inner.status(),
        Rejection::Refused(refused) => status(refused.denial()),
        Rejection::NoBody => StatusCode::METHOD_NOT_ALLOWED,
    };
    Trouble::page(
        status,
        nonce,
        "The form did not arrive as it should, so nobody was asked and no token is spent.",
    )
}

fn form(
    status: StatusCode,
    app: &App,
    nonce: Nonce,
    door: &Door,
    posted: Posted,
    refused: Option<(Advice, Operator)>,
) -> Response {
    let guard = door.guard.current();
    let Ok(page) = Page::new().with_nonce(nonce.as_str()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let page = page.with_noscript(
        "This check runs in JavaScript. Without it the form can be sent, and is refused.",
    );
    let shown = Shown {
        widget: page.html_of(guard.widgets()),
        frame: Frame::new("Sign up", "/", nonce),
        here: door.contender(),
        missing: app
            .no_widget()
            .filter(|_| !door.has_widget())
            .map(str::to_owned),
        name: posted.name,
        email: posted.email,
        refused,
    };
    show(status, &shown, guard.widgets())
}
