use super::*;
use crate::server::Server;
use redis::Value;

#[tokio::test]
async fn the_first_claim_is_first_and_the_others_are_not() {
    let server = Server::start();
    let (here, there) = (
        replay_store(&server.client()),
        replay_store(&server.client()),
    );
    assert_eq!(claim(&here, "a").await.unwrap(), Claimed::First);
    assert_eq!(claim(&here, "a").await.unwrap(), Claimed::Duplicate);
    assert_eq!(claim(&there, "a").await.unwrap(), Claimed::Duplicate);
    assert_eq!(claim(&there, "b").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn a_claim_is_one_command_with_a_digest_and_an_end() {
    let server = Server::start();
    let store = replay_store(&server.client());
    let _ = claim(&store, "visible-token").await.unwrap();
    let Value::Array(keys) = server.run(&["KEYS", "*"]) else {
        panic!("no list");
    };
    let [Value::BulkString(key)] = &keys[..] else {
        panic!("{keys:?}");
    };
    let key = std::str::from_utf8(key).unwrap();
    let digest = key.strip_prefix("human-check:replay:").unwrap();
    assert_eq!(digest.len(), 32);
    assert!(digest.bytes().all(|b| b.is_ascii_hexdigit()));
    let Value::Int(left) = server.run(&["PTTL", key]) else {
        panic!("no number");
    };
    assert!((1..=60_000).contains(&left), "{left} ms left");
    let Value::BulkString(stats) = server.run(&["INFO", "commandstats"]) else {
        panic!("no text");
    };
    let stats = String::from_utf8(stats).unwrap();
    assert!(stats.contains("cmdstat_set:calls=1,"), "{stats}");
}

#[tokio::test]
async fn another_secret_or_prefix_is_another_store() {
    let server = Server::start();
    let store = replay_store(&server.client());
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    let other = RedisReplayStore::new(&server.client(), &Secret::new("other").unwrap());
    assert_eq!(claim(&other, "a").await.unwrap(), Claimed::First);
    let other = replay_store(&server.client()).with_prefix("other:");
    assert_eq!(claim(&other, "a").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn a_ttl_ends() {
    let server = Server::start();
    let store = replay_store(&server.client());
    let ttl = Duration::from_millis(50);
    let start = std::time::Instant::now();
    assert_eq!(claim_for(&store, "a", ttl).await.unwrap(), Claimed::First);
    until(async || claim_for(&store, "a", ttl).await.unwrap() == Claimed::First).await;
    // The server counts whole milliseconds.
    assert!(start.elapsed() >= ttl - Duration::from_millis(1));
}

#[tokio::test]
async fn a_ttl_above_the_maximum_is_refused_and_the_maximum_is_not() {
    let server = Server::start();
    let store = replay_store(&server.client());
    let max_ttl = store.max_ttl();
    assert_eq!(
        claim_for(&store, "a", max_ttl).await.unwrap(),
        Claimed::First
    );
    let too_long = claim_for(&store, "b", max_ttl + Duration::from_secs(1)).await;
    assert_eq!(too_long.unwrap_err().reason(), "ttl-too-long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_thousand_claims_at_once_each_token_wins_once() {
    let server = Server::start();
    // All claims may be in flight at once. The time that they take is not tested here.
    let client = server.client().with_max_in_flight(10_000);
    let store = replay_store(&client.with_response_timeout(MINUTE));
    let claims = (0..10_000).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { (n % 100, claim(&store, &format!("token-{}", n % 100)).await) })
    });
    let mut winners = [0; 100];
    for claim in claims.collect::<Vec<_>>() {
        let (token, claimed) = claim.await.unwrap();
        if claimed.unwrap() == Claimed::First {
            winners[token] += 1;
        }
    }
    assert_eq!(winners, [1; 100]);
}

#[tokio::test]
async fn a_store_works_in_a_second_runtime_when_the_first_has_ended() {
    let server = Server::start();
    let store = replay_store(&server.client());
    let claim_in_a_thread = |token: &'static str| {
        let store = store.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                // A connection of a runtime that has ended fails once and is then replaced.
                until(async || claim(&store, token).await.is_ok()).await;
            });
        })
    };
    for token in ["a", "b", "c"] {
        tokio::task::spawn_blocking(move || ()).await.unwrap();
        claim_in_a_thread(token).join().unwrap();
    }
}
