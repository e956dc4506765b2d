//! A sign-up whose providers are in a file, with axum. Edit the file while it runs.

use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use example_pages::{escape, page};
use human_check_axum::HumanForm;
use human_check_axum::guard::Guard;
use human_check_config::Deployment;
use human_check_core::ConfigError;
use human_check_guard::MetricsObserver;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;

/// What handlers share.
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

/// The deployment that a file describes, with each decision counted.
///
/// # Errors
///
/// [`ConfigError`] that names file, line and key.
pub fn load(file: &str) -> Result<Deployment, ConfigError> {
    Deployment::builder()
        .with_guard_setup(|_route, guard| guard.with_observer(MetricsObserver))
        .load(file)
}

/// The application.
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
        .route("/metrics", get(shares))
        .with_state(app))
}

/// Serves it.
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

/// The widgets are those of this moment: `current` is asked for every page.
async fn form(State(app): State<App>) -> impl IntoResponse {
    let guard = app.signup.snapshot();
    let page = page("Sign up", guard.widgets(), |page| {
        let widgets = page.html_of(guard.widgets());
        format!(
            r#"<form method="post" action="/signup">
<p><label>E-mail <input name="email" type="email" required></label></p>
{widgets}
<p><button>Sign up</button></p>
</form>
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
        "<!doctype html>\n<p>Welcome, {email}. {provider} vouched for you.</p>\n"
    ))
}

/// For a scraper, and for whoever watches the old provider's share fall.
async fn shares(State(app): State<App>) -> String {
    app.metrics.render()
}
