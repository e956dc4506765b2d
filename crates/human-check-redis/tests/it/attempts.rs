use std::time::{Duration, Instant};

use human_check_guard::{AttemptKey, AttemptStore};
use human_check_redis::RedisAttempts;

use crate::redis_server::{Server, digest_secret};

#[tokio::test]
async fn attempts_are_counted_across_machines_within_a_window_that_the_first_begins() {
    let server = Server::start(&[]);
    let stores = [server.connect(), server.connect()];
    let [one, two] = stores.map(|server| RedisAttempts::new(server, &digest_secret()));
    let (key, window) = (
        AttemptKey::named("ada@example.com"),
        Duration::from_millis(400),
    );
    let start = Instant::now();
    assert_eq!(one.count(&key).await.unwrap(), 0);
    assert_eq!(one.add(&key, window).await.unwrap(), 1);
    assert_eq!(two.add(&key, Duration::from_secs(600)).await.unwrap(), 2);
    assert_eq!(two.count(&key).await.unwrap(), 2);
    assert_eq!(two.count(&AttemptKey::named("bob")).await.unwrap(), 0);
    let keys = format!("{:?}", server.tell(&["KEYS", "*"]).await);
    assert!(
        keys.contains("human-check:attempts:") && !keys.contains("ada"),
        "{keys}"
    );
    while one.count(&key).await.unwrap() > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "the window never ends"
        );
    }
    assert_eq!(one.add(&key, window).await.unwrap(), 1);
    two.clear(&key).await.unwrap();
    assert_eq!(one.count(&key).await.unwrap(), 0);
}

#[tokio::test]
async fn each_of_many_at_once_sees_a_number_of_its_own() {
    let server = Server::start(&[]);
    let store = RedisAttempts::new(server.connect(), &digest_secret());
    let mut adds = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let store = store.clone();
        adds.spawn(async move {
            let key = AttemptKey::address("203.0.113.7".parse().unwrap());
            store.add(&key, Duration::from_secs(60)).await.unwrap()
        });
    }
    let mut numbers = adds.join_all().await;
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=200));
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_and_not_zero() {
    let mut server = Server::start(&[]);
    let store = RedisAttempts::new(server.connect(), &digest_secret());
    server.stop();
    let key = AttemptKey::named("ada");
    assert!(store.count(&key).await.is_err());
    assert!(store.add(&key, Duration::from_secs(60)).await.is_err());
}
