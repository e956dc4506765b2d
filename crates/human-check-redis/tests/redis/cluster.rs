//! The stores on a cluster.

use std::collections::HashMap;

use human_check_guard::{AttemptKey, AttemptStore};
use human_check_redis::{RedisAttemptStore, ServerWarning};

use super::*;
use crate::fleet::{Cluster, text, wait_for};
use crate::server::Server;

#[tokio::test]
async fn each_token_passes_once_over_all_nodes_and_all_nodes_have_some() {
    let cluster = Cluster::start(3, false);
    let (here, there) = (
        replay_store(&cluster.client()),
        replay_store(&cluster.client()),
    );
    for token in (0..300).map(|n| n.to_string()) {
        assert_eq!(claim(&here, &token).await.unwrap(), Claimed::First);
        assert_eq!(claim(&there, &token).await.unwrap(), Claimed::Duplicate);
    }
    for server in cluster.servers() {
        assert!(keys(server) > 50, "{} keys", keys(server));
    }
}

fn keys(server: &Server) -> i64 {
    let redis::Value::Int(count) = server.run(&["DBSIZE"]) else {
        panic!("no number");
    };
    count
}

#[tokio::test]
async fn attempts_are_counted_over_all_nodes() {
    let cluster = Cluster::start(3, false);
    let attempts = |client| RedisAttemptStore::new(client, &secret());
    let (here, there) = (attempts(&cluster.client()), attempts(&cluster.client()));
    for account in 0..50 {
        let account = AttemptKey::named(account);
        assert_eq!(here.add(&account, MINUTE).await.unwrap(), 1);
        assert_eq!(there.add(&account, MINUTE).await.unwrap(), 2);
        assert_eq!(here.count(&account).await.unwrap(), 2);
        there.clear(&account).await.unwrap();
        assert_eq!(here.count(&account).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_user_needs_only_the_commands_that_are_documented() {
    let rule = "user human-check on >pw resetkeys ~human-check:* resetchannels -@all +set +get +del +eval +incr +pttl +pexpire +info +config|get +cluster|slots +cluster|info +asking +wait";
    let cluster = Cluster::with(3, false, &[rule]);
    let url = cluster.url().expose().replace("://", "://human-check:pw@");
    let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    let store = replay_store(&client);
    let attempts = RedisAttemptStore::new(&client, &secret());
    for token in (0..20).map(|n| n.to_string()) {
        assert_eq!(claim(&store, &token).await.unwrap(), Claimed::First);
        let account = AttemptKey::named(&token);
        assert_eq!(attempts.add(&account, MINUTE).await.unwrap(), 1);
    }
    let unreplicated = store.with_replicas(1);
    assert_eq!(reason(&unreplicated, "waits").await, "store-unreplicated");
    for server in client.inspect().await.unwrap() {
        assert_eq!(server.warnings, [ServerWarning::NoReplica]);
    }
}

#[tokio::test]
async fn a_first_node_that_is_down_does_not_matter() {
    let mut cluster = Cluster::start(3, true);
    let first = cluster.primaries[0].port;
    cluster.primaries[0].kill();
    let alive = cluster.replicas[1].port;
    let url = format!("redis-cluster://127.0.0.1:{first},127.0.0.1:{alive}");
    let store = replay_store(&RedisClient::new(&Secret::new(url).unwrap()).unwrap());
    // The replica of the first node takes over.
    settle(&store, "after").await;
}

/// Claims new tokens until one of each third of the slots passes.
async fn settle(store: &RedisReplayStore, name: &str) {
    let mut left: Vec<String> = (0..30).map(|n| format!("{name}-{n}")).collect();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while let Some(token) = left.pop() {
        assert!(std::time::Instant::now() < deadline, "claims fail for long");
        if claim(store, &token).await.is_err() {
            left.insert(0, token);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_under_load_cause_no_error_and_no_second_acceptance() {
    // No replica takes over because the machine is busy.
    let cluster = Cluster::with(3, true, &["cluster-node-timeout 15000"]);
    let load = Load::start(|| cluster.client(), 1);
    load.more(200).await;
    // The other thread of the runtime goes on with the claims.
    tokio::task::block_in_place(|| {
        for slot in 0..200 {
            // Claims go on while the slot is on both nodes.
            let pause = || std::thread::sleep(Duration::from_millis(5));
            cluster.move_slot(slot, 0, 1, pause);
        }
    });
    load.more(200).await;
    let seen = load.end().await;
    assert_eq!(seen.errors, HashMap::new());
    let second = replay_store(&cluster.client());
    for (token, firsts) in &seen.firsts {
        assert_eq!(*firsts, 1, "{token}");
        assert_eq!(
            claim(&second, token).await.unwrap(),
            Claimed::Duplicate,
            "{token}"
        );
    }
    // The slots have moved, with their claims.
    assert!(text(&cluster.primaries[1], &["CLUSTER", "NODES"]).contains("0-199"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_passes_twice_when_a_primary_is_killed_and_replicas_have_each_claim() {
    let mut cluster = Cluster::start(3, true);
    let url = cluster.url();
    let client = || RedisClient::new(&url).unwrap();
    let load = Load::start(client, 1);
    load.more(200).await;
    cluster.primaries[0].kill();
    // Its replica has taken over when tokens of all slots pass.
    settle(&replay_store(&client()), "settled").await;
    load.more(200).await;
    let seen = load.end().await;
    assert!(!seen.errors.is_empty(), "the killed primary was noticed");
    let again = replay_store(&client());
    for (token, firsts) in &seen.firsts {
        assert_eq!(*firsts, 1, "{token} passed {firsts} times");
        assert_eq!(claim_settled(&again, token).await, Claimed::Duplicate);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_ends_no_claims_for_long_and_loses_none() {
    let cluster = Cluster::start(3, true);
    let load = Load::start(|| cluster.client(), 1);
    load.more(200).await;
    // The servers give up after five seconds where the machine is busy, so it is asked for again.
    let mut asked = None;
    until(async || {
        if asked.is_none_or(|at: std::time::Instant| at.elapsed() > Duration::from_secs(6)) {
            cluster.replicas[0].run(&["CLUSTER", "FAILOVER"]);
            asked = Some(std::time::Instant::now());
        }
        text(&cluster.replicas[0], &["INFO", "replication"]).contains("role:master")
    })
    .await;
    // Tokens of all slots pass with a replica that has them.
    settle(&replay_store(&cluster.client()).with_replicas(1), "settled").await;
    load.more(500).await;
    let seen = load.end().await;
    let again = replay_store(&cluster.client());
    for (token, firsts) in &seen.firsts {
        assert_eq!(*firsts, 1, "{token} passed {firsts} times");
        assert_eq!(claim_settled(&again, token).await, Claimed::Duplicate);
    }
}

#[tokio::test]
async fn a_silent_primary_delays_no_token_of_the_others_and_is_replaced() {
    let cluster = Cluster::start(3, true);
    let store = replay_store(&cluster.client());
    settle(&store, "before").await;
    // The tokens of each node, by the number of its keys.
    let mut of_others = Vec::new();
    for n in 0.. {
        let token = format!("sorted-{n}");
        let before = keys(&cluster.primaries[0]);
        assert_eq!(claim(&store, &token).await.unwrap(), Claimed::First);
        if keys(&cluster.primaries[0]) == before {
            of_others.push(token);
        }
        if of_others.len() == 100 {
            break;
        }
    }
    cluster.primaries[0].signal("STOP");
    // New tokens, a third of them of the silent node, cause the client to read the map again and
    // again meanwhile.
    let probes = tokio::spawn({
        let store = store.clone();
        async move {
            let probes = (0..100).map(|n| {
                let store = store.clone();
                async move { claim(&store, &format!("probe-{n}")).await.is_err() }
            });
            let failed = futures_util::future::join_all(probes).await;
            failed.into_iter().filter(|failed| *failed).count()
        }
    });
    while !probes.is_finished() {
        for token in &of_others {
            assert_eq!(claim(&store, token).await.unwrap(), Claimed::Duplicate);
        }
    }
    assert!(probes.await.unwrap() > 10, "the silent node was noticed");
    settle(&store, "after").await;
    cluster.primaries[0].signal("CONT");
    settle(&store, "later").await;
}

#[tokio::test]
async fn a_report_names_each_primary_and_what_is_wrong() {
    let mut cluster = Cluster::start(3, true);
    let client = cluster.client();
    let servers = client.report().await.unwrap();
    assert_eq!(servers.len(), 3);
    for (server, primary) in servers.iter().zip(&cluster.primaries) {
        assert_eq!(server.address, format!("127.0.0.1:{}", primary.port));
        assert_eq!((server.replicas, &server.warnings[..]), (Some(1), &[][..]));
    }
    cluster.replicas[1].kill();
    wait_for("a primary to miss its replica", || {
        text(&cluster.primaries[1], &["INFO", "replication"]).contains("connected_slaves:0")
    });
    let warnings = &client.report().await.unwrap()[1].warnings;
    assert_eq!(warnings[..], [ServerWarning::NoReplica]);
    cluster.primaries[1].kill();
    until(async || {
        let Ok(servers) = client.report().await else {
            return false;
        };
        let has = |warning: &ServerWarning| {
            let mut of_servers = servers.iter().map(|server| &server.warnings);
            of_servers.any(|warnings| warnings.contains(warning))
        };
        servers.len() == 3
            && servers
                .iter()
                .any(|server| matches!(server.warnings[..], [ServerWarning::Unreachable(_)]))
            && has(&ServerWarning::ClusterDown(10_923))
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_is_down_is_an_error_of_its_own() {
    let server = Server::with(&["cluster-enabled yes"]);
    let url = format!("redis-cluster://127.0.0.1:{}", server.port);
    let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    assert_eq!(
        reason(&replay_store(&client), "a").await,
        "store-cluster-down"
    );
    let outside = Server::start();
    let url = format!("redis-cluster://127.0.0.1:{}", outside.port);
    let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    assert_eq!(reason(&replay_store(&client), "a").await, "store-other");
}
