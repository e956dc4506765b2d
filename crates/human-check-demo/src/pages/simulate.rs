//! Visitors and troubles on request: each goes through a real guard in front of a real route.

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

/// Longer than every answer of a guard.
const MAX_RESPONSE_BYTES: usize = 65_536;

/// Whom or what to simulate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Scene {
    Human,
    Bot,
    SlowProvider,
    ProviderDown,
    QuotaSpent,
    Replay,
}

impl Scene {
    const ALL: [Self; 6] = [
        Self::Human,
        Self::Bot,
        Self::SlowProvider,
        Self::ProviderDown,
        Self::QuotaSpent,
        Self::Replay,
    ];

    /// As a form posts it.
    fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::SlowProvider => "slow-provider",
            Self::ProviderDown => "provider-down",
            Self::QuotaSpent => "quota-spent",
            Self::Replay => "replay",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Human => "A human",
            Self::Bot => "A bot",
            Self::SlowProvider => "A slow provider",
            Self::ProviderDown => "A provider that is down",
            Self::QuotaSpent => "A spent quota",
            Self::Replay => "A replay",
        }
    }

    fn tells(self) -> &'static str {
        match self {
            Self::Human => "solved the challenge just now",
            Self::Bot => "has a token, and the provider knows better",
            Self::SlowProvider => "answers half a second late, but in time",
            Self::ProviderDown => "answers with a 503 and a page of HTML",
            Self::QuotaSpent => "the month's questions are used up",
            Self::Replay => "sends a token that let somebody in before",
        }
    }

    fn note(self, provider: DemoProvider) -> Option<String> {
        let name = provider.title();
        match self {
            Self::SlowProvider | Self::ProviderDown | Self::QuotaSpent if !provider.is_remote() => {
                Some(format!(
                    "{name} is part of this site. There is no provider, so none can be in trouble."
                ))
            }
            Self::QuotaSpent if !provider.tells_of_its_quota() => Some(format!(
                "{name} does not tell a site about its quota, so it answers as ever."
            )),
            Self::Bot if !provider.is_remote() => Some(format!(
                "{name} cannot tell a bot that does the work from anybody else. This one skipped it."
            )),
            _ => None,
        }
    }
}

/// What came of a scene.
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

#[derive(Debug, Deserialize)]
pub(crate) struct Wish {
    provider: String,
    scene: Scene,
}

/// `POST /simulate`
pub(crate) async fn perform(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Form(wish): Form<Wish>,
) -> Response {
    let Some(provider) = DemoProvider::named(&wish.provider) else {
        return ErrorPage::page(
            StatusCode::NOT_FOUND,
            nonce,
            "The demo has no provider of that name.",
        );
    };
    let _stage = app.stages().enter().await;
    match play(provider, wish.scene, app.log()).await {
        Ok(played) => shown(nonce, provider, Some(played)),
        Err(problem) => ErrorPage::page(
            StatusCode::INTERNAL_SERVER_ERROR,
            nonce,
            problem.to_string(),
        ),
    }
}

fn shown(nonce: Nonce, here: DemoProvider, played: Option<Played>) -> Response {
    let shown = Shown {
        frame: Frame::new("Pretend you are …", "/simulate", nonce),
        here,
        played,
    };
    show(StatusCode::OK, &shown, &[])
}

async fn play(
    provider: DemoProvider,
    scene: Scene,
    log: &Log,
) -> Result<Played, Box<dyn std::error::Error + Send + Sync>> {
    let emulator = Emulator::start().await?;
    let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
    let provider_check = ProviderCheck::new(provider, &emulator, &client, Work::made_up()?)?;
    emulator.configure(|knobs| knobs.quota_spent = scene == Scene::QuotaSpent);
    let solver = match scene {
        Scene::Bot => Solver::Bot,
        _ => Solver::Human,
    };
    let answer = provider_check.answer(&emulator, solver).await?;
    let mut route = route(GuardedForm::new(provider_check, None, "simulate", log)?.guard);
    match scene {
        Scene::SlowProvider => emulator.fail(Fault::delay(Duration::from_millis(500)), None),
        Scene::ProviderDown => emulator.fail(Fault::Html { status: 503 }, None),
        Scene::Replay => {
            let first = route.call(request(provider, &answer)?).await?;
            debug_assert!(first.status().is_success());
        }
        Scene::Human | Scene::Bot | Scene::QuotaSpent => {}
    }
    let start = Instant::now();
    let (response, entry) = capture(async {
        let response = route.call(request(provider, &answer)?).await;
        Ok::<_, axum::http::Error>((response, captured()))
    })
    .await?;
    let response = response?;
    let took = format!("{:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let status = response.status();
    let body = to_bytes(response.into_body(), MAX_RESPONSE_BYTES).await?;
    let told: Value = serde_json::from_slice(&body)?;
    let text = |member: &str| told[member].as_str().unwrap_or_default().to_owned();
    Ok(Played {
        scene,
        provider,
        note: scene.note(provider),
        status,
        title: text("title"),
        detail: text("detail"),
        body: format!("{told:#}"),
        entry,
        took,
    })
}

/// What is guarded: a sign-up whose handler runs for humans only.
fn route(guard: Guard) -> Router {
    async fn signup(_: HumanForm<Name>) -> Json<Value> {
        Json(json!({"title": "You are in", "detail": "Welcome, and thank you for your patience."}))
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

fn request(provider: DemoProvider, answer: &str) -> Result<Request<Body>, axum::http::Error> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("name", "Ada")
        .append_pair(provider.field(), answer)
        .finish();
    Request::post("/signup")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
}
