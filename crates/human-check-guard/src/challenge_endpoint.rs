use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::{
    ChallengeIssuer, ChallengeRequest, CheckError, ConfigError, ErrorKind, Provider,
};
use serde_json::json;

use crate::{
    AttemptKey, AttemptStore, ClientAddress, Guard, GuardResponse, MemoryAttemptStore, RequestHead,
};

/// What an endpoint tokens that hands challenges to pages, minus the framework.
///
/// It counts what each address takes and stops at a limit; the count goes on to the issuer, which may
/// ask for more work. No answer may be kept by a cache.
///
/// | | |
/// | --- | --- |
/// | 200 | the challenge, as JSON |
/// | 400 | what it is to be bound to is longer than 256 bytes, such as a cookie that was tampered with |
/// | 429 | this address took too many; `Retry-After` |
/// | 503 | none could be had now: the issuer is busy or down; `Retry-After` |
/// | 500 | our configuration is wrong |
///
/// Failures are JSON with a member `error`, a sentence that a widget may show.
///
/// An unknown address, such as behind a Unix socket, shares one count with all other unknown ones. A
/// store that is full counts addresses that it does not know as having taken very many. One that fails
/// turns nobody away, since a challenge lets nobody in, and the issuer is told the max_requests there can be.
#[derive(Clone)]
pub struct ChallengeEndpoint(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    issuer: Arc<dyn ChallengeIssuer>,
    guard: Option<Guard>,
    action: Option<Cow<'static, str>>,
    binding: Option<Binding>,
    client: Option<ClientAddress>,
    attempts: Arc<dyn AttemptStore>,
    max_requests: u32,
    window: Duration,
}

/// In bytes. Sessions and accounts have shorter names.
const MAX_BINDING_BYTES: usize = 256;

type Binding = Arc<dyn Fn(&dyn RequestHead) -> Option<String> + Send + Sync>;

impl ChallengeEndpoint {
    /// ChallengeEndpoint for nothing in particular: 30 a minute for each address, counted in this process for
    /// up to 100,000 addresses.
    pub fn new(issuer: impl ChallengeIssuer) -> Self {
        Self(Arc::new(Inner {
            issuer: Arc::new(issuer),
            guard: None,
            action: None,
            binding: None,
            client: None,
            attempts: Arc::new(MemoryAttemptStore::new(100_000)),
            max_requests: 30,
            window: Duration::from_secs(60),
        }))
    }

    /// For a form that leads to the routes of `guard`: ties challenges to its action, and learns
    /// visitors' addresses as it does. Follows it when it is [replaced](Guard::replace). What is said
    /// here besides comes first.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        self.with(|inner| inner.guard = Some(guard))
    }

    /// Ties them to what the page's form is for. The route that expects this action takes no other.
    #[must_use]
    pub fn with_action(self, action: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.action = Some(action.into()))
    }

    /// Ties each to what `binding` finds in the request that asks for it, such as the session of a
    /// cookie. Where it finds nothing nothing is bound, and a route that expects a binding refuses.
    #[must_use]
    pub fn with_binding(
        self,
        binding: impl Fn(&dyn RequestHead) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.binding = Some(Arc::new(binding)))
    }

    /// Learns visitors' addresses from a proxy. Default: the socket's address, and no header.
    #[must_use]
    pub fn with_client_address(self, client: ClientAddress) -> Self {
        self.with(|inner| inner.client = Some(client))
    }

    /// Counts elsewhere, for several machines or by another clock.
    #[must_use]
    pub fn with_attempt_store(self, attempts: impl AttemptStore) -> Self {
        self.with(|inner| inner.attempts = Arc::new(attempts))
    }

    /// Lets each address take `max_requests` within `window`, which begins with its first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when either is zero.
    pub fn with_rate(self, max_requests: u32, window: Duration) -> Result<Self, ConfigError> {
        if max_requests == 0 || window.is_zero() {
            return Err(ConfigError::new(
                "rate",
                format!("is {max_requests} in {window:?}"),
                "let each address take at least one in more than no time",
            ));
        }
        Ok(self.with(|inner| (inner.max_requests, inner.window) = (max_requests, window)))
    }

    /// Whose challenges they are.
    pub fn provider(&self) -> &Provider {
        self.0.issuer.provider()
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Hears a request, and makes the answer apart from it, so that no future holds the request.
    pub fn prepare(&self, head: &dyn RequestHead) -> PendingChallenge {
        let guard = self.0.guard.as_ref().map(Guard::snapshot);
        let address = match (&self.0.client, &guard) {
            (None, Some(guard)) => guard.client_ip(head),
            (None, None) => ClientAddress::socket().resolve(head),
            (Some(client), _) => client.resolve(head),
        };
        let theirs = guard
            .as_ref()
            .and_then(|guard| guard.policy().action.as_ref());
        let mut request = ChallengeRequest::new();
        if let Some(action) = self.0.action.as_ref().or(theirs) {
            request = request.with_action(action.clone());
        }
        if let Some(ip) = address {
            request = request.with_client_ip(ip);
        }
        if let Some(binding) = self.0.binding.as_ref().and_then(|find| find(head)) {
            request = request.with_binding(binding);
        }
        let key = match address {
            Some(ip) => AttemptKey::challenges(ip),
            None => AttemptKey::named("challenges:unknown address"),
        };
        PendingChallenge {
            challenges: self.clone(),
            request,
            key,
        }
    }
}

impl fmt::Debug for ChallengeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChallengeEndpoint")
            .field("issuer", &self.0.issuer)
            .field("action", &self.0.action)
            .field("max_requests", &self.0.max_requests)
            .field("window", &self.0.window)
            .finish_non_exhaustive()
    }
}

/// A request for a challenge, pending and not yet answered.
#[derive(Debug)]
#[must_use = "nobody is answered until this is"]
pub struct PendingChallenge {
    challenges: ChallengeEndpoint,
    request: ChallengeRequest,
    key: AttemptKey,
}

impl PendingChallenge {
    /// The answer. Dropping the future leaves the request counted or not.
    pub async fn respond(self) -> GuardResponse {
        // A visitor may have written it, and no error of ours may come of that.
        let bound = self.request.binding().map_or(0, str::len);
        if bound > MAX_BINDING_BYTES {
            return failure(400, "Please load the page again.", None);
        }
        let Inner {
            issuer,
            attempts,
            max_requests,
            window,
            ..
        } = &*self.challenges.0;
        let taken = match attempts.add(&self.key, *window).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(
                    target: "human_check_guard",
                    error = &error as &dyn std::error::Error,
                    "challenges are not counted"
                );
                *max_requests
            }
        };
        if taken > *max_requests {
            return failure(
                429,
                "Too many attempts. Please wait a little and try again.",
                Some(*window),
            );
        }
        let request = self.request.with_earlier(taken.saturating_sub(1));
        match issuer.issue(&request).await {
            Ok(challenge) => answer(200, challenge.json().to_owned()),
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &CheckError) -> GuardResponse {
    let ours = error.kind() == ErrorKind::Misconfigured;
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(
                target: "human_check_guard",
                provider = error.provider().name(),
                decision = error.kind().name(),
                reason = error.reason(),
                error = error as &dyn std::error::Error,
                "no challenge was issued"
            )
        };
    }
    if ours {
        tell!(error);
        return failure(500, "The check is not set up correctly.", None);
    }
    tell!(warn);
    let wait = error.retry_after().unwrap_or(Duration::from_secs(5));
    failure(
        503,
        "The check is busy. Please try again in a moment.",
        Some(wait),
    )
}

fn failure(status: u16, error: &str, wait: Option<Duration>) -> GuardResponse {
    let mut answer = answer(status, json!({"error": error}).to_string());
    if let Some(wait) = wait {
        let seconds = wait.as_secs().clamp(1, 3_600).to_string();
        answer.headers.push(("retry-after", seconds.into()));
    }
    answer
}

fn answer(status: u16, body: String) -> GuardResponse {
    GuardResponse {
        status,
        headers: vec![
            ("content-type", "application/json".into()),
            ("cache-control", "no-store".into()),
            ("x-content-type-options", "nosniff".into()),
        ],
        body,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Mutex;

    use human_check_core::adapter::async_trait;
    use human_check_core::{Challenge, Provider};

    use super::*;
    use crate::AttemptStoreError;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    /// Issues what it was asked for, or fails.
    #[derive(Debug, Default)]
    struct Issuer {
        asked: Mutex<Vec<ChallengeRequest>>,
        fails: Option<ErrorKind>,
    }

    #[async_trait]
    impl ChallengeIssuer for Issuer {
        fn provider(&self) -> &Provider {
            &ACME
        }

        async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
            self.asked.lock().unwrap().push(request.clone());
            match self.fails {
                Some(kind) => Err(CheckError::new(kind, &ACME, "for-the-test")),
                None => Ok(Challenge::new(r#"{"challenge":1}"#)),
            }
        }
    }

    struct From(Option<IpAddr>);

    impl RequestHead for From {
        fn method(&self) -> &str {
            "GET"
        }

        fn peer(&self) -> Option<IpAddr> {
            self.0
        }

        fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
            line("x-session", b"s-7");
            line("x-forwarded-for", b"203.0.113.9");
        }
    }

    fn from(ip: &str) -> From {
        From(Some(ip.parse().unwrap()))
    }

    fn header<'a>(answer: &'a GuardResponse, name: &str) -> Option<&'a str> {
        let found = answer.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| &**value)
    }

    #[tokio::test]
    async fn a_challenge_is_json_that_nobody_may_keep() {
        let issuer = Arc::new(Issuer::default());
        let challenges = ChallengeEndpoint::new(Arc::clone(&issuer))
            .with_action("signup")
            .with_binding(|head| {
                let mut session = None;
                head.header("x-session", &mut |line| {
                    session = String::from_utf8(line.to_vec()).ok();
                });
                session
            });
        let answer = challenges.prepare(&from("203.0.113.7")).respond().await;
        assert_eq!((answer.status, &*answer.body), (200, r#"{"challenge":1}"#));
        assert_eq!(header(&answer, "content-type"), Some("application/json"));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        let asked = issuer.asked.lock().unwrap();
        assert_eq!(asked[0].action(), Some("signup"));
        assert_eq!(asked[0].binding(), Some("s-7"));
        assert_eq!(asked[0].client_ip(), Some("203.0.113.7".parse().unwrap()));
    }

    #[tokio::test]
    async fn an_address_that_takes_too_many_waits_and_no_other_does() {
        let issuer = Arc::new(Issuer::default());
        let challenges = ChallengeEndpoint::new(Arc::clone(&issuer))
            .with_rate(3, Duration::from_secs(60))
            .unwrap();
        for _ in 0..3 {
            let answer = challenges.prepare(&from("2001:db8::1")).respond().await;
            assert_eq!(answer.status, 200);
        }
        for same_network in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"] {
            let answer = challenges.prepare(&from(same_network)).respond().await;
            assert_eq!(answer.status, 429, "{same_network}");
            assert_eq!(header(&answer, "retry-after"), Some("60"));
            assert!(answer.body.contains("\"error\""));
        }
        assert_eq!(
            challenges
                .prepare(&from("203.0.113.7"))
                .respond()
                .await
                .status,
            200
        );
        let earlier: Vec<_> = {
            let asked = issuer.asked.lock().unwrap();
            asked.iter().map(ChallengeRequest::earlier).collect()
        };
        assert_eq!(
            earlier,
            [0, 1, 2, 0],
            "whom it turned away it did not ask for"
        );
    }

    #[tokio::test]
    async fn addresses_nobody_knows_share_one_count() {
        let challenges = ChallengeEndpoint::new(Issuer::default())
            .with_rate(1, Duration::from_secs(60))
            .unwrap();
        assert_eq!(challenges.prepare(&From(None)).respond().await.status, 200);
        assert_eq!(challenges.prepare(&From(None)).respond().await.status, 429);
    }

    #[tokio::test]
    async fn a_guard_says_what_for_and_from_where_also_after_it_was_replaced() {
        use crate::RoutePolicy;
        use human_check_testkit::Scripted;

        let guard = |action, client| {
            let policy = RoutePolicy::fail_closed("signup").with_action(action);
            let builder = Guard::builder(
                Scripted::human().reporting(
                    human_check_core::Capabilities::nothing()
                        .sometimes(human_check_core::FactKind::Action),
                ),
            );
            builder.with_client_address(client).build(policy).unwrap()
        };
        let behind = ClientAddress::x_forwarded_for(["10.0.0.1"]).unwrap();
        let first = guard("signup", ClientAddress::socket()).into_replaceable();
        let issuer = Arc::new(Issuer::default());
        let challenges = ChallengeEndpoint::new(Arc::clone(&issuer)).with_guard(first.clone());
        assert_eq!(
            challenges.prepare(&from("10.0.0.1")).respond().await.status,
            200
        );
        Guard::replace(&[(&first, &guard("register", behind))]).unwrap();
        assert_eq!(
            challenges.prepare(&from("10.0.0.1")).respond().await.status,
            200
        );
        let own = challenges.with_action("login");
        assert_eq!(own.prepare(&from("10.0.0.1")).respond().await.status, 200);
        let asked = issuer.asked.lock().unwrap();
        let inspected = asked.iter().map(|request| {
            let ip = request.client_ip().unwrap();
            (request.action().unwrap(), ip.to_string())
        });
        assert_eq!(
            inspected.collect::<Vec<_>>(),
            [
                ("signup", "10.0.0.1".to_owned()),
                ("register", "203.0.113.9".to_owned()),
                ("login", "203.0.113.9".to_owned()),
            ]
        );
    }

    /// Cannot count.
    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl AttemptStore for Broken {
        async fn add(&self, _: &AttemptKey, _: Duration) -> Result<u32, AttemptStoreError> {
            Err(AttemptStoreError::new("for the test"))
        }

        async fn count(&self, _: &AttemptKey) -> Result<u32, AttemptStoreError> {
            Err(AttemptStoreError::new("for the test"))
        }

        async fn clear(&self, _: &AttemptKey) -> Result<(), AttemptStoreError> {
            Err(AttemptStoreError::new("for the test"))
        }
    }

    #[tokio::test]
    async fn a_flood_from_everywhere_is_bounded_and_a_broken_store_counts_nobody() {
        let full = ChallengeEndpoint::new(Issuer::default())
            .with_attempt_store(MemoryAttemptStore::new(2));
        let statuses = [1, 2, 3, 1].map(|n| {
            let head = from(&format!("203.0.113.{n}"));
            full.prepare(&head)
        });
        let mut inspected = Vec::new();
        for pending in statuses {
            inspected.push(pending.respond().await.status);
        }
        assert_eq!(inspected, [200, 200, 429, 200], "no known address suffers");
        let issuer = Arc::new(Issuer::default());
        let broken = ChallengeEndpoint::new(Arc::clone(&issuer)).with_attempt_store(Broken);
        assert_eq!(
            broken.prepare(&from("203.0.113.7")).respond().await.status,
            200
        );
        let asked = issuer.asked.lock().unwrap();
        assert_eq!(asked[0].earlier(), 29, "nobody gets the easiest work by it");
    }

    #[tokio::test]
    async fn what_a_visitor_wants_bound_is_no_error_of_ours_however_long() {
        let issuer = Arc::new(Issuer::default());
        for (length, status) in [(256, 200), (257, 400), (100_000, 400)] {
            let challenges = ChallengeEndpoint::new(Arc::clone(&issuer))
                .with_binding(move |_| Some("ü".repeat(length / 2) + &"x".repeat(length % 2)));
            let answer = challenges.prepare(&from("203.0.113.7")).respond().await;
            assert_eq!(answer.status, status, "{length}");
        }
        assert_eq!(issuer.asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_issued_is_told_apart_and_says_nothing_of_why() {
        for (kind, status) in [
            (ErrorKind::Declined, 503),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Protocol, 503),
            (ErrorKind::Misconfigured, 500),
        ] {
            let issuer = Issuer {
                fails: Some(kind),
                ..Issuer::default()
            };
            let answer = ChallengeEndpoint::new(issuer)
                .prepare(&from("203.0.113.7"))
                .respond()
                .await;
            assert_eq!(answer.status, status, "{kind}");
            assert_eq!(header(&answer, "retry-after").is_some(), status == 503);
            assert!(!answer.body.contains("for-the-test") && !answer.body.contains("acme"));
        }
    }

    #[test]
    fn a_rate_that_lets_nobody_have_one_is_refused() {
        let challenges = || ChallengeEndpoint::new(Issuer::default());
        assert!(challenges().with_rate(0, Duration::from_secs(1)).is_err());
        assert!(challenges().with_rate(1, Duration::ZERO).is_err());
    }
}
