//! The web server of the demo: its routes, its start, and its shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use human_check_altcha::WidgetFiles;
use human_check_axum::{challenge_route, page_routes};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::headers::{Nonce, protect};
use crate::page::ErrorPage;
use crate::pages::{experiment, log, metrics, outage, side_by_side, signup, simulate};
use crate::providers::{CHALLENGES, Work};
use crate::recorder;

/// How long running requests may take after the demo was told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the routes of the demo.
fn router(app: &App) -> Router {
    let mut router = Router::new()
        .route("/", get(signup::page))
        .route(
            "/side-by-side",
            get(side_by_side::page).post(side_by_side::submit),
        )
        .route("/side-by-side/simulate", post(side_by_side::simulate))
        .route("/simulate", get(simulate::page).post(simulate::perform))
        .route("/outage", get(outage::page))
        .route("/outage/break", post(outage::break_provider))
        .route("/outage.js", get(outage::script))
        .nest("/human-check", page_routes(app.outage().options.clone()))
        .route("/experiment", get(experiment::page).post(experiment::step))
        .route("/log", get(log::page))
        .route("/log/events", get(log::events))
        .route("/metrics", get(metrics::page))
        .route("/demo.css", get(style))
        .route("/demo.js", get(script))
        .route("/icon.svg", get(icon))
        .route("/human-check-altcha/{*file}", get(widget_file))
        .fallback(not_found);
    for form in app.forms() {
        if let Some(endpoint) = form.provider_check.challenges() {
            router = router.route(CHALLENGES, challenge_route(endpoint));
        }
        let path = format!("/signup/{}", form.provider().name());
        let signup = Router::new()
            .route(&path, post(signup::submit))
            .layer(Extension(form.guard.clone()))
            .layer(Extension(form.provider()));
        router = router.merge(signup);
    }
    let outage = Router::new()
        .route("/outage", post(outage::submit))
        .layer(Extension(app.outage().guard.clone()));
    router
        .merge(outage)
        .layer(from_fn(capturing))
        .layer(from_fn(protect))
        .with_state(app.clone())
}

/// Lets handlers read the decision on their request.
async fn capturing(request: Request, next: Next) -> Response {
    crate::log::capture(next.run(request)).await
}

/// The page for an unknown path.
async fn not_found(Extension(nonce): Extension<Nonce>) -> Response {
    ErrorPage::page(
        StatusCode::NOT_FOUND,
        nonce,
        "This page does not exist. The navigation above lists all pages.",
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
    let files = app.widget();
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

/// The demo site, ready to be served.
///
/// [`run`](crate::run) does all of this for a command line. Use `Demo` to serve the site in another
/// program or in a test.
///
/// ```no_run
/// use human_check_demo::{Demo, Work};
/// use tokio::net::TcpListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:8642").await?;
/// let no_widget = Err("widget of ALTCHA is not part of this example".to_owned());
/// let demo = Demo::new(listener, no_widget, Work::default()).await?;
/// println!("{}", demo.url());
/// demo.serve(std::future::pending()).await
/// # }
/// ```
#[derive(Debug)]
pub struct Demo {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    upkeep: JoinHandle<()>,
}

impl Demo {
    /// Creates a demo on `listener`, and starts its emulator on a free port of `127.0.0.1`.
    ///
    /// `widget` has the files of ALTCHA's widget. With `Err`, ALTCHA's form has no widget, and its
    /// page shows the text in the sentence "The … .".
    ///
    /// # Errors
    ///
    /// When no port can be bound for the emulator, when `work` has invalid values, or when this
    /// process already has another metrics recorder.
    pub async fn new(
        listener: TcpListener,
        widget: Result<WidgetFiles, String>,
        work: Work,
    ) -> io::Result<Self> {
        let app = App::new(widget, work).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            upkeep: tokio::spawn(recorder::upkeep(app.recorder().clone())),
            app,
        })
    }

    /// Returns the URL of the demo for a browser, with a slash at the end.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}/")
    }

    /// Serves the demo until `stop` completes.
    ///
    /// Streams of the log then end at once. Other running requests get up to two seconds to
    /// complete. Dropping the future stops the server at once.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let router = router(&self.app);
        // The challenge endpoint limits requests by client address.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let log = self.app.log().clone();
        let (stopping, stopped) = oneshot::channel();
        let stop = async move {
            stop.await;
            log.close();
            // An error means that the server has already ended.
            let _ = stopping.send(());
        };
        let timeout = async {
            if stopped.await.is_ok() {
                tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
            }
        };
        tokio::select! {
            served = async { axum::serve(self.listener, service).with_graceful_shutdown(stop).await } => served,
            () = timeout => Ok(()),
        }?;
        self.upkeep.abort();
        Ok(())
    }
}
