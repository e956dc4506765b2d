//! The demo as a site: its emulator, a form for each provider, and the way in and out.

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
use human_check_axum::challenge_route;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::headers::{Nonce, protect};
use crate::page::ErrorPage;
use crate::pages::{log, metrics, side_by_side, signup, simulate};
use crate::providers::{CHALLENGES, Work};
use crate::recorder;

/// How long requests that are under way may take once the demo is to end.
const PATIENCE: Duration = Duration::from_secs(2);

fn router(app: &App) -> Router {
    let mut router = Router::new()
        .route("/", get(signup::page))
        .route(
            "/side-by-side",
            get(side_by_side::page).post(side_by_side::submit),
        )
        .route("/side-by-side/simulate", post(side_by_side::simulate))
        .route("/simulate", get(simulate::page).post(simulate::perform))
        .route("/log", get(log::page))
        .route("/log/events", get(log::events))
        .route("/metrics", get(metrics::page))
        .route("/demo.css", get(style))
        .route("/demo.js", get(script))
        .route("/icon.svg", get(icon))
        .route("/human-check-altcha/{*file}", get(widget_file))
        .fallback(nothing_here);
    for form in app.forms() {
        if let Some(own) = form.provider_check.challenges() {
            router = router.route(CHALLENGES, challenge_route(own));
        }
        let path = format!("/signup/{}", form.provider().name());
        let signup = Router::new()
            .route(&path, post(signup::submit))
            .layer(Extension(form.guard.clone()))
            .layer(Extension(form.provider()));
        router = router.merge(signup);
    }
    router
        .layer(from_fn(capturing))
        .layer(from_fn(protect))
        .with_state(app.clone())
}

async fn capturing(request: Request, next: Next) -> Response {
    crate::log::capture(next.run(request)).await
}

async fn nothing_here(Extension(nonce): Extension<Nonce>) -> Response {
    ErrorPage::page(
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
            upkeep: tokio::spawn(recorder::upkeep(app.recorder().clone())),
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
        let router = router(&self.app);
        // ChallengeEndpoint are counted by address.
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
