//! The stores on a primary that sentinels name.

use super::*;
use crate::fleet::Watched;

#[tokio::test]
async fn the_primary_that_the_sentinels_name_takes_the_claims() {
    let watched = Watched::start();
    let client = watched.client();
    let store = replay_store(&client);
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    assert_eq!(
        claim(&replay_store(&watched.primary.client()), "a")
            .await
            .unwrap(),
        Claimed::Duplicate
    );
    let servers = client.inspect().await.unwrap();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0].warnings, []);
    assert_eq!(servers[0].replicas, Some(1));
    let other = RedisClient::new(&watched.url("", "primary=other")).unwrap();
    assert_eq!(
        reason(&replay_store(&other), "b").await,
        "store-unreachable"
    );
}

#[tokio::test]
async fn sentinels_and_servers_have_logins_of_their_own() {
    let servers = ["requirepass of-servers", "masterauth of-servers"];
    let sentinels = [
        "sentinel auth-pass main of-servers",
        "requirepass of-sentinels",
        "sentinel sentinel-pass of-sentinels",
    ];
    let watched = Watched::with(&servers, &sentinels);
    let query = "primary=main&sentinel_password=of-sentinels";
    let client = RedisClient::new(&watched.url(":of-servers@", query)).unwrap();
    assert_eq!(
        claim(&replay_store(&client), "a").await.unwrap(),
        Claimed::First
    );
    for (login, query) in [
        (":wrong@", query),
        (":of-servers@", "primary=main&sentinel_password=wrong"),
        (":of-servers@", "primary=main"),
    ] {
        let client = RedisClient::new(&watched.url(login, query)).unwrap();
        assert_eq!(reason(&replay_store(&client), "b").await, "store-auth");
    }
}

#[tokio::test]
async fn a_user_needs_only_the_commands_that_are_documented() {
    let rule = "user human-check on >pw resetkeys ~human-check:* resetchannels -@all +set +get +del +eval +incr +pttl +pexpire +info +config|get +wait";
    let watched = Watched::with(&[rule], &[]);
    let client = RedisClient::new(&watched.url("human-check:pw@", "primary=main")).unwrap();
    let store = replay_store(&client).with_replicas(1);
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    assert_eq!(client.inspect().await.unwrap()[0].warnings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_passes_twice_when_the_primary_is_killed_and_a_replica_has_each_claim() {
    let mut watched = Watched::start();
    let url = watched.url("", "primary=main");
    let client = || RedisClient::new(&url).unwrap();
    let load = Load::start(client, 1);
    load.more(200).await;
    watched.primary.kill();
    // The new primary has no replica, so claims do not wait for one.
    let store = replay_store(&client());
    until(async || claim(&store, "new").await.is_ok()).await;
    let seen = load.end().await;
    assert!(!seen.errors.is_empty(), "the killed primary was noticed");
    for (token, firsts) in &seen.firsts {
        assert_eq!(*firsts, 1, "{token} passed {firsts} times");
        assert_eq!(claim_settled(&store, token).await, Claimed::Duplicate);
    }
    // The old primary comes back as a replica, and claims stay with the new one.
    watched.primary.start_again();
    until(async || {
        claim(
            &store.clone().with_replicas(1),
            &format!("{}", fastrand::u64(..)),
        )
        .await
        .is_ok()
    })
    .await;
    assert_eq!(claim_settled(&store, "new").await, Claimed::Duplicate);
}

#[tokio::test]
async fn a_silent_sentinel_delays_nothing() {
    let watched = Watched::start();
    // The first of the list, before there is any connection.
    watched.sentinels[0].signal("STOP");
    let store = replay_store(&watched.client());
    for token in ["a", "b", "c"] {
        assert_eq!(claim(&store, token).await.unwrap(), Claimed::First);
    }
    watched.sentinels[0].signal("CONT");
}

#[tokio::test]
async fn a_server_that_is_no_sentinel_is_passed_over() {
    let watched = Watched::start();
    let (wrong, right) = (watched.primary.port, watched.sentinels[0].port);
    let url = format!("redis-sentinel://127.0.0.1:{wrong},127.0.0.1:{right}?primary=main");
    let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    assert_eq!(
        claim(&replay_store(&client), "a").await.unwrap(),
        Claimed::First
    );
}

#[tokio::test]
async fn a_sentinel_s_user_needs_only_the_command_that_is_documented() {
    let rule = "user asks on >pw -@all +sentinel|get-master-addr-by-name";
    let watched = Watched::with(&[], &[rule]);
    let query = "primary=main&sentinel_user=asks&sentinel_password=pw";
    let client = RedisClient::new(&watched.url("", query)).unwrap();
    assert_eq!(
        claim(&replay_store(&client), "a").await.unwrap(),
        Claimed::First
    );
}

#[tokio::test]
async fn a_silent_primary_is_replaced() {
    let watched = Watched::start();
    let store = replay_store(&watched.client());
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    let one = store.clone().with_replicas(1);
    assert_eq!(claim(&one, "kept").await.unwrap(), Claimed::First);
    let kept = crate::fleet::text(watched.replica(), &["INFO", "keyspace"]);
    assert!(kept.contains("keys=2"), "the replica has both: {kept}");
    watched.primary.signal("STOP");
    until(async || claim(&store, "b").await.is_ok()).await;
    assert_eq!(claim_settled(&store, "kept").await, Claimed::Duplicate);
    watched.primary.signal("CONT");
    // The former primary is a replica now, and a client that still writes to it is sent away.
    for _ in 0..20 {
        assert_eq!(claim_settled(&store, "b").await, Claimed::Duplicate);
    }
}

#[tokio::test]
async fn a_claim_without_enough_replicas_is_an_error_and_used_up() {
    let watched = Watched::start();
    let store = replay_store(&watched.client());
    let two = store.clone().with_replicas(2);
    assert_eq!(reason(&two, "a").await, "store-unreplicated");
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::Duplicate);
    let one = store.with_replicas(1);
    assert_eq!(claim(&one, "b").await.unwrap(), Claimed::First);
}
