use std::net::IpAddr;
use std::sync::Mutex;

use human_check_core::adapter::async_trait;
use human_check_core::{Challenge, CheckError, ErrorKind, Provider};

use super::*;
use crate::{AttemptStoreError, GuardResponse};

static ACME: Provider = Provider::new("acme", &["acme-response"]);

/// Records each request, and issues a challenge or fails.
#[derive(Debug, Default)]
struct Issuer {
    requests: Mutex<Vec<ChallengeRequest>>,
    fails: Option<ErrorKind>,
}

#[async_trait]
impl ChallengeIssuer for Issuer {
    fn provider(&self) -> &Provider {
        &ACME
    }

    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        self.requests.lock().unwrap().push(request.clone());
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

fn header<'a>(response: &'a GuardResponse, name: &str) -> Option<&'a str> {
    let found = response.headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| &**value)
}

#[tokio::test]
async fn a_challenge_is_json_that_no_cache_may_keep() {
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
    let response = challenges.prepare(&from("203.0.113.7")).respond().await;
    assert_eq!(
        (response.status, &*response.body),
        (200, r#"{"challenge":1}"#)
    );
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let requests = issuer.requests.lock().unwrap();
    assert_eq!(requests[0].action(), Some("signup"));
    assert_eq!(requests[0].binding(), Some("s-7"));
    assert_eq!(
        requests[0].client_ip(),
        Some("203.0.113.7".parse().unwrap())
    );
}

#[tokio::test]
async fn an_address_that_takes_too_many_waits_and_no_other_does() {
    let issuer = Arc::new(Issuer::default());
    let challenges = ChallengeEndpoint::new(Arc::clone(&issuer))
        .with_rate(3, Duration::from_secs(60))
        .unwrap();
    for _ in 0..3 {
        let response = challenges.prepare(&from("2001:db8::1")).respond().await;
        assert_eq!(response.status, 200);
    }
    for same_network in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"] {
        let response = challenges.prepare(&from(same_network)).respond().await;
        assert_eq!(response.status, 429, "{same_network}");
        assert_eq!(header(&response, "retry-after"), Some("60"));
        assert!(response.body.contains("\"error\""));
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
        let requests = issuer.requests.lock().unwrap();
        requests.iter().map(ChallengeRequest::earlier).collect()
    };
    assert_eq!(
        earlier,
        [0, 1, 2, 0],
        "the issuer is not called beyond the limit"
    );
}

#[tokio::test]
async fn unknown_addresses_share_one_count() {
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
        let builder = Guard::builder(Scripted::human().with_capabilities(
            human_check_core::Capabilities::nothing().sometimes(human_check_core::FactKind::Action),
        ));
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
    let requests = issuer.requests.lock().unwrap();
    let seen = requests.iter().map(|request| {
        let ip = request.client_ip().unwrap();
        (request.action().unwrap(), ip.to_string())
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            ("signup", "10.0.0.1".to_owned()),
            ("register", "203.0.113.9".to_owned()),
            ("login", "203.0.113.9".to_owned()),
        ]
    );
}

/// A store that fails.
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
async fn a_flood_from_everywhere_is_bounded_and_a_broken_store_counts_nothing() {
    let full =
        ChallengeEndpoint::new(Issuer::default()).with_attempt_store(MemoryAttemptStore::new(2));
    let pending = [1, 2, 3, 1].map(|n| {
        let head = from(&format!("203.0.113.{n}"));
        full.prepare(&head)
    });
    let mut statuses = Vec::new();
    for pending in pending {
        statuses.push(pending.respond().await.status);
    }
    assert_eq!(
        statuses,
        [200, 200, 429, 200],
        "an address that is counted already passes"
    );
    let issuer = Arc::new(Issuer::default());
    let broken = ChallengeEndpoint::new(Arc::clone(&issuer)).with_attempt_store(Broken);
    assert_eq!(
        broken.prepare(&from("203.0.113.7")).respond().await.status,
        200
    );
    let requests = issuer.requests.lock().unwrap();
    assert_eq!(
        requests[0].earlier(),
        29,
        "no client gets the easiest challenge"
    );
}

#[tokio::test]
async fn a_binding_that_is_too_long_is_a_bad_request() {
    let issuer = Arc::new(Issuer::default());
    for (length, status) in [(256, 200), (257, 400), (100_000, 400)] {
        let challenges = ChallengeEndpoint::new(Arc::clone(&issuer))
            .with_binding(move |_| Some("ü".repeat(length / 2) + &"x".repeat(length % 2)));
        let response = challenges.prepare(&from("203.0.113.7")).respond().await;
        assert_eq!(response.status, status, "{length}");
    }
    assert_eq!(issuer.requests.lock().unwrap().len(), 1);
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
        let response = ChallengeEndpoint::new(issuer)
            .prepare(&from("203.0.113.7"))
            .respond()
            .await;
        assert_eq!(response.status, status, "{kind}");
        assert_eq!(header(&response, "retry-after").is_some(), status == 503);
        assert!(!response.body.contains("for-the-test") && !response.body.contains("acme"));
    }
}

#[test]
fn a_rate_of_zero_is_refused() {
    let challenges = || ChallengeEndpoint::new(Issuer::default());
    assert!(challenges().with_rate(0, Duration::from_secs(1)).is_err());
    assert!(challenges().with_rate(1, Duration::ZERO).is_err());
}
