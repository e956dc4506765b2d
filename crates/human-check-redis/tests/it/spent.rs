use std::time::Duration;

use human_check::{
    Claim, Claimed, ErrorKind, HumanCheck, HumanCheckExt, Provider, Reason, Secret, SpentTokens,
    Submission,
};
use human_check_redis::{Finding, RedisServer, RedisSpent};
use human_check_testkit::{SCRIPTED, Scripted};

use crate::redis_server::{Server, digest_secret};

static ACME: Provider = Provider::new("acme", &["acme-response"]);
const LIFE: Duration = Duration::from_secs(600);

async fn claim(store: &RedisSpent, token: &str) -> Result<Claimed, &'static str> {
    let submission = Submission::new().with_token(&ACME, token);
    let claimed = store.claim(Claim::answer(&submission, &ACME), LIFE).await;
    claimed.map_err(|error| error.reason())
}

#[tokio::test]
async fn a_token_passes_once_on_any_machine_that_has_the_secret() {
    let server = Server::start(&[]);
    let (one, two) = (server.spent(), server.spent());
    assert_eq!(claim(&one, "a").await, Ok(Claimed::First));
    assert_eq!(claim(&two, "a").await, Ok(Claimed::Before));
    assert_eq!(claim(&two, "b").await, Ok(Claimed::First));
    let keys = format!("{:?}", server.tell(&["KEYS", "*"]).await);
    assert!(
        keys.contains("human-check:spent:") && !keys.contains("\"a\""),
        "{keys}"
    );
}

#[tokio::test]
async fn a_claim_ends_with_its_life_and_not_before() {
    let server = Server::start(&[]);
    let store = server.spent();
    let submission = Submission::new().with_token(&ACME, "short");
    let claim = || {
        store.claim(
            Claim::answer(&submission, &ACME),
            Duration::from_millis(300),
        )
    };
    let start = std::time::Instant::now();
    assert_eq!(claim().await.unwrap(), Claimed::First);
    while claim().await.unwrap() == Claimed::Before {
        assert!(start.elapsed() < Duration::from_secs(30), "it never ends");
        tokio::task::yield_now().await;
    }
    assert!(start.elapsed() >= Duration::from_millis(299));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_submits_of_a_hundred_tokens_a_hundred_pass() {
    let server = Server::start(&[]);
    let most = 20_000;
    let connected = RedisServer::with_limits(
        &Secret::new(server.url()).unwrap(),
        Duration::from_secs(20),
        most,
    );
    let store = RedisSpent::new(connected.unwrap(), &digest_secret());
    let check = std::sync::Arc::new(Scripted::human().single_use(store));
    let mut submits = tokio::task::JoinSet::new();
    for n in 0..10_000 {
        let check = std::sync::Arc::clone(&check);
        submits.spawn(async move {
            let token = format!("token-{}", n % 100);
            let submission = Submission::new().with_token(&SCRIPTED, token);
            check.check(&submission).await.unwrap().is_human()
        });
    }
    let passed = submits
        .join_all()
        .await
        .into_iter()
        .filter(|human| *human)
        .count();
    assert_eq!(passed, 100);
}

#[tokio::test]
async fn a_stopped_server_denies_and_a_started_one_works_without_a_restart_of_ours() {
    let mut server = Server::start(&[]);
    let store = server.spent();
    assert_eq!(claim(&store, "a").await, Ok(Claimed::First));
    server.stop();
    let check = Scripted::human().single_use(store.clone());
    let submission = Submission::new().with_token(&SCRIPTED, "b");
    let error = check.check(&submission).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Unclaimed, "store-unreachable")
    );
    server.run();
    let start = std::time::Instant::now();
    loop {
        match check.check(&submission).await {
            Ok(verdict) => break assert!(verdict.is_human()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unclaimed),
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "it does not come back"
        );
    }
    let again = check.check(&submission).await.unwrap();
    assert_eq!(again.refusal().unwrap().reason(), Reason::Spent);
}

#[tokio::test]
async fn a_server_that_pauses_denies_within_our_patience_and_lets_nobody_pass_twice() {
    let server = Server::start(&[]);
    let store = server.spent();
    assert_eq!(claim(&store, "warm").await, Ok(Claimed::First));
    server.tell(&["CLIENT", "PAUSE", "1500", "ALL"]).await;
    let start = std::time::Instant::now();
    assert_eq!(claim(&store, "paused").await, Err("store-timeout"));
    assert!(
        start.elapsed() < Duration::from_millis(1_400),
        "{:?}",
        start.elapsed()
    );
    // It was sent, and is carried out when the pause ends: used, although nobody passed.
    let mut outcome = claim(&store, "other").await;
    while outcome == Err("store-timeout") {
        outcome = claim(&store, "other").await;
    }
    assert_eq!(claim(&store, "paused").await, Ok(Claimed::Before));
}

#[tokio::test]
async fn killed_connections_cost_a_claim_and_never_give_one() {
    let server = Server::start(&[]);
    let store = server.spent();
    let mut firsts = 0;
    for n in 0..200 {
        if n % 10 == 0 {
            server
                .tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
                .await;
        }
        let token = format!("token-{}", n / 2);
        match claim(&store, &token).await {
            Ok(Claimed::First) => firsts += 1,
            Ok(Claimed::Before) => {}
            Err(reason) => assert_eq!(reason, "store-unreachable"),
        }
    }
    assert!((50..=100).contains(&firsts), "{firsts}");
}

#[tokio::test]
async fn a_full_server_denies_and_forgets_nothing() {
    let server = Server::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    assert_eq!(claim(&server.spent(), "a").await, Err("store-full"));
}

#[tokio::test]
async fn a_replica_denies_and_says_so() {
    let (primary, replica) = (Server::start(&[]), Server::start(&[]));
    let store = replica.spent();
    assert_eq!(claim(&store, "before").await, Ok(Claimed::First));
    replica
        .tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()])
        .await;
    assert_eq!(claim(&store, "a").await, Err("store-readonly"));
    let findings = replica.connect().inspect().await.unwrap();
    assert!(findings.contains(&Finding::Replica), "{findings:?}");
    replica.tell(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(claim(&store, "b").await, Ok(Claimed::First));
}

#[tokio::test]
async fn a_wrong_password_denies_and_is_shown_nowhere() {
    let server = Server::start(&["--requirepass", "right"]);
    let url = format!("redis://:0xCANARY@127.0.0.1:{}", server.port);
    let connected = RedisServer::new(&Secret::new(url).unwrap()).unwrap();
    let store = RedisSpent::new(connected, &digest_secret());
    let submission = Submission::new().with_token(&ACME, "token-CANARY");
    let error = store
        .claim(Claim::answer(&submission, &ACME), LIFE)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "store-auth");
    let printed = format!("{store:?} {error:?} {error}");
    assert!(
        !printed.contains("CANARY") && !printed.contains("same-on-all"),
        "{printed}"
    );
    let wrong = RedisServer::new(&Secret::new("redis:CANARY").unwrap()).unwrap_err();
    assert!(!wrong.to_string().contains("CANARY"), "{wrong}");
}

#[tokio::test]
async fn a_server_that_evicts_is_reported_at_start() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]);
    let evicts = Finding::Evicts {
        policy: "allkeys-lru".into(),
    };
    assert_eq!(server.connect().inspect().await.unwrap(), [evicts]);
    assert_eq!(Server::start(&[]).connect().inspect().await.unwrap(), []);
}

#[tokio::test]
async fn beyond_its_places_the_store_denies_at_once() {
    let server = Server::start(&[]);
    let url = Secret::new(server.url()).unwrap();
    let connected = RedisServer::with_limits(&url, Duration::from_secs(5), 1).unwrap();
    let store = RedisSpent::new(connected, &digest_secret());
    assert_eq!(claim(&store, "warm").await, Ok(Claimed::First));
    let mut busy = 0;
    for _ in 0..50 {
        let (one, two, three) =
            tokio::join!(claim(&store, "x"), claim(&store, "y"), claim(&store, "z"));
        busy += [one, two, three]
            .iter()
            .filter(|o| **o == Err("store-busy"))
            .count();
    }
    assert!(busy >= 100, "{busy}");
}
