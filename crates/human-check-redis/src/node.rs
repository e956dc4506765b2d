use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::dial::Dial;
use crate::error::RedisStoreError;
use crate::limits::Limits;
use crate::link::Link;
use crate::request::{Reply, Request};

/// The connections to one server.
pub(crate) struct Node {
    address: String,
    links: Box<[Link]>,
    next: AtomicUsize,
}

impl Node {
    /// Creates a node without connections. `address` is shown in reports.
    pub(crate) fn new(address: String, dial: Dial, limits: &Limits) -> Self {
        let dial = Arc::new(dial);
        let links = (0..limits.connections).map(|_| Link::new(Arc::clone(&dial)));
        Self {
            address,
            links: links.collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Returns host and port, without user and password.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request on one of the connections. A redirection of a cluster is a value.
    pub(crate) async fn send(
        &self,
        request: Request<'_>,
        limits: &Limits,
    ) -> Result<Reply, RedisStoreError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.links[turn % self.links.len()]
            .run(request, limits)
            .await
    }

    /// Discards the connections, because their further replies may belong to other commands.
    pub(crate) fn discard_connections(&self) {
        self.links.iter().for_each(Link::reset);
    }
}
