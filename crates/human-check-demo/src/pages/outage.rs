//! The outage page: a form that goes on with another provider while the visitor breaks the primary.

use askama::Template;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use human_check_axum::{Head, HumanError, HumanForm};
use human_check_guard::{Html, Rejection, Selected, Visitor, WidgetRenderer};
use serde::Deserialize;

use crate::app::App;
use crate::headers::Nonce;
use crate::log::Entry;
use crate::outage::{Broken, ROUTE, VisitorScore};
use crate::page::{Frame, PAGES, show_with};
use crate::visitor_view::{Advice, Operator, advice, malformed_form, status};

/// How many decisions the page shows.
const SHOWN: usize = 8;

/// The fields of the form. Token and offer need none.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Signup {
    name: String,
}

#[derive(Template)]
#[template(path = "outage.html")]
struct Shown {
    frame: Frame,
    broken: Broken,
    /// The name of the account that the form shows, and why.
    account: String,
    why: &'static str,
    place: Html,
    script: Html,
    configuration: String,
    name: String,
    outcome: Option<(Advice, Operator)>,
    entries: Vec<Entry>,
}

/// `GET /outage`
pub(crate) async fn page(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    parts: Parts,
) -> Response {
    let selected = app.outage().guard.select(&Head(&parts));
    shown(&app, nonce, &selected, Signup::default(), None)
}

/// `POST /outage/break`: what is broken from now on.
pub(crate) async fn break_provider(State(app): State<App>, Form(broken): Form<Broken>) -> Redirect {
    app.outage().set(broken);
    Redirect::to("/outage")
}

/// `POST /outage`
pub(crate) async fn submit(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    parts: Parts,
    checked: Result<HumanForm<Signup, Result<Visitor, Rejection>>, HumanError<FormRejection>>,
) -> Response {
    let (signup, checked) = match checked {
        Ok(checked) => checked.into_parts(),
        Err(rejection) => return malformed_form(nonce, &rejection),
    };
    let (advice, status, facts) = match &checked {
        Ok(visitor) => {
            let welcome = Advice {
                title: "You are signed up",
                detail: "The account that judged is in the log below.",
            };
            let facts = visitor.human().map(|human| human.facts());
            (welcome, StatusCode::OK, facts)
        }
        Err(refused) => (advice(refused.reason()), status(refused.reason()), None),
    };
    let outcome = (advice, Operator::new(status, facts));
    let refused = checked.as_ref().err().and_then(Rejection::selected);
    match refused {
        // The response shows the account that the guard selected for this visitor.
        Some(selected) => shown(&app, nonce, selected, signup, Some(outcome)),
        None => {
            let selected = app.outage().guard.select(&Head(&parts));
            shown(&app, nonce, &selected, signup, Some(outcome))
        }
    }
}

/// `GET /outage.js`
pub(crate) async fn script() -> impl IntoResponse {
    let script = include_str!("../../templates/outage.js");
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script)
}

fn shown(
    app: &App,
    nonce: Nonce,
    selected: &Selected,
    signup: Signup,
    outcome: Option<(Advice, Operator)>,
) -> Response {
    let Ok(renderer) = WidgetRenderer::new().with_nonce(nonce.as_str()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let status = outcome.as_ref().map(|(_, operator)| operator.status);
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let form = app.outage();
    let entries = app.log().latest().into_iter();
    let shown = Shown {
        frame: Frame::new("Outage", "/outage", nonce),
        broken: form.broken(),
        account: selected.account().to_owned(),
        why: selected.why().as_str(),
        place: selected.place(),
        script: renderer.page_script("/human-check"),
        configuration: form.configuration(),
        name: signup.name,
        outcome,
        entries: entries
            .filter(|entry| entry.route == ROUTE)
            .take(SHOWN)
            .collect(),
    };
    let status = status.unwrap_or(StatusCode::OK);
    show_with(status, &shown, selected.csp_sources())
}
