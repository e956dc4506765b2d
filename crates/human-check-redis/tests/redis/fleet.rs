//! Several real servers: a cluster, and a primary with a replica and sentinels.

use std::time::{Duration, Instant};

use human_check_core::Secret;
use human_check_redis::RedisClient;
use redis::Value;

use crate::server::Server;

/// How many hash slots a cluster has.
const SLOTS: usize = 16_384;

/// A cluster. The servers of `primaries` are primaries at first, and each has a replica of the same
/// index, if there are replicas.
pub(crate) struct Cluster {
    pub(crate) primaries: Vec<Server>,
    pub(crate) replicas: Vec<Server>,
}

impl Cluster {
    /// Starts a cluster of so many primaries, with one replica each or none.
    pub(crate) fn start(primaries: usize, with_replicas: bool) -> Self {
        Self::with(primaries, with_replicas, &[])
    }

    /// Starts a cluster whose servers have further lines of redis.conf.
    pub(crate) fn with(primaries: usize, with_replicas: bool, options: &[&str]) -> Self {
        let mut lines = vec![
            "cluster-enabled yes",
            "cluster-node-timeout 1500",
            "cluster-require-full-coverage no",
            "repl-diskless-sync-delay 0",
        ];
        lines.extend(options);
        let start = |count| (0..count).map(|_| Server::with(&lines)).collect::<Vec<_>>();
        let replicas = if with_replicas { primaries } else { 0 };
        let cluster = Self {
            primaries: start(primaries),
            replicas: start(replicas),
        };
        for (index, server) in cluster.primaries.iter().enumerate() {
            let first = index * SLOTS / primaries;
            let after = (index + 1) * SLOTS / primaries;
            let slots: Vec<_> = (first..after).map(|slot| slot.to_string()).collect();
            let mut add = vec!["CLUSTER", "ADDSLOTS"];
            add.extend(slots.iter().map(String::as_str));
            server.run(&add);
            server.run(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        let first = &cluster.primaries[0];
        for server in cluster.servers().skip(1) {
            let port = server.port.to_string();
            first.run(&["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        let all = primaries + replicas;
        wait_for("the nodes to know one another", || {
            let known = format!("cluster_known_nodes:{all}\r");
            let mut servers = cluster.servers();
            servers.all(|server| text(server, &["CLUSTER", "INFO"]).contains(&known))
        });
        for (primary, replica) in cluster.primaries.iter().zip(&cluster.replicas) {
            let id = id(primary);
            replica.run(&["CLUSTER", "REPLICATE", &id]);
        }
        wait_for("the cluster to work", || cluster.works());
        cluster
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.primaries.iter().chain(&self.replicas)
    }

    fn works(&self) -> bool {
        let is_ok =
            |server: &Server| text(server, &["CLUSTER", "INFO"]).contains("cluster_state:ok");
        let is_linked = |server: &Server| {
            text(server, &["INFO", "replication"]).contains("master_link_status:up")
        };
        let has_replica = |server: &Server| {
            self.replicas.is_empty()
                || text(server, &["INFO", "replication"]).contains("state=online")
        };
        self.servers().all(is_ok)
            && self.replicas.iter().all(is_linked)
            && self.primaries.iter().all(has_replica)
    }

    /// Returns the URL that names two nodes.
    pub(crate) fn url(&self) -> Secret {
        let hosts = self.servers().take(2);
        let hosts = hosts.map(|server| format!("127.0.0.1:{}", server.port));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        Secret::new(format!("redis-cluster://{hosts}")).unwrap()
    }

    pub(crate) fn client(&self) -> RedisClient {
        RedisClient::new(&self.url()).unwrap()
    }

    /// Moves a slot with its keys from one primary to another, as `redis-cli` does. `pause` is called
    /// while the slot is on both.
    pub(crate) fn move_slot(&self, slot: usize, from: usize, to: usize, pause: impl FnOnce()) {
        let (source, target) = (&self.primaries[from], &self.primaries[to]);
        let (source_id, target_id) = (id(source), id(target));
        let (slot, port) = (slot.to_string(), target.port.to_string());
        target.run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]);
        source.run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]);
        pause();
        loop {
            let Value::Array(keys) = source.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]) else {
                panic!("no list");
            };
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let Value::BulkString(key) = key else {
                    panic!("no key");
                };
                let key = String::from_utf8(key).unwrap();
                source.run(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
            }
        }
        for server in [target, source] {
            server.run(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
        }
    }
}

/// A primary, a replica, and three sentinels that watch the primary under the name `main`.
pub(crate) struct Watched {
    pub(crate) primary: Server,
    replica: Server,
    pub(crate) sentinels: Vec<Server>,
}

impl Watched {
    pub(crate) fn start() -> Self {
        Self::with(&[], &[])
    }

    /// Starts servers and sentinels with further lines of their configurations.
    pub(crate) fn with(options: &[&str], of_sentinels: &[&str]) -> Self {
        let mut lines = vec!["repl-diskless-sync-delay 0"];
        lines.extend(options);
        let primary = Server::with(&lines);
        let replica_of = format!("replicaof 127.0.0.1 {}", primary.port);
        lines.push(&replica_of);
        let replica = Server::with(&lines);
        let monitor = format!("sentinel monitor main 127.0.0.1 {} 2", primary.port);
        let mut lines = vec![
            monitor.as_str(),
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 4000",
        ];
        lines.extend(of_sentinels);
        let sentinels = (0..3).map(|_| Server::sentinel(&lines)).collect();
        let watched = Self {
            primary,
            replica,
            sentinels,
        };
        wait_for("the sentinels to know one another and the replica", || {
            let mut sentinels = watched.sentinels.iter();
            sentinels.all(|sentinel| {
                let Value::Array(master) = sentinel.run(&["SENTINEL", "MASTER", "main"]) else {
                    panic!("no list");
                };
                let of = |name: &str| {
                    let name = Value::BulkString(name.as_bytes().to_vec());
                    let at = master.iter().position(|field| *field == name)?;
                    master.get(at + 1).cloned()
                };
                of("num-slaves") == Some(Value::BulkString(b"1".to_vec()))
                    && of("num-other-sentinels") == Some(Value::BulkString(b"2".to_vec()))
            })
        });
        wait_for("the replica to follow", || {
            text(&watched.primary, &["INFO", "replication"]).contains("state=online")
        });
        watched
    }

    pub(crate) fn replica(&self) -> &Server {
        &self.replica
    }

    /// Returns a URL, with the name of the primary and further settings.
    pub(crate) fn url(&self, login: &str, query: &str) -> Secret {
        let hosts = self.sentinels.iter();
        let hosts = hosts.map(|server| format!("127.0.0.1:{}", server.port));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        Secret::new(format!("redis-sentinel://{login}{hosts}?{query}")).unwrap()
    }

    pub(crate) fn client(&self) -> RedisClient {
        RedisClient::new(&self.url("", "primary=main")).unwrap()
    }
}

fn id(server: &Server) -> String {
    text(server, &["CLUSTER", "MYID"])
}

/// Returns a reply that is a text.
pub(crate) fn text(server: &Server, words: &[&str]) -> String {
    match server.run(words) {
        Value::BulkString(text) => String::from_utf8(text).unwrap(),
        Value::VerbatimString { text, .. } => text,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// Waits until the condition holds. Panics after 30 seconds.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 seconds for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
