use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use human_check_core::{ReplayStore, probe_replay_store};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{AttemptStore, Guard, GuardResponse, probe_attempt_store};

/// How long the result of an examination is used.
const KEPT: Duration = Duration::from_secs(10);

/// How long the probe of a store may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The endpoints by which a load balancer or an orchestrator finds out whether to send requests to this
/// process, without a framework. `health_routes` of the framework's crate has routes for them.
///
/// | endpoint | status | when |
/// | --- | --- | --- |
/// | [`live`](Self::live) | 200 | always: the process replies |
/// | [`ready`](Self::ready) | 200 | no part that was named is failing; without such a part always |
/// | | 503 | a part is failing; the body names it |
///
/// Name a part only if this process should get no requests while it fails. A store that all processes
/// share takes all of them out at once, and the account of a provider does so in each of its outages.
/// A fallback, and the outage policy of each route, are there for that.
///
/// Anyone may call it: the parts are examined once in ten seconds at most, by one call at a time, and no
/// provider is called for it. The body names parts, and no address.
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
    guards: Vec<Guard>,
}

#[derive(Default)]
struct State {
    /// Held by the call that examines.
    examining: tokio::sync::Mutex<()>,
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

    /// Adds the accounts of a guard: this process is not ready while all accounts of the guard's default
    /// list are down, see [`Guard::has_working_account`]. Default: none.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        self.with_parts(|parts| parts.guards.push(guard))
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

    /// Returns the response of the endpoint that says whether to send requests here.
    ///
    /// Dropping the future ends its examination, and the next call makes another one.
    pub async fn ready(&self) -> GuardResponse {
        let failing = self.failing().await;
        match failing.is_empty() {
            true => response(200, &json!({ "status": "ready" })),
            false => response(
                503,
                &json!({ "status": "not-ready", "failing": &failing[..] }),
            ),
        }
    }

    /// Returns the names of the parts that fail, by the last examination or a new one.
    async fn failing(&self) -> Arc<[String]> {
        let last = || {
            let last = self.state.last.lock();
            last.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let is_fresh = |examined: &Examined| examined.at.elapsed() < KEPT;
        if let Some(examined) = last().filter(is_fresh) {
            return examined.failing;
        }
        let _examining = match (self.state.examining.try_lock(), last()) {
            (Ok(examining), _) => examining,
            // Another call examines. Until it has ended, the result of before holds.
            (Err(_), Some(examined)) => return examined.failing,
            (Err(_), None) => self.state.examining.lock().await,
        };
        if let Some(examined) = last().filter(is_fresh) {
            return examined.failing;
        }
        let failing: Arc<[String]> = self.parts.failing().await.into();
        let examined = Examined {
            at: Instant::now(),
            failing: Arc::clone(&failing),
        };
        *self
            .state
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(examined);
        failing
    }
}

impl Parts {
    async fn failing(&self) -> Vec<String> {
        let mut failing = Vec::new();
        if let Some(store) = &self.replay
            && !works(probe_replay_store(&**store)).await
        {
            failing.push("replay_store".to_owned());
        }
        if let Some(store) = &self.attempts
            && !works(probe_attempt_store(&**store)).await
        {
            failing.push("attempt_store".to_owned());
        }
        for guard in &self.guards {
            if !guard.has_working_account() {
                failing.push(format!("routes.{}", guard.snapshot().policy().name()));
            }
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
            .field("guards", &self.parts.guards.len())
            .finish_non_exhaustive()
    }
}
