use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use human_check_core::{ReplayStore, probe_replay_store};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{AttemptStore, Guard, GuardResponse, probe_attempt_store};

/// How long the result of an examination is used.
const KEPT: Duration = Duration::from_secs(10);

/// How old a result may be that is used while a new examination is under way.
const MAX_AGE: Duration = Duration::from_secs(30);

/// How long the probe of a store may take.
const TIMEOUT: Duration = Duration::from_millis(900);

/// The endpoints by which a load balancer or an orchestrator finds out whether to send requests to this
/// process, without a framework. `health_routes` of the framework's crate has routes for them.
///
/// | endpoint | status | when |
/// | --- | --- | --- |
/// | [`live`](Self::live) | 200 | always: the process replies |
/// | [`ready`](Self::ready) | 200 | no part that was named is failing; without such a part always |
/// | | 503 | a part is failing; the log names it |
///
/// Name a part only if this process should get no requests while it fails. A store that all processes
/// share takes all of them out at once, and the account of a provider does so in each of its outages.
/// A fallback, and the outage policy of each route, are there for that.
///
/// Anyone may call it: the parts are examined once in ten seconds at most, and that goes on if the client
/// leaves. No provider is called, apart from the health probes of accounts that are down, which requests
/// cause as well. The body names no part, because an attacker may wait for a store to fail; a `WARN`
/// event of the target `human_check_guard` does when it changes.
///
/// ```
/// use std::sync::Arc;
///
/// use human_check_core::MemoryReplayStore;
/// use human_check_guard::HealthEndpoint;
///
/// let store = Arc::new(MemoryReplayStore::new(100_000));
/// let endpoint = HealthEndpoint::new().with_replay_store(store);
/// # async fn check(endpoint: HealthEndpoint) {
/// assert_eq!(endpoint.ready().await.status, 200);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct HealthEndpoint {
    parts: Parts,
    state: Arc<State>,
}

#[derive(Clone, Default)]
struct Parts {
    replay: Option<Arc<dyn ReplayStore>>,
    attempts: Option<Arc<dyn AttemptStore>>,
    guards: Option<Guards>,
}

/// Returns the guards whose accounts count.
type Guards = Arc<dyn Fn() -> Vec<Guard> + Send + Sync>;

#[derive(Default)]
struct State {
    /// Held while the parts are examined.
    examining: Arc<tokio::sync::Mutex<()>>,
    last: Mutex<Option<Examined>>,
}

/// The names of the parts that fail, and when they were examined.
#[derive(Clone)]
struct Examined {
    at: Instant,
    failing: Arc<[String]>,
}

impl HealthEndpoint {
    /// Creates endpoints that depend on nothing but this process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the replay store: this process is not ready while a claim fails. Default: none.
    #[must_use]
    pub fn with_replay_store(self, store: impl ReplayStore) -> Self {
        self.with_parts(|parts| parts.replay = Some(Arc::new(store)))
    }

    /// Adds the attempt store: this process is not ready while it cannot count. Default: none.
    #[must_use]
    pub fn with_attempt_store(self, store: impl AttemptStore) -> Self {
        self.with_parts(|parts| parts.attempts = Some(Arc::new(store)))
    }

    /// Adds the accounts of guards: this process is not ready while all accounts of a guard's default
    /// list are down, see [`Guard::has_working_account`]. `guards` is called for each examination.
    /// Default: none.
    #[must_use]
    pub fn with_guards(self, guards: impl Fn() -> Vec<Guard> + Send + Sync + 'static) -> Self {
        self.with_parts(|parts| parts.guards = Some(Arc::new(guards)))
    }

    fn with_parts(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(&mut self.parts);
        // Other parts have results of their own.
        self.state = Arc::default();
        self
    }

    /// Returns the response of the endpoint that says whether the process replies.
    pub fn live(&self) -> GuardResponse {
        response(200, &json!({ "status": "live" }))
    }

    /// Returns the response of the endpoint that says whether to send requests here. It takes about a
    /// second at most. Dropping the future does not end an examination.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn ready(&self) -> GuardResponse {
        match self.failing().await.is_empty() {
            true => response(200, &json!({ "status": "ready" })),
            false => response(503, &json!({ "status": "not-ready" })),
        }
    }

    /// Returns the names of the parts that fail, by the last examination or a new one.
    async fn failing(&self) -> Arc<[String]> {
        if let Some(failing) = self.state.last(KEPT) {
            return failing;
        }
        match Arc::clone(&self.state.examining).try_lock_owned() {
            Ok(examining) => {
                let (parts, state) = (self.parts.clone(), Arc::clone(&self.state));
                // A task of its own, so that a client that leaves does not leave an old result.
                let examined = tokio::spawn(async move {
                    let failing = parts.failing().await;
                    state.note(failing);
                    drop(examining);
                });
                // A probe that panics has no result.
                let _ = examined.await;
            }
            Err(_) => {
                if let Some(failing) = self.state.last(MAX_AGE) {
                    return failing;
                }
                drop(self.state.examining.lock().await);
            }
        }
        let failing = self.state.last(KEPT);
        failing.unwrap_or_else(|| Arc::new(["examination".to_owned()]))
    }
}

impl State {
    /// Returns the last result, if it is not older than `age`.
    fn last(&self, age: Duration) -> Option<Arc<[String]>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| last.at.elapsed() < age)?;
        Some(Arc::clone(&last.failing))
    }

    /// Keeps a result, and logs it if it differs from the last one.
    fn note(&self, failing: Vec<String>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.as_ref().map_or(&[][..], |last| &last.failing);
        match before == failing {
            true => {}
            false if failing.is_empty() => {
                tracing::info!(target: "human_check_guard", "this process is ready again");
            }
            false => {
                let failing = failing.join(", ");
                tracing::warn!(target: "human_check_guard", failing, "this process is not ready");
            }
        }
        *last = Some(Examined {
            at: Instant::now(),
            failing: failing.into(),
        });
    }
}

impl Parts {
    async fn failing(&self) -> Vec<String> {
        let (replay, attempts) = tokio::join!(
            async {
                match &self.replay {
                    Some(store) => works(probe_replay_store(&**store)).await,
                    None => true,
                }
            },
            async {
                match &self.attempts {
                    Some(store) => works(probe_attempt_store(&**store)).await,
                    None => true,
                }
            }
        );
        let mut failing = Vec::new();
        for (name, works) in [("replay_store", replay), ("attempt_store", attempts)] {
            if !works {
                failing.push(name.to_owned());
            }
        }
        let guards = self.guards.iter().flat_map(|guards| guards());
        for guard in guards.filter(|guard| !guard.has_working_account()) {
            failing.push(format!("routes.{}", guard.snapshot().policy().name()));
        }
        failing
    }
}

/// Returns whether a probe succeeds in time.
async fn works<T, E>(probe: impl Future<Output = Result<T, E>>) -> bool {
    matches!(timeout(TIMEOUT, probe).await, Ok(Ok(_)))
}

fn response(status: u16, body: &serde_json::Value) -> GuardResponse {
    GuardResponse {
        status,
        headers: vec![
            ("content-type", "application/json".into()),
            ("cache-control", "no-store".into()),
        ],
        body: body.to_string(),
    }
}

impl fmt::Debug for HealthEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthEndpoint")
            .field("replay_store", &self.parts.replay.is_some())
            .field("attempt_store", &self.parts.attempts.is_some())
            .field("guards", &self.parts.guards.is_some())
            .finish_non_exhaustive()
    }
}
