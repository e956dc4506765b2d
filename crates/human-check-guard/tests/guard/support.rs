use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use human_check_guard::integration::{Decision, SubmittedTokens};
use human_check_guard::{Guard, RequestHead, RoutePolicy};
use human_check_testkit::Scripted;

pub(crate) fn closed() -> RoutePolicy {
    RoutePolicy::fail_closed("signup")
}

pub(crate) fn guard(check: &Scripted, policy: RoutePolicy) -> Guard {
    Guard::new(check.clone(), policy).unwrap()
}

pub(crate) fn token(guard: &Guard, text: &str) -> SubmittedTokens {
    let mut tokens = SubmittedTokens::none();
    let field = guard.fields().find("scripted-response").unwrap();
    tokens.push(field, text);
    tokens
}

pub(crate) async fn decide(guard: &Guard, head: &Head, text: &str) -> Decision {
    guard
        .inspect(head)
        .with_tokens(token(guard, text))
        .decide()
        .await
}

/// Decides about a request with this token in this field.
pub(crate) async fn token_of(guard: &Guard, field: &str, text: &str) -> Decision {
    let mut tokens = SubmittedTokens::none();
    tokens.push(guard.fields().find(field).unwrap(), text);
    guard
        .inspect(&Head::new())
        .with_tokens(tokens)
        .decide()
        .await
}

/// The head of a request, built by a test.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) peer: Option<IpAddr>,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self {
            peer: Some("203.0.113.7".parse().unwrap()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.headers {
            line(name, value);
        }
    }
}

/// The text of the events that are logged while it lives, for tests with one thread.
#[derive(Debug)]
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _default: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn capture() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&writer)))
            .finish();
        Self {
            text,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the events of this level.
    pub(crate) fn of(&self, level: &str) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!(" {level} ")));
        lines.map(str::to_owned).collect()
    }
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
