//! `POST /login`: no challenge at first, one after three failures.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use example_pages::page;
use human_check_axum::guard::{
    AttemptKey, AttemptStore, AttemptStoreError, Guard, MemoryAttemptStore, Rejection, RoutePolicy,
    Trigger, Visitor,
};
use human_check_axum::{Head, HumanForm, respond};
use human_check_core::ConfigError;
use serde::Deserialize;

use crate::App;

/// So many failures of one address, or on one account, ask for a challenge …
const FREE_FAILURES: u32 = 3;
/// … for so long after the first.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Failed logins, and the guard that counts them.
#[derive(Clone, Debug)]
pub(crate) struct Logins {
    pub(crate) guard: Guard,
    failures: Arc<MemoryAttemptStore>,
}

impl Logins {
    pub(crate) fn new(site: &Guard) -> Result<Self, ConfigError> {
        let failures = Arc::new(MemoryAttemptStore::new(100_000));
        let trigger = Trigger::after_attempts(failures.clone(), FREE_FAILURES);
        // Nobody logs in unseen while the provider is down, but only the challenged notice.
        let policy = RoutePolicy::fail_closed("login").with_trigger(trigger);
        Ok(Self {
            guard: site.with_policy(policy)?,
            failures,
        })
    }

    /// The guard counts by address. By account it has to be done here, where it is known.
    async fn is_suspicious(&self, account: &AttemptKey) -> bool {
        let failures = self.failures.count(account).await;
        !failures.is_ok_and(|failures| failures < FREE_FAILURES)
    }

    async fn failed(&self, parts: &Parts, account: &AttemptKey) -> Result<(), AttemptStoreError> {
        self.failures.add(account, WINDOW).await?;
        if let Some(ip) = self.guard.client_ip(&Head(parts)) {
            self.failures.add(&AttemptKey::address(ip), WINDOW).await?;
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Login {
    user: String,
    password: String,
}

/// A login page without a challenge.
pub(crate) async fn form() -> Response {
    let page = page("Log in", &[], |_| fields(""));
    ([(CONTENT_SECURITY_POLICY, page.policy)], Html(page.body)).into_response()
}

pub(crate) async fn login(
    State(app): State<App>,
    parts: Parts,
    form: HumanForm<Login, Result<Visitor, Rejection>>,
) -> Response {
    let logins = &app.logins;
    let (login, checked) = form.into_parts();
    let visitor = match checked {
        Ok(visitor) => visitor,
        Err(refused) => return challenge(&logins.guard, refused),
    };
    let account = AttemptKey::named(&login.user);
    if visitor.human().is_none() && logins.is_suspicious(&account).await {
        let refused = logins.guard.require_challenge(&Head(&parts));
        return challenge(&logins.guard, refused);
    }
    if !is_right(&login) {
        // Without a count the next attempt is challenged, so there is nothing to do about it.
        let _ = logins.failed(&parts, &account).await;
        return (StatusCode::UNAUTHORIZED, "wrong user or password\n").into_response();
    }
    let _ = logins.failures.clear(&account).await;
    "welcome\n".into_response()
}

/// The only account. A real application keeps a slow hash of the password.
fn is_right(login: &Login) -> bool {
    login.user == "ada" && login.password == "lovelace"
}

/// For a browser the login page again, now with the challenge; the refusal itself for scripts.
fn challenge(guard: &Guard, refused: Rejection) -> Response {
    let mut response = respond(refused);
    let headers = response.headers_mut();
    let kind = headers.get("content-type");
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        let guard = guard.snapshot();
        let page = page("Log in", guard.widgets(), |page| {
            fields(page.html_of(guard.widgets()).as_str())
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
