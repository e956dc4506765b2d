//! Starts each framework's example on a port of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use example_pages::Guards;
use human_check_core::{
    Capabilities, CheckError, ErrorKind, Facts, HumanCheck, Provider, Reason, Refusal, Submission,
    Verdict,
};
use human_check_guard::{BodyLimits, Guard, GuardBuilder, RoutePolicy};
use tokio::sync::Notify;

use crate::client::{Connection, Request, Response};

pub(crate) static HCAPTCHA: Provider = Provider::new("hcaptcha", &["h-captcha-response"]);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framework {
    Actix,
    Axum,
    Rocket,
}

impl Framework {
    pub(crate) const ALL: [Self; 3] = [Self::Actix, Self::Axum, Self::Rocket];
}

/// A provider for tests. The text of a token selects the outcome of its verification: see
/// [`check`](HumanCheck::check).
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptedProvider(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    calls: AtomicUsize,
    in_flight: AtomicUsize,
    gate: Notify,
}

impl ScriptedProvider {
    /// Returns the number of tokens verified so far. A malformed token is refused without a call
    /// and does not count.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Returns the number of calls that have neither finished nor been dropped.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until a call is in flight. Panics after 20 seconds.
    pub(crate) fn wait_for_call(&self) {
        eventually("the provider is called", || self.in_flight() > 0);
    }

    /// Lets one call with the token `slow` finish.
    pub(crate) fn release_slow_call(&self) {
        self.0.gate.notify_one();
    }
}

struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl HumanCheck for ScriptedProvider {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&HCAPTCHA)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match submission.token_for(&HCAPTCHA, human_check_core::MAX_TOKEN_BYTES) {
            Ok(token) => token,
            Err(refusal) => return Ok(refusal.into()),
        };
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        let _guard = InFlight(&self.0.in_flight);
        let error = |kind| Err(CheckError::new(kind, &HCAPTCHA, "scripted"));
        match token {
            "good" => Ok(Verdict::Human(Facts::new(&HCAPTCHA))),
            "slow" => {
                self.0.gate.notified().await;
                Ok(Verdict::Human(Facts::new(&HCAPTCHA)))
            }
            "down" => error(ErrorKind::Unavailable),
            "wrong-key" => error(ErrorKind::Misconfigured),
            "replayed" => Ok(Refusal::new(Reason::Replayed).into()),
            _ => Ok(Refusal::new(Reason::Invalid).into()),
        }
    }
}

/// Waits until `holds` returns true. Panics with `what` after 20 seconds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

/// A running example application.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) framework: Framework,
    pub(crate) address: SocketAddr,
    pub(crate) provider: ScriptedProvider,
}

impl App {
    pub(crate) fn connect(&self) -> Connection {
        Connection::to(self.address)
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> Response {
        let response = self.connect().send(request);
        response.unwrap_or_else(|| panic!("{:?} closed without a response", self.framework))
    }

    /// Sends one request, and returns the response and the number of calls to the provider.
    pub(crate) fn send_counting_calls(&self, request: &Request) -> (Response, usize) {
        let before = self.provider.calls();
        let response = self.send(request);
        (response, self.provider.calls() - before)
    }
}

/// The default sizes, with timeouts that are long enough for a slow machine.
pub(crate) fn limits() -> BodyLimits {
    BodyLimits::default()
        .with_body_timeout(Duration::from_secs(20))
        .with_upload_timeout(Duration::from_secs(20))
}

/// Starts the example of each framework with a scripted provider.
pub(crate) fn apps() -> Vec<App> {
    apps_with(|builder| builder.with_body_limits(limits()))
}

/// Starts the example of each framework with a guard that `configure` changes.
pub(crate) fn apps_with(configure: impl Fn(GuardBuilder) -> GuardBuilder) -> Vec<App> {
    let start = |framework| {
        let provider = ScriptedProvider::default();
        let builder = configure(Guard::builder(provider.clone()));
        let signup = builder.build(RoutePolicy::fail_closed("signup")).unwrap();
        let comments = signup
            .with_policy(RoutePolicy::fail_closed("comments"))
            .unwrap();
        App {
            framework,
            address: serve(framework, Guards::new(signup, comments)),
            provider,
        }
    };
    Framework::ALL.map(start).into()
}

/// Starts an example and returns its address. The example runs until the process ends.
pub(crate) fn serve(framework: Framework, guards: Guards) -> SocketAddr {
    match framework {
        Framework::Actix => {
            let (listener, address) = listen();
            thread::spawn(move || {
                let server = async { example_actix_signup::server(guards, listener)?.await };
                actix_web::rt::System::new().block_on(server)
            });
            address
        }
        Framework::Axum => {
            let (listener, address) = listen();
            let app = example_axum_login::app(guards).unwrap();
            in_tokio(move || example_axum_login::serve(app, listener));
            address
        }
        Framework::Rocket => launch(move |config| example_rocket_comments::rocket(guards, config)),
    }
}

/// Binds a free port.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Runs a future on a runtime and thread of its own.
pub(crate) fn in_tokio<F: Future>(future: impl FnOnce() -> F + Send + 'static) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(future());
    });
}

/// Launches a Rocket instance on a free port and returns its address.
pub(crate) fn launch(
    build: impl FnOnce(rocket::Config) -> rocket::Rocket<rocket::Build> + Send + 'static,
) -> SocketAddr {
    let config = rocket::Config {
        port: 0,
        shutdown: rocket::config::Shutdown {
            ctrlc: false,
            ..Default::default()
        },
        ..example_rocket_comments::config()
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    in_tokio(move || {
        let report = rocket::fairing::AdHoc::on_liftoff("report the address", move |rocket| {
            let config = rocket.config();
            sender
                .send(SocketAddr::new(config.address, config.port))
                .unwrap();
            Box::pin(async {})
        });
        build(config).attach(report).launch()
    });
    receiver.recv().unwrap()
}
