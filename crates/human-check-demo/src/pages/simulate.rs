//! The simulation page: visitors and failures on request, each with a guard in front of a route.

use std::time::{Duration, Instant};

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Form, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Json, Router};
use human_check_axum::HumanForm;
use human_check_emulator::{Emulator, Fault};
use human_check_guard::Guard;
use human_check_http::{HyperTransport, ProviderClient};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_service::Service;

use crate::app::{App, GuardedForm};
use crate::headers::Nonce;
use crate::log::{Entry, Log, capture, captured};
use crate::page::{ErrorPage, Frame, PAGES, show};
use crate::providers::{DemoProvider, ProviderCheck, Solver, Work, limits};

/// The limit for a guard's response, which is shorter.
const MAX_RESPONSE_BYTES: usize = 65_536;

/// What to simulate: a kind of visitor, or a failure.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Scene {
    Human,
    Bot,
    SlowProvider,
    ProviderDown,
    QuotaUsedUp,
    Replay,
}

impl Scene {
    const ALL: [Self; 6] = [
        Self::Human,
        Self::Bot,
        Self::SlowProvider,
        Self::ProviderDown,
        Self::QuotaUsedUp,
        Self::Replay,
    ];

    /// Returns the name that the form posts.
    fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::SlowProvider => "slow-provider",
            Self::ProviderDown => "provider-down",
            Self::QuotaUsedUp => "quota-used-up",
            Self::Replay => "replay",
        }
    }

    /// Returns the title of the button.
    fn title(self) -> &'static str {
        match self {
            Self::Human => "A human",
            Self::Bot => "A bot",
            Self::SlowProvider => "A slow provider",
            Self::ProviderDown => "A provider that is down",
            Self::QuotaUsedUp => "A used-up quota",
            Self::Replay => "A replay",
        }
    }

    /// Returns the description on the button.
    fn description(self) -> &'static str {
        match self {
            Self::Human => "solved the challenge just now",
            Self::Bot => "has a token with a bad verdict or score",
            Self::SlowProvider => "replies half a second late, within the timeout",
            Self::ProviderDown => "replies with a 503 and a page of HTML",
            Self::QuotaUsedUp => "the provider verifies no more tokens this month",
            Self::Replay => "sends a token that passed before",
        }
    }

    /// Returns a note for a provider with which the scene has another outcome than with most.
    fn note(self, provider: DemoProvider) -> Option<String> {
        let name = provider.title();
        match self {
            Self::SlowProvider | Self::ProviderDown | Self::QuotaUsedUp
                if !provider.is_remote() =>
            {
                Some(format!(
                    "{name} runs in this site and calls no provider, so this failure cannot happen."
                ))
            }
            Self::QuotaUsedUp if !provider.reports_exhausted_quota() => Some(format!(
                "{name} does not report an exhausted quota to a site, so its replies do not change."
            )),
            Self::Bot if !provider.is_remote() => Some(format!(
                "{name} does not recognize a bot that does the work. This bot sends a token without the work."
            )),
            _ => None,
        }
    }
}

/// The outcome of a simulation.
#[derive(Debug)]
struct Played {
    scene: Scene,
    provider: DemoProvider,
    note: Option<String>,
    status: StatusCode,
    title: String,
    detail: String,
    body: String,
    entry: Option<Entry>,
    took: String,
}

#[derive(Debug, Template)]
#[template(path = "simulate.html")]
struct Shown {
    frame: Frame,
    here: DemoProvider,
    played: Option<Played>,
}

/// `GET /simulate`
pub(crate) async fn page(Extension(nonce): Extension<Nonce>) -> Response {
    shown(nonce, DemoProvider::ALL[0], None)
}

/// The form of the page.
#[derive(Debug, Deserialize)]
pub(crate) struct Chosen {
    provider: String,
    scene: Scene,
}

/// `POST /simulate`
pub(crate) async fn perform(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Form(chosen): Form<Chosen>,
) -> Response {
    let Some(provider) = DemoProvider::named(&chosen.provider) else {
        return ErrorPage::page(
            StatusCode::NOT_FOUND,
            nonce,
            "The demo has no provider of that name.",
        );
    };
    let _permit = app.stages().enter().await;
    match play(provider, chosen.scene, app.log()).await {
        Ok(played) => shown(nonce, provider, Some(played)),
        Err(error) => ErrorPage::page(StatusCode::INTERNAL_SERVER_ERROR, nonce, error.to_string()),
    }
}

/// Creates the page.
fn shown(nonce: Nonce, here: DemoProvider, played: Option<Played>) -> Response {
    let shown = Shown {
        frame: Frame::new("Simulate", "/simulate", nonce),
        here,
        played,
    };
    show(StatusCode::OK, &shown, &[])
}

/// Sends the simulated request through a guard of its own, with an emulator of its own.
async fn play(
    provider: DemoProvider,
    scene: Scene,
    log: &Log,
) -> Result<Played, Box<dyn std::error::Error + Send + Sync>> {
    let emulator = Emulator::start().await?;
    let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
    let provider_check = ProviderCheck::new(provider, &emulator, &client, Work::simulated()?)?;
    emulator.configure(|knobs| knobs.quota_used_up = scene == Scene::QuotaUsedUp);
    let solver = match scene {
        Scene::Bot => Solver::Bot,
        _ => Solver::Human,
    };
    let token = provider_check.token(&emulator, solver).await?;
    let mut route = route(GuardedForm::new(provider_check, None, "simulate", log)?.guard);
    match scene {
        Scene::SlowProvider => emulator.fail(Fault::delay(Duration::from_millis(500)), None),
        Scene::ProviderDown => emulator.fail(Fault::Html { status: 503 }, None),
        Scene::Replay => {
            let first = route.call(request(provider, &token)?).await?;
            debug_assert!(first.status().is_success());
        }
        Scene::Human | Scene::Bot | Scene::QuotaUsedUp => {}
    }
    let start = Instant::now();
    let (response, entry) = capture(async {
        let response = route.call(request(provider, &token)?).await;
        Ok::<_, axum::http::Error>((response, captured()))
    })
    .await?;
    let response = response?;
    let took = format!("{:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let status = response.status();
    let body = to_bytes(response.into_body(), MAX_RESPONSE_BYTES).await?;
    let body: Value = serde_json::from_slice(&body)?;
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    Ok(Played {
        scene,
        provider,
        note: scene.note(provider),
        status,
        title: text("title"),
        detail: text("detail"),
        body: format!("{body:#}"),
        entry,
        took,
    })
}

/// Returns the guarded route: a sign-up whose handler runs for humans only.
fn route(guard: Guard) -> Router {
    async fn signup(_: HumanForm<Name>) -> Json<Value> {
        Json(json!({"title": "You are signed up", "detail": "Welcome, Ada."}))
    }
    Router::new()
        .route("/signup", post(signup))
        .with_state(guard)
}

#[derive(Debug, Deserialize)]
struct Name {
    #[serde(rename = "name")]
    _name: String,
}

/// Returns the form that the simulated visitor posts.
fn request(provider: DemoProvider, token: &str) -> Result<Request<Body>, axum::http::Error> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("name", "Ada")
        .append_pair(provider.field(), token)
        .finish();
    Request::post("/signup")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
}
