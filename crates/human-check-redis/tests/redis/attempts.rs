use super::*;
use crate::server::Server;
use human_check_guard::{AttemptKey, AttemptStore};
use human_check_redis::RedisAttemptStore;
use redis::Value;

fn attempts(server: &Server) -> RedisAttemptStore {
    RedisAttemptStore::new(&server.client(), &secret())
}

#[tokio::test]
async fn attempts_are_counted_over_all_processes_and_cleared() {
    let server = Server::start();
    let (here, there) = (attempts(&server), attempts(&server));
    let (ada, bob) = (AttemptKey::named("ada"), AttemptKey::named("bob"));
    assert_eq!(here.count(&ada).await.unwrap(), 0);
    assert_eq!(here.add(&ada, MINUTE).await.unwrap(), 1);
    assert_eq!(there.add(&ada, MINUTE).await.unwrap(), 2);
    assert_eq!(there.count(&ada).await.unwrap(), 2);
    assert_eq!(there.count(&bob).await.unwrap(), 0);
    here.clear(&ada).await.unwrap();
    here.clear(&ada).await.unwrap();
    assert_eq!(there.count(&ada).await.unwrap(), 0);
}

#[tokio::test]
async fn a_window_begins_with_the_first_attempt_and_ends() {
    let server = Server::start();
    let store = attempts(&server);
    let ada = AttemptKey::named("ada");
    store.add(&ada, MINUTE).await.unwrap();
    let key = only_key(&server);
    let left = || match server.run(&["PTTL", &key]) {
        Value::Int(left) => left,
        other => panic!("{other:?}"),
    };
    let before = left();
    assert!((1..=60_000).contains(&before));
    // A later attempt, even with a longer window, does not move the end.
    store.add(&ada, MINUTE * 10).await.unwrap();
    assert!(left() <= before);
    server.run(&["PEXPIRE", &key, "20"]);
    until(async || store.count(&ada).await.unwrap() == 0).await;
    assert_eq!(store.add(&ada, Duration::from_millis(20)).await.unwrap(), 1);
    until(async || store.count(&ada).await.unwrap() == 0).await;
    store.add(&ada, Duration::MAX).await.unwrap();
    assert!(left() > 60_000);
}

#[tokio::test]
async fn a_count_that_lost_its_end_gets_one() {
    let server = Server::start();
    let store = attempts(&server);
    let ada = AttemptKey::named("ada");
    store.add(&ada, MINUTE).await.unwrap();
    let key = only_key(&server);
    server.run(&["PERSIST", &key]);
    assert_eq!(store.add(&ada, MINUTE).await.unwrap(), 2);
    assert!(matches!(
        server.run(&["PTTL", &key]),
        Value::Int(1..=60_000)
    ));
}

#[tokio::test]
async fn no_address_reaches_the_server() {
    let server = Server::start();
    let key = AttemptKey::address("203.0.113.7".parse().unwrap());
    attempts(&server).add(&key, MINUTE).await.unwrap();
    let key = only_key(&server);
    let digest = key.strip_prefix("human-check:attempts:").unwrap();
    assert_eq!(digest.len(), 32);
    assert!(digest.bytes().all(|b| b.is_ascii_hexdigit()));
    let other = RedisAttemptStore::new(&server.client(), &Secret::new("other").unwrap());
    let address = AttemptKey::address("203.0.113.7".parse().unwrap());
    assert_eq!(other.count(&address).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_callers_sees_its_own_number() {
    let server = Server::start();
    let store = attempts(&server);
    let adds = (0..500).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.add(&AttemptKey::named("ada"), MINUTE).await.unwrap() })
    });
    let mut counts = Vec::new();
    for add in adds.collect::<Vec<_>>() {
        counts.push(add.await.unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_or_is_gone() {
    let mut server = Server::start();
    let store = attempts(&server);
    let ada = AttemptKey::named("ada");
    store.add(&ada, MINUTE).await.unwrap();
    server.run(&["SCRIPT", "FLUSH"]);
    assert_eq!(store.add(&ada, MINUTE).await.unwrap(), 2);
    server.kill();
    let error = store.add(&ada, MINUTE).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("store-unreachable"), "{cause}");
    assert!(store.count(&ada).await.is_err());
    assert!(store.clear(&ada).await.is_err());
}

fn only_key(server: &Server) -> String {
    match server.run(&["KEYS", "*"]) {
        Value::Array(keys) => match &keys[..] {
            [Value::BulkString(key)] => String::from_utf8(key.clone()).unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_flood_of_addresses_leaves_room_for_claims() {
    let server = Server::start();
    let store = attempts(&server).with_max_keys(100);
    for visitor in 0..1_000_u32 {
        let count = store
            .add(&AttemptKey::named(visitor), MINUTE)
            .await
            .unwrap();
        assert_eq!(count, if visitor < 100 { 1 } else { u32::MAX }, "{visitor}");
    }
    let known = AttemptKey::named(7);
    assert_eq!(
        store.add(&known, MINUTE).await.unwrap(),
        2,
        "a key that is there is counted"
    );
    // The windows of another route do not begin the count anew.
    let short = Duration::from_millis(1);
    for visitor in 2_000..2_010_u32 {
        let flood = AttemptKey::named(visitor);
        store.add(&flood, short).await.unwrap();
        assert_eq!(store.add(&flood, MINUTE).await.unwrap(), u32::MAX);
    }
    // Another process has a budget of its own.
    let other = attempts(&server)
        .add(&AttemptKey::named("other"), MINUTE)
        .await;
    assert_eq!(other.unwrap(), 1);
}

#[tokio::test]
async fn counts_survive_a_restart_with_the_settings_that_are_documented() {
    let rule = "user human-check on >pw resetkeys ~human-check:* resetchannels -@all +set +get +del +eval +incr +pttl +pexpire +info +config|get +wait";
    let settings = [
        "appendonly yes",
        "appendfsync always",
        "user default off ~* &* +@all",
        rule,
    ];
    let mut server = Server::with(&settings);
    let url = format!("redis://human-check:pw@127.0.0.1:{}", server.port);
    // Each connection of before the restart fails once, so there is one.
    let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    let store = RedisAttemptStore::new(&client.with_connections(1), &secret());
    let account = AttemptKey::named("ada");
    for count in 1..=4 {
        assert_eq!(store.add(&account, MINUTE).await.unwrap(), count);
    }
    server.kill();
    server.start_again();
    until(async || store.count(&account).await.is_ok()).await;
    assert_eq!(store.count(&account).await.unwrap(), 4);
}
