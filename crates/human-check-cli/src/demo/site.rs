//! The demo as a site: its emulator, a door for each vendor, and the way in and out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use human_check::{ConfigError, Fact, HumanCheck, HumanCheckExt, MemorySpent, Presence};
use human_check_guard::{Guard, Metrics, RoutePolicy};
use human_check_http::{Exchange, HyperTransport};
use human_check_testkit::Emulator;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::headers::{Nonce, protect};
use super::lineup::{Contender, limits};
use super::log::{self, Log};
use super::page::Trouble;
use super::side_by_side::Records;
use super::{metrics, pretend, side_by_side, signup};

/// Room for the tokens of ten minutes, longer than any of them lives.
const SPENT: usize = 10_000;

/// How long requests that are under way may take once the demo is to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the forms are for, as the widgets declare it.
pub(crate) const ACTION: &str = "signup";

/// What all handlers share.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Runs as long as the demo.
    _emulator: Emulator,
    doors: Vec<Door>,
    log: Log,
    records: Records,
    recorder: PrometheusHandle,
    stages: pretend::Stages,
}

/// A vendor in front of the sign-up.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) contender: Contender,
    /// Lets each token pass once, also where another form asks it.
    pub(crate) check: Arc<dyn HumanCheck>,
    pub(crate) guard: Guard,
}

impl Door {
    /// The same, whichever emulator is behind it and whatever the form is called in the log.
    pub(crate) fn new(
        contender: Contender,
        emulator: &Emulator,
        exchange: &Exchange,
        route: &'static str,
        log: &Log,
    ) -> Result<Self, ConfigError> {
        let check = contender.check(emulator, exchange)?;
        let check: Arc<dyn HumanCheck> = Arc::new(check.single_use(MemorySpent::new(SPENT)));
        let mut policy = RoutePolicy::closed_on_outage(route);
        if check.reports().of(Fact::Action) != Presence::Never {
            policy = policy.with_action(ACTION);
        }
        let guard = Guard::builder(Arc::clone(&check))
            .with_widget(contender.widget(emulator)?)
            .with_observer(log.clone())
            .with_observer(Metrics)
            .build(policy)?;
        Ok(Self {
            contender,
            check,
            guard,
        })
    }
}

impl App {
    async fn new() -> io::Result<Self> {
        let emulator = Emulator::start().await?;
        // Its risk is what the demo judges by, and other accounts have none.
        emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
        let log = Log::new();
        let doors = || -> Result<Vec<Door>, ConfigError> {
            let exchange = Exchange::new(HyperTransport::new()?).with_limits(limits());
            let door = |contender| Door::new(contender, &emulator, &exchange, "signup", &log);
            Contender::ALL.into_iter().map(door).collect()
        };
        let doors = doors().map_err(io::Error::other)?;
        Ok(Self(Arc::new(Parts {
            _emulator: emulator,
            doors,
            log,
            records: Records::new(),
            recorder: metrics::recorder()?,
            stages: pretend::Stages::new(),
        })))
    }

    pub(crate) fn door(&self, contender: Contender) -> Option<&Door> {
        self.0.doors.iter().find(|door| door.contender == contender)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    pub(crate) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(crate) fn recorder(&self) -> &PrometheusHandle {
        &self.0.recorder
    }

    pub(crate) fn stages(&self) -> &pretend::Stages {
        &self.0.stages
    }

    fn router(&self) -> Router {
        let mut router = Router::new()
            .route("/", get(signup::page))
            .route(
                "/side-by-side",
                get(side_by_side::page).post(side_by_side::submit),
            )
            .route("/side-by-side/simulate", post(side_by_side::simulate))
            .route("/pretend", get(pretend::page).post(pretend::perform))
            .route("/log", get(log::page))
            .route("/log/events", get(log::events))
            .route("/metrics", get(metrics::page))
            .route("/demo.css", get(style))
            .route("/demo.js", get(script))
            .route("/icon.svg", get(icon))
            .fallback(nothing_here);
        for door in &self.0.doors {
            let path = format!("/signup/{}", door.contender.name());
            let signup = Router::new()
                .route(&path, post(signup::submit))
                .layer(Extension(door.guard.clone()))
                .layer(Extension(door.contender));
            router = router.merge(signup);
        }
        router
            .layer(from_fn(witnessing))
            .layer(from_fn(protect))
            .with_state(self.clone())
    }
}

/// For extractors. Every route that takes one names its own guard, which comes first.
impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.0.doors[0].guard.clone()
    }
}

async fn witnessing(request: Request, next: Next) -> Response {
    log::witness(next.run(request)).await
}

async fn nothing_here(Extension(nonce): Extension<Nonce>) -> Response {
    Trouble::page(
        StatusCode::NOT_FOUND,
        nonce,
        "There is no such page. The navigation above has all of them.",
    )
}

async fn style() -> impl IntoResponse {
    let style = include_str!("../../templates/demo.css");
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], style)
}

async fn script() -> impl IntoResponse {
    let script = include_str!("../../templates/demo.js");
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script)
}

async fn icon() -> impl IntoResponse {
    let icon = include_str!("../../templates/icon.svg");
    ([(CONTENT_TYPE, "image/svg+xml")], icon)
}

/// The demo, listening.
#[derive(Debug)]
pub struct Demo {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    upkeep: JoinHandle<()>,
}

impl Demo {
    /// Starts its emulator and listens.
    ///
    /// # Errors
    ///
    /// When the address is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let app = App::new().await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            upkeep: tokio::spawn(metrics::upkeep(app.recorder().clone())),
            app,
        })
    }

    /// Where a browser finds it.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}/")
    }

    /// Serves it until `stop`. What is under way then is finished, but for those who only read along.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let router = self.app.router();
        let log = self.app.log().clone();
        let (ends, ending) = oneshot::channel();
        let stop = async move {
            stop.await;
            log.close();
            // Nobody waits any more if everything has ended.
            let _ = ends.send(());
        };
        let impatience = async {
            if ending.await.is_ok() {
                tokio::time::sleep(PATIENCE).await;
            }
        };
        tokio::select! {
            served = async { axum::serve(self.listener, router).with_graceful_shutdown(stop).await } => served,
            () = impatience => Ok(()),
        }?;
        self.upkeep.abort();
        Ok(())
    }
}
