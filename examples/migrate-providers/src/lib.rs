//! An axum application: a sign-up whose providers are in a file, which can be edited while it runs.

use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use example_pages::{escape, page};
use human_check::config::Deployment;
use human_check::{ConfigError, Widget};
use human_check_axum::guard::Guard;
use human_check_axum::{Head, HumanForm, page_routes};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;

/// The state of the handlers.
#[derive(Clone)]
struct App {
    signup: Guard,
    metrics: PrometheusHandle,
}

impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.signup.clone()
    }
}

/// Loads the deployment of a configuration file.
///
/// # Errors
///
/// A [`ConfigError`] that names file, line and key.
pub fn load(file: &str) -> Result<Deployment, ConfigError> {
    Deployment::load(file)
}

/// Returns the routes of the application.
///
/// # Errors
///
/// [`ConfigError`] when the file has no route `signup`.
pub fn app(deployment: &Deployment, metrics: PrometheusHandle) -> Result<Router, ConfigError> {
    let app = App {
        signup: deployment.guard("signup")?,
        metrics,
    };
    Ok(Router::new()
        .route("/", get(form))
        .route("/signup", post(signup))
        .route("/metrics", get(metrics_text))
        .nest("/human-check", page_routes(deployment.options_endpoint()?))
        .with_state(app))
}

/// Serves the application.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(app: Router, listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await
}

/// The sign-up page. Each page takes a snapshot of the guard. The page script shows the account of
/// the present configuration, also after a change while the page is open.
async fn form(State(app): State<App>, parts: Parts) -> impl IntoResponse {
    let guard = app.signup.snapshot();
    let selected = guard.select(&Head(&parts));
    let page = page("Sign up", selected.csp_sources(), |page| {
        let (place, script) = (selected.place(), page.page_script("/human-check"));
        // A failover and a shadow need a token of their own from every visitor.
        let is_other = |widget: &&Widget| widget.provider() != selected.provider();
        let others = page.html_of(guard.widgets().iter().filter(is_other));
        format!(
            r#"<form method="post" action="/signup">
<p><label>E-mail <input name="email" type="email" required></label></p>
{place}
{others}
<p><button>Sign up</button></p>
</form>
{script}
"#
        )
    });
    ([(CONTENT_SECURITY_POLICY, page.policy)], Html(page.body))
}

#[derive(Debug, Deserialize)]
struct Signup {
    email: String,
}

async fn signup(form: HumanForm<Signup>) -> Html<String> {
    let (signup, human) = form.into_parts();
    let provider = human.facts().provider.name();
    let email = escape(&signup.email);
    Html(format!(
        "<!doctype html>\n<p>Welcome, {email}. {provider} verified you.</p>\n"
    ))
}

/// `GET /metrics`, for a scraper. The metrics show how the share of the old provider falls.
async fn metrics_text(State(app): State<App>) -> String {
    app.metrics.render()
}
