//! `GET /login` and `POST /login`. A login needs a challenge after three failures.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use example_pages::page;
use human_check::ConfigError;
use human_check_axum::guard::{
    AttemptKey, AttemptStore, AttemptStoreError, CspSources, Guard, MemoryAttemptStore, Rejection,
    RoutePolicy, Trigger, Visitor,
};
use human_check_axum::{Head, HumanForm, respond};
use serde::Deserialize;

use crate::App;

/// How many failures of one address or on one account need no challenge.
const FREE_FAILURES: u32 = 3;
/// How long a failure counts, from the first one.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// The guard of the login, and the store of failed logins.
#[derive(Clone, Debug)]
pub(crate) struct Logins {
    pub(crate) guard: Guard,
    failures: Arc<MemoryAttemptStore>,
}

impl Logins {
    pub(crate) fn new(site: &Guard) -> Result<Self, ConfigError> {
        let failures = Arc::new(MemoryAttemptStore::new(100_000));
        let trigger = Trigger::after_attempts(failures.clone(), FREE_FAILURES);
        // In an outage, logins that need a challenge are refused. All others are not affected.
        let policy = RoutePolicy::fail_closed("login").with_trigger(trigger);
        Ok(Self {
            guard: site.with_policy(policy)?,
            failures,
        })
    }

    /// Returns whether this account needs a challenge. The guard counts by address, but only the
    /// handler knows the account.
    async fn is_suspicious(&self, account: &AttemptKey) -> bool {
        let failures = self.failures.count(account).await;
        !failures.is_ok_and(|failures| failures < FREE_FAILURES)
    }

    /// Counts a failed login.
    async fn failed(&self, parts: &Parts, account: &AttemptKey) -> Result<(), AttemptStoreError> {
        self.failures.add(account, WINDOW).await?;
        if let Some(ip) = self.guard.snapshot().client_ip(&Head(parts)) {
            self.failures.add(&AttemptKey::address(ip), WINDOW).await?;
        }
        Ok(())
    }
}

/// The form.
#[derive(Debug, Deserialize)]
pub(crate) struct Login {
    user: String,
    password: String,
}

/// `GET /login`: the page without a challenge.
pub(crate) async fn form() -> Response {
    let page = page("Log in", CspSources::default(), |_| fields(""));
    ([(CONTENT_SECURITY_POLICY, page.policy)], Html(page.body)).into_response()
}

/// `POST /login`.
pub(crate) async fn login(
    State(app): State<App>,
    parts: Parts,
    form: HumanForm<Login, Result<Visitor, Rejection>>,
) -> Response {
    let logins = &app.logins;
    let (login, checked) = form.into_parts();
    let visitor = match checked {
        Ok(visitor) => visitor,
        Err(refused) => return challenge(refused),
    };
    let account = AttemptKey::named(&login.user);
    if visitor.human().is_none() && logins.is_suspicious(&account).await {
        let refused = logins.guard.require_challenge(&Head(&parts));
        return challenge(refused);
    }
    if !is_right(&login) {
        // When the store fails, the next attempt needs a challenge, so the error can be ignored.
        let _ = logins.failed(&parts, &account).await;
        return (StatusCode::UNAUTHORIZED, "wrong user or password\n").into_response();
    }
    let _ = logins.failures.clear(&account).await;
    "welcome\n".into_response()
}

/// Returns whether user and password are those of the only account. A real application compares a
/// slow hash of the password.
fn is_right(login: &Login) -> bool {
    login.user == "ada" && login.password == "lovelace"
}

/// Returns the refusal. A browser gets the login page with the challenge in place of its text.
fn challenge(refused: Rejection) -> Response {
    let selected = refused.selected().cloned();
    let mut response = respond(refused);
    let headers = response.headers_mut();
    let content_type = headers.get("content-type");
    let is_page = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if let Some(selected) = selected.filter(|_| is_page) {
        let page = page("Log in", selected.csp_sources(), |page| {
            fields(selected.html_with(page).as_str())
        });
        if let Ok(policy) = page.policy.parse() {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        *response.body_mut() = page.body.into();
    }
    response
}

fn fields(widget: &str) -> String {
    format!(
        r#"<form method="post" action="/login">
<p><label>User <input name="user" required></label></p>
<p><label>Password <input name="password" type="password" required></label></p>
{widget}
<p><button>Log in</button></p>
</form>
"#
    )
}
