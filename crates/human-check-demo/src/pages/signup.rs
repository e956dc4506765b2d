//! The sign-up page: a form behind the selected provider.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Form};
use human_check_axum::{HumanBody, HumanError};
use human_check_guard::{Html, Rejection, Visitor, WidgetRenderer};
use serde::Deserialize;

use crate::app::{App, GuardedForm};
use crate::headers::Nonce;
use crate::page::{ErrorPage, Frame, PAGES, show};
use crate::providers::DemoProvider;
use crate::visitor_view::{Advice, Operator, advice, malformed_form, status};

/// The fields of the form, and the token.
///
/// An application would use `HumanForm<Signup>`, whose type has no field for the token. The demo
/// needs the token to send it a second time, which shows that a replay is refused.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Posted {
    name: String,
    email: String,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Template)]
#[template(path = "signup.html")]
struct Shown {
    frame: Frame,
    here: DemoProvider,
    widget: Html,
    /// Why the form has no widget.
    missing: Option<String>,
    name: String,
    email: String,
    refused: Option<(Advice, Operator)>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    frame: Frame,
    here: DemoProvider,
    posted: Posted,
    operator: Operator,
    /// Field and token, to send them again.
    again: Option<(String, String)>,
}

/// The query of the page: which provider to show.
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
    let provider = match &choice.provider {
        None => app.with_widget().next(),
        Some(name) => DemoProvider::named(name),
    };
    match provider.and_then(|provider| app.form(provider)) {
        Some(form) => show_form(StatusCode::OK, &app, nonce, form, Posted::default(), None),
        None => ErrorPage::page(
            StatusCode::NOT_FOUND,
            nonce,
            "The demo has no provider of that name.",
        ),
    }
}

/// The form, and the guard's decision.
type Checked = HumanBody<Form<Posted>, Result<Visitor, Rejection>>;

/// `POST /signup/{provider}`
pub(crate) async fn submit(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Extension(provider): Extension<DemoProvider>,
    checked: Result<Checked, HumanError<FormRejection>>,
) -> Response {
    let (Form(posted), checked) = match checked {
        Ok(checked) => checked.into_parts(),
        Err(rejection) => return malformed_form(nonce, &rejection),
    };
    match (checked, app.form(provider)) {
        (Ok(visitor), _) => {
            let facts = visitor.human().map(|human| human.facts());
            let operator = Operator::new(StatusCode::OK, facts);
            let field = provider.field();
            let token = posted.rest.get(field).cloned();
            let welcome = Welcome {
                frame: Frame::new("You are signed up", "/", nonce),
                here: provider,
                again: token.map(|token| (field.to_owned(), token)),
                posted,
                operator,
            };
            show(StatusCode::OK, &welcome, &[])
        }
        (Err(refused), Some(form)) => {
            let denial = refused.reason();
            let status = status(denial);
            let refused = (advice(denial), Operator::new(status, None));
            show_form(status, &app, nonce, form, posted, Some(refused))
        }
        (Err(refused), None) => human_check_axum::respond(refused),
    }
}

fn show_form(
    status: StatusCode,
    app: &App,
    nonce: Nonce,
    form: &GuardedForm,
    posted: Posted,
    refused: Option<(Advice, Operator)>,
) -> Response {
    let guard = form.guard.snapshot();
    let Ok(page) = WidgetRenderer::new().with_nonce(nonce.as_str()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let page = page
        .with_noscript("This check runs in JavaScript. Without JavaScript the form is refused.");
    let shown = Shown {
        widget: page.html_of(guard.widgets()),
        frame: Frame::new("Sign up", "/", nonce),
        here: form.provider(),
        missing: app
            .no_widget()
            .filter(|_| !form.has_widget())
            .map(str::to_owned),
        name: posted.name,
        email: posted.email,
        refused,
    };
    show(status, &shown, guard.widgets())
}
