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

/// A provider whose tokens say what it will make of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderKind(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: AtomicUsize,
    in_flight: AtomicUsize,
    gate: Notify,
}

impl ProviderKind {
    /// How many tokens it was asked about. One that cannot be a token is not asked about.
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// How many questions it has not answered, and that nobody dropped.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until a question is open, or gives up loudly.
    pub(crate) fn wait_for_a_question(&self) {
        eventually("the provider is asked", || self.in_flight() > 0);
    }

    /// Replies to a question about `slow`.
    pub(crate) fn open(&self) {
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
impl HumanCheck for ProviderKind {
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
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        let _in_flight = InFlight(&self.0.in_flight);
        let error = |kind| Err(CheckError::new(kind, &HCAPTCHA, "scripted"));
        match token {
            "good" => Ok(Verdict::Human(Facts::new(&HCAPTCHA))),
            "slow" => {
                self.0.gate.notified().await;
                Ok(Verdict::Human(Facts::new(&HCAPTCHA)))
            }
            "down" => error(ErrorKind::Unavailable),
            "wrong-key" => error(ErrorKind::Misconfigured),
            "spent" => Ok(Refusal::new(Reason::Replayed).into()),
            _ => Ok(Refusal::new(Reason::Invalid).into()),
        }
    }
}

/// Waits until something is as it should be, or gives up loudly.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

/// A running example.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) framework: Framework,
    pub(crate) address: SocketAddr,
    pub(crate) provider: ProviderKind,
}

impl App {
    pub(crate) fn connect(&self) -> Connection {
        Connection::to(self.address)
    }

    /// Sends one request on a connection of its own.
    pub(crate) fn send(&self, request: &Request) -> Response {
        let answer = self.connect().send(request);
        answer.unwrap_or_else(|| panic!("{:?} closed without an answer", self.framework))
    }

    /// The answer, and how many tokens the provider was asked about for it.
    pub(crate) fn ask(&self, request: &Request) -> (Response, usize) {
        let before = self.provider.asked();
        let response = self.send(request);
        (response, self.provider.asked() - before)
    }
}

/// Reads as much as the default, and waits as long as a slow machine may need.
pub(crate) fn limits() -> BodyLimits {
    BodyLimits::default()
        .with_body_timeout(Duration::from_secs(20))
        .with_upload_timeout(Duration::from_secs(20))
}

/// The examples in front of a scripted provider.
pub(crate) fn everywhere() -> Vec<App> {
    with(|builder| builder.with_body_limits(limits()))
}

pub(crate) fn with(set_up: impl Fn(GuardBuilder) -> GuardBuilder) -> Vec<App> {
    let start = |framework| {
        let provider = ProviderKind::default();
        let builder = set_up(Guard::builder(provider.clone()));
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

/// Starts an example. It runs until the tests end.
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

pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

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

/// Starts a Rocket and says where it is.
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
    let (said, pending) = std::sync::mpsc::channel();
    in_tokio(move || {
        let say = rocket::fairing::AdHoc::on_liftoff("say", move |rocket| {
            let config = rocket.config();
            said.send(SocketAddr::new(config.address, config.port))
                .unwrap();
            Box::pin(async {})
        });
        build(config).attach(say).launch()
    });
    pending.recv().unwrap()
}
