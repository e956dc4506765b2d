//! The demo as a site: its emulator, a door for each vendor, and the way in and out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use human_check_altcha::WidgetFiles;
use human_check_axum::challenges;
use human_check_core::{ConfigError, Fact, HumanCheck, Presence, Widget};
use human_check_emulator::Emulator;
use human_check_guard::{Guard, Metrics, RoutePolicy};
use human_check_http::{Exchange, HyperTransport};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::headers::{Nonce, protect};
use crate::lineup::{ACTION, CHALLENGES, Contender, Doorkeeper, Work, limits};
use crate::log::{self, Log};
use crate::page::Trouble;
use crate::side_by_side::Records;
use crate::{metrics, pretend, side_by_side, signup};

/// How long requests that are under way may take once the demo is to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all handlers share.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Runs as long as the demo.
    _emulator: Emulator,
    doors: Vec<Door>,
    /// The files of the proof of work's widget, or why there are none.
    widget: Result<WidgetFiles, String>,
    log: Log,
    records: Records,
    recorder: PrometheusHandle,
    stages: pretend::Stages,
}

/// A doorkeeper in front of a form.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) keeper: Doorkeeper,
    pub(crate) guard: Guard,
}

impl Door {
    /// `route` is what the form is called in the log. Without a widget the form can be posted by
    /// whoever has an answer from elsewhere.
    pub(crate) fn new(
        keeper: Doorkeeper,
        widget: Option<Widget>,
        route: &'static str,
        log: &Log,
    ) -> Result<Self, ConfigError> {
        let mut policy = RoutePolicy::closed_on_outage(route);
        if keeper.check.reports().of(Fact::Action) != Presence::Never {
            policy = policy.with_action(ACTION);
        }
        let mut guard = Guard::builder(Arc::clone(&keeper.check))
            .with_observer(log.clone())
            .with_observer(Metrics);
        if let Some(widget) = widget {
            guard = guard.with_widget(widget);
        }
        Ok(Self {
            keeper,
            guard: guard.build(policy)?,
        })
    }

    pub(crate) fn contender(&self) -> Contender {
        self.keeper.contender
    }

    pub(crate) fn has_widget(&self) -> bool {
        !self.guard.widgets().is_empty()
    }
}

impl App {
    async fn new(widget: Result<WidgetFiles, String>, work: Work) -> io::Result<Self> {
        let emulator = Emulator::start().await?;
        // Its risk is what the demo judges by, and other accounts have none.
        emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
        let log = Log::new();
        let doors = || -> Result<Vec<Door>, ConfigError> {
            let exchange = Exchange::new(HyperTransport::new()?).with_limits(limits());
            let door = |contender: Contender| {
                let keeper = Doorkeeper::new(contender, &emulator, &exchange, work)?;
                // A vendor's comes from its emulator.
                let shown = contender.is_vendor() || widget.is_ok();
                let shown = shown.then(|| contender.widget(&emulator)).transpose()?;
                Door::new(keeper, shown, "signup", &log)
            };
            Contender::ALL.into_iter().map(door).collect()
        };
        let doors = doors().map_err(io::Error::other)?;
        Ok(Self(Arc::new(Parts {
            _emulator: emulator,
            doors,
            widget,
            log,
            records: Records::new(),
            recorder: metrics::recorder()?,
            stages: pretend::Stages::new(),
        })))
    }

    pub(crate) fn door(&self, contender: Contender) -> Option<&Door> {
        let mut doors = self.0.doors.iter();
        doors.find(|door| door.contender() == contender)
    }

    /// Whom a new visitor meets, the first of them alone or with the next.
    pub(crate) fn usual(&self) -> impl Iterator<Item = Contender> {
        let doors = self.0.doors.iter();
        doors.filter(|door| door.has_widget()).map(Door::contender)
    }

    /// Why the proof of work has no widget.
    pub(crate) fn no_widget(&self) -> Option<&str> {
        self.0.widget.as_ref().err().map(String::as_str)
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
            .route("/human-check-altcha/{*file}", get(widget_file))
            .fallback(nothing_here);
        for door in &self.0.doors {
            if let Some(own) = door.keeper.challenges() {
                router = router.route(CHALLENGES, challenges(own));
            }
            let path = format!("/signup/{}", door.contender().name());
            let signup = Router::new()
                .route(&path, post(signup::submit))
                .layer(Extension(door.guard.clone()))
                .layer(Extension(door.contender()));
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
    let style = include_str!("../templates/demo.css");
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], style)
}

async fn script() -> impl IntoResponse {
    let script = include_str!("../templates/demo.js");
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script)
}

async fn widget_file(State(app): State<App>, Path(file): Path<String>) -> Response {
    let files = app.0.widget.as_ref().ok();
    match files.and_then(|files| files.get(&file)) {
        Some(file) => {
            let kind = [(CONTENT_TYPE, file.content_type())];
            let policy = file
                .policy()
                .map(|policy| [(CONTENT_SECURITY_POLICY, policy)]);
            (kind, policy, file.content().to_vec()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn icon() -> impl IntoResponse {
    let icon = include_str!("../templates/icon.svg");
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
    /// Starts its emulator on a listener. `widget` holds the files of the proof of work's widget, or says
    /// to visitors why there are none.
    ///
    /// # Errors
    ///
    /// When there is no port for the emulator, or the work makes no sense.
    pub async fn new(
        listener: TcpListener,
        widget: Result<WidgetFiles, String>,
        work: Work,
    ) -> io::Result<Self> {
        let app = App::new(widget, work).await?;
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
        // Challenges are counted by address.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
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
            served = async { axum::serve(self.listener, service).with_graceful_shutdown(stop).await } => served,
            () = impatience => Ok(()),
        }?;
        self.upkeep.abort();
        Ok(())
    }
}
