use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt, StreamExt};
use redis::{Cmd, ConnectionAddr, ConnectionInfo, Value};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::dial::{Dial, Trust, at};
use crate::error::RedisStoreError;
use crate::limits::Limits;
use crate::node::Node;
use crate::request::{Reply, Request};
use crate::slots::{NodeAddress, SlotMap};

/// The nodes of a cluster, and which of them has which slots.
///
/// The cluster client of the Redis client is not used: it sends a command again whose reply was lost,
/// and it goes on with a primary that stopped replying after a replica has taken over. Here each node
/// has connections of its own, a node that fails causes the map to be read anew, and a command is sent
/// again only to the node that a redirection names, because a node that redirects has done nothing.
pub(crate) struct Cluster {
    /// The nodes that are asked first.
    seeds: Vec<ConnectionInfo>,
    trust: Trust,
    limits: Limits,
    state: Mutex<State>,
    /// The number of readings, so that they begin with different nodes.
    readings: AtomicUsize,
}

/// What the cluster has been like at the last reading.
#[derive(Default)]
struct State {
    /// Empty before the first reading.
    slots: Arc<SlotMap>,
    nodes: HashMap<NodeAddress, Arc<Node>>,
    reading: Option<Reading>,
}

/// A reading of the map, which all its callers share.
#[derive(Clone)]
struct Reading {
    outcome: Shared<BoxFuture<'static, Result<(), RedisStoreError>>>,
    task: AbortHandle,
    since: Instant,
}

/// The minimum time between the begins of two readings.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// How many nodes are asked for the map at a time, so that one that is silent delays nothing.
const ASKED_AT_A_TIME: usize = 2;

/// How many redirections a command follows. One is usual; a second one comes while a slot is moving.
const MAX_REDIRECTIONS: usize = 4;

impl Cluster {
    /// Creates a cluster without connections.
    pub(crate) fn new(seeds: Vec<ConnectionInfo>, trust: Trust, limits: Limits) -> Self {
        Self {
            seeds,
            trust,
            limits,
            state: Mutex::default(),
            readings: AtomicUsize::new(0),
        }
    }

    /// Sends a request to the node that has the slot, and follows its redirections. The call ends
    /// within the connect and the response timeout together.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<'_>,
        slot: u16,
    ) -> Result<Reply, RedisStoreError> {
        let limit = self.limits.connect + self.limits.response;
        match timeout(limit, self.follow(request, slot)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RedisStoreError::TIMEOUT),
        }
    }

    async fn follow(
        self: &Arc<Self>,
        request: Request<'_>,
        slot: u16,
    ) -> Result<Reply, RedisStoreError> {
        let map = self.map().await?;
        let Some(address) = map.primary(slot) else {
            self.read_again();
            return Err(RedisStoreError::CLUSTER_DOWN);
        };
        let (mut address, mut asking) = (address.clone(), false);
        for _ in 0..=MAX_REDIRECTIONS {
            let node = self.node(&address)?;
            let reply = match node.send(request.with_asking(asking), &self.limits).await {
                Ok(reply) => reply,
                Err(error) => {
                    if error.may_have_moved() {
                        self.read_again();
                    }
                    return Err(error);
                }
            };
            match Redirection::of(&reply.value, &address.host) {
                None => return Ok(reply),
                Some(Redirection::Moved(to)) => {
                    self.read_again();
                    (address, asking) = (to, false);
                }
                // The slot is moving, and stays where it is until all its keys have moved.
                Some(Redirection::Ask(to)) => (address, asking) = (to, true),
            }
        }
        Err(RedisStoreError::REDIRECTIONS)
    }

    /// Returns the primaries, after a new reading.
    pub(crate) async fn primaries(self: &Arc<Self>) -> Result<Vec<Arc<Node>>, RedisStoreError> {
        self.begin_reading(Duration::ZERO).outcome.await?;
        let primaries = self.lock().slots.primaries();
        primaries.iter().map(|address| self.node(address)).collect()
    }

    /// Discards all connections.
    pub(crate) fn discard_connections(&self) {
        let nodes: Vec<_> = self.lock().nodes.values().cloned().collect();
        nodes.iter().for_each(|node| node.discard_connections());
    }

    /// Returns the map of the last reading. The first call waits for one.
    async fn map(self: &Arc<Self>) -> Result<Arc<SlotMap>, RedisStoreError> {
        let known = Arc::clone(&self.lock().slots);
        if !known.is_empty() {
            return Ok(known);
        }
        self.begin_reading(READ_PAUSE).outcome.await?;
        Ok(Arc::clone(&self.lock().slots))
    }

    /// Reads the map in the background, because a node does not have what the map says.
    fn read_again(self: &Arc<Self>) {
        drop(self.begin_reading(READ_PAUSE));
    }

    /// Returns the reading that is going on or whose begin is not longer ago than `pause`, or
    /// begins another. It is a task of its own: a caller that gives up does not end it.
    fn begin_reading(self: &Arc<Self>, pause: Duration) -> Reading {
        let mut state = self.lock();
        let is_current =
            |reading: &&Reading| !reading.task.is_finished() || reading.since.elapsed() < pause;
        if let Some(reading) = state.reading.as_ref().filter(is_current) {
            return reading.clone();
        }
        let cluster = Arc::clone(self);
        let spawned = tokio::spawn(async move { cluster.read().await });
        let task = spawned.abort_handle();
        let outcome = async {
            // The task is cancelled only when its runtime shuts down.
            let ended = spawned.await;
            ended.unwrap_or(Err(RedisStoreError::UNCONNECTED))
        };
        let reading = Reading {
            outcome: outcome.boxed().shared(),
            task,
            since: Instant::now(),
        };
        state.reading = Some(reading.clone());
        reading
    }

    /// Reads the map from the first node that tells it.
    async fn read(&self) -> Result<(), RedisStoreError> {
        let mut asked: Vec<_> = self.lock().slots.nodes().iter().cloned().collect();
        asked.extend(self.seeds.iter().filter_map(address_of));
        asked.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
        asked.dedup();
        let turn = self.readings.fetch_add(1, Ordering::Relaxed);
        let first = turn % asked.len().max(1);
        asked.rotate_left(first);
        let mut replies = futures_util::stream::iter(asked)
            .map(|address| async move { self.map_of(&address).await })
            .buffer_unordered(ASKED_AT_A_TIME);
        let mut failed = RedisStoreError::UNCONNECTED;
        while let Some(reply) = replies.next().await {
            match reply {
                Ok(slots) => {
                    let mut state = self.lock();
                    state
                        .nodes
                        .retain(|address, _| slots.nodes().contains(address));
                    state.slots = Arc::new(slots);
                    return Ok(());
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Asks a node for the map.
    async fn map_of(&self, address: &NodeAddress) -> Result<SlotMap, RedisStoreError> {
        let mut command = Cmd::new();
        command.arg("CLUSTER").arg("SLOTS");
        let node = self.node(address)?;
        let reply = node.send(Request::new(&command), &self.limits).await?;
        if reply.value == Value::Array(Vec::new()) {
            return Err(RedisStoreError::CLUSTER_DOWN);
        }
        SlotMap::parse(&reply.value, &address.host).ok_or(RedisStoreError::PROTOCOL)
    }

    /// Returns the node at an address. A new one has no connection yet.
    fn node(&self, address: &NodeAddress) -> Result<Arc<Node>, RedisStoreError> {
        let mut state = self.lock();
        if let Some(node) = state.nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let (host, port) = (address.host.to_string(), address.port);
        // The login, the database and TLS are those of all nodes.
        let seed = self.seeds.first().ok_or(RedisStoreError::UNCONNECTED)?;
        let client = self
            .trust
            .client(seed.clone().set_addr(at(seed, host, port)));
        let client = client.map_err(|error| RedisStoreError::from_client(&error))?;
        let dial = Dial::Server(Box::new(client));
        let node = Arc::new(Node::new(address.to_string(), dial, &self.limits));
        state.nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address_of(info: &ConnectionInfo) -> Option<NodeAddress> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some(NodeAddress {
                host: host.as_str().into(),
                port: *port,
            })
        }
        _ => None,
    }
}

/// Where a node of a cluster sends a command that it has not done.
enum Redirection {
    /// To the node that has the slot.
    Moved(NodeAddress),
    /// To the node that the slot is moving to, this time.
    Ask(NodeAddress),
}

impl Redirection {
    /// Reads an error reply such as `MOVED 3999 127.0.0.1:6381` of the node at the host `asked`.
    fn of(reply: &Value, asked: &str) -> Option<Self> {
        let Value::ServerError(error) = reply else {
            return None;
        };
        let to = error.details()?.split_ascii_whitespace().nth(1)?;
        let to = NodeAddress::parse(to, asked)?;
        match error.code() {
            "MOVED" => Some(Self::Moved(to)),
            "ASK" => Some(Self::Ask(to)),
            _ => None,
        }
    }
}
