//! An axum application: a login that needs a challenge after repeated failures, a sign-up, and
//! comments.

mod login;
mod signup;

use std::net::{SocketAddr, TcpListener};

use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{AppendHeaders, Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use example_pages::{Comment, Guards, commented, index};
use human_check::ConfigError;
use human_check_axum::guard::Guard;
use human_check_axum::{Head, Human, challenge_route, health_routes, page_routes};

/// The state of the handlers. A route without a guard of its own uses the guard of the sign-up.
#[derive(Clone, Debug)]
struct App {
    guards: Guards,
    logins: login::Logins,
}

impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.guards.signup.clone()
    }
}

/// Returns the routes of the application.
///
/// # Errors
///
/// [`ConfigError`] when the policy of the login does not fit the check.
pub fn app(guards: Guards) -> Result<Router, ConfigError> {
    let logins = login::Logins::new(&guards.signup)?;
    let login = post(login::login).layer(Extension(logins.guard.clone()));
    let comments = post(comment).layer(Extension(guards.comments.clone()));
    let mut routes = Router::new()
        .route("/", get(home))
        .nest("/human-check", page_routes(guards.options.clone()))
        .merge(health_routes(guards.health.clone()))
        .route("/signup", post(signup::signup))
        .route("/comments", comments)
        .route("/login", login.get(login::form));
    if let Some(proof_of_work) = &guards.proof_of_work {
        let endpoint = challenge_route(proof_of_work.challenges.clone());
        routes = routes
            .route("/human-check-altcha/challenge", endpoint)
            .route("/human-check-altcha/{*name}", get(widget_file));
    }
    let app = App { guards, logins };
    Ok(routes
        .layer(axum::middleware::map_response(
            async |response: axum::response::Response| ([("x-example", "axum")], response),
        ))
        .with_state(app))
}

/// Serves the application. The guards need the client addresses, which only
/// `into_make_service_with_connect_info` provides.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(app: Router, listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await
}

async fn home(State(app): State<App>, parts: Parts) -> impl IntoResponse {
    let page = index(&app.guards, &Head(&parts));
    let headers = AppendHeaders(page.headers);
    (
        headers,
        [(CONTENT_SECURITY_POLICY, page.policy)],
        Html(page.body),
    )
}

async fn widget_file(State(app): State<App>, Path(name): Path<String>) -> impl IntoResponse {
    let proof_of_work = app.guards.proof_of_work.as_ref();
    let file = proof_of_work.and_then(|widget| widget.file(&name));
    let file = file.ok_or(StatusCode::NOT_FOUND)?;
    let content_type = [(CONTENT_TYPE, file.content_type())];
    Ok::<_, StatusCode>((content_type, file.content().to_vec()))
}

// The token is in the header, so the body has the application's fields only.
async fn comment(_human: Human, Json(comment): Json<Comment>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], commented(&comment))
}
