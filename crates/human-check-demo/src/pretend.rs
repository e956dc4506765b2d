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
use human_check_http::{Exchange, HyperTransport};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tower_service::Service;

use crate::headers::Nonce;
use crate::lineup::{Contender, Doorkeeper, Solver, Work, limits};
use crate::log::{Entry, Log, witness, witnessed};
use crate::page::{Frame, PAGES, Trouble, show};
use crate::site::{App, Door};

/// How many emulators may be started beside the visitors' one.
const STAGES: usize = 4;

/// Longer than every answer of a guard.
const LONGEST: usize = 65_536;

/// Places for scenes. Each has an emulator of its own, so that nobody else meets its faults.
#[derive(Debug)]
pub(crate) struct Stages(Semaphore);

impl Stages {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(STAGES))
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.acquire().await.ok()
    }
}

/// Whom or what to pretend.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Scene {
    Human,
    Bot,
    SlowVendor,
    VendorDown,
    QuotaSpent,
    Replay,
}

impl Scene {
    const ALL: [Self; 6] = [
        Self::Human,
        Self::Bot,
        Self::SlowVendor,
        Self::VendorDown,
        Self::QuotaSpent,
        Self::Replay,
    ];

    /// As a form posts it.
    fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::SlowVendor => "slow-vendor",
            Self::VendorDown => "vendor-down",
            Self::QuotaSpent => "quota-spent",
            Self::Replay => "replay",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Human => "A human",
            Self::Bot => "A bot",
            Self::SlowVendor => "A slow vendor",
            Self::VendorDown => "A vendor that is down",
            Self::QuotaSpent => "A spent quota",
            Self::Replay => "A replay",
        }
    }

    fn tells(self) -> &'static str {
        match self {
            Self::Human => "solved the challenge just now",
            Self::Bot => "has a token, and the vendor knows better",
            Self::SlowVendor => "answers half a second late, but in time",
            Self::VendorDown => "answers with a 503 and a page of HTML",
            Self::QuotaSpent => "the month's questions are used up",
            Self::Replay => "sends a token that let somebody in before",
        }
    }

    fn note(self, contender: Contender) -> Option<String> {
        let name = contender.title();
        match self {
            Self::SlowVendor | Self::VendorDown | Self::QuotaSpent if !contender.is_vendor() => {
                Some(format!(
                    "{name} is part of this site. There is no vendor, so none can be in trouble."
                ))
            }
            Self::QuotaSpent if !contender.tells_of_its_quota() => Some(format!(
                "{name} does not tell a site about its quota, so it answers as ever."
            )),
            Self::Bot if !contender.is_vendor() => Some(format!(
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
    contender: Contender,
    note: Option<String>,
    status: StatusCode,
    title: String,
    detail: String,
    body: String,
    entry: Option<Entry>,
    took: String,
}

#[derive(Debug, Template)]
#[template(path = "pretend.html")]
struct Shown {
    frame: Frame,
    here: Contender,
    played: Option<Played>,
}

/// `GET /pretend`
pub(crate) async fn page(Extension(nonce): Extension<Nonce>) -> Response {
    shown(nonce, Contender::ALL[0], None)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wish {
    provider: String,
    scene: Scene,
}

/// `POST /pretend`
pub(crate) async fn perform(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Form(wish): Form<Wish>,
) -> Response {
    let Some(contender) = Contender::named(&wish.provider) else {
        return Trouble::page(
            StatusCode::NOT_FOUND,
            nonce,
            "The demo has no vendor of that name.",
        );
    };
    let _stage = app.stages().enter().await;
    match play(contender, wish.scene, app.log()).await {
        Ok(played) => shown(nonce, contender, Some(played)),
        Err(problem) => Trouble::page(
            StatusCode::INTERNAL_SERVER_ERROR,
            nonce,
            problem.to_string(),
        ),
    }
}

fn shown(nonce: Nonce, here: Contender, played: Option<Played>) -> Response {
    let shown = Shown {
        frame: Frame::new("Pretend you are …", "/pretend", nonce),
        here,
        played,
    };
    show(StatusCode::OK, &shown, &[])
}

async fn play(
    contender: Contender,
    scene: Scene,
    log: &Log,
) -> Result<Played, Box<dyn std::error::Error + Send + Sync>> {
    let emulator = Emulator::start().await?;
    let exchange = Exchange::new(HyperTransport::new()?).with_limits(limits());
    let keeper = Doorkeeper::new(contender, &emulator, &exchange, Work::made_up()?)?;
    emulator.configure(|knobs| knobs.quota_spent = scene == Scene::QuotaSpent);
    let solver = match scene {
        Scene::Bot => Solver::Bot,
        _ => Solver::Human,
    };
    let answer = keeper.answer(&emulator, solver).await?;
    let mut route = route(Door::new(keeper, None, "pretend", log)?.guard);
    match scene {
        Scene::SlowVendor => emulator.fail(Fault::delay(Duration::from_millis(500)), None),
        Scene::VendorDown => emulator.fail(Fault::Html { status: 503 }, None),
        Scene::Replay => {
            let first = route.call(request(contender, &answer)?).await?;
            debug_assert!(first.status().is_success());
        }
        Scene::Human | Scene::Bot | Scene::QuotaSpent => {}
    }
    let start = Instant::now();
    let (response, entry) = witness(async {
        let response = route.call(request(contender, &answer)?).await;
        Ok::<_, axum::http::Error>((response, witnessed()))
    })
    .await?;
    let response = response?;
    let took = format!("{:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let status = response.status();
    let body = to_bytes(response.into_body(), LONGEST).await?;
    let told: Value = serde_json::from_slice(&body)?;
    let text = |member: &str| told[member].as_str().unwrap_or_default().to_owned();
    Ok(Played {
        scene,
        contender,
        note: scene.note(contender),
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

fn request(contender: Contender, answer: &str) -> Result<Request<Body>, axum::http::Error> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("name", "Ada")
        .append_pair(contender.field(), answer)
        .finish();
    Request::post("/signup")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
}
