//! Shares the lookups of names: one at a time for each host, however many requests wait for it.
//!
//! A lookup blocks a thread of the runtime's pool, for many seconds if the name server does not
//! reply. With one lookup for each request, a burst would fill the pool, and other work of the
//! process would wait behind it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

type Addresses = Arc<[SocketAddr]>;
type Found = Result<Addresses, io::ErrorKind>;

/// Looks names up. Clones share the lookups under way.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: fn(&str) -> io::Result<Vec<SocketAddr>>,
    under_way: Arc<Mutex<HashMap<String, watch::Receiver<Option<Found>>>>>,
}

impl Resolver {
    /// Creates a resolver that asks the operating system.
    pub(super) fn system() -> Self {
        // The port is replaced by that of the connection.
        Self::new(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    fn new(lookup: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self {
            lookup,
            under_way: Arc::default(),
        }
    }

    /// Returns the addresses of `name`.
    ///
    /// Dropping the future does not end the lookup, which other requests may wait for.
    pub(super) async fn resolve(self, name: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let mut found = self.join_or_start(name);
        let stopped = |_| io::Error::other("the lookup of the name stopped");
        let found = found.wait_for(Option::is_some).await.map_err(stopped)?;
        match &*found {
            Some(Ok(addresses)) => Ok(Vec::from(&**addresses).into_iter()),
            Some(Err(kind)) => Err(io::Error::new(*kind, "the name cannot be resolved")),
            None => Err(io::Error::other("the lookup of the name stopped")),
        }
    }

    /// Returns the result of the lookup under way, or starts one.
    fn join_or_start(&self, name: String) -> watch::Receiver<Option<Found>> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = under_way.get(&name) {
            // The sender of one that stopped without a result is gone.
            if found.has_changed().is_ok() {
                return found.clone();
            }
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(name.clone(), receiver.clone());
        drop(under_way);
        let resolver = self.clone();
        tokio::task::spawn_blocking(move || {
            let found = (resolver.lookup)(&name);
            let mut under_way = resolver
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            under_way.remove(&name);
            drop(under_way);
            sender.send_replace(Some(found.map(Into::into).map_err(|error| error.kind())));
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, LazyLock};

    use super::*;

    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    static REPLIED: LazyLock<(Mutex<bool>, Condvar)> = LazyLock::new(Default::default);

    /// Blocks until the name server of this test replies.
    fn stalled(name: &str) -> io::Result<Vec<SocketAddr>> {
        LOOKUPS.fetch_add(1, Ordering::SeqCst);
        let (replied, changed) = &*REPLIED;
        drop(
            changed
                .wait_while(replied.lock().unwrap(), |replied| !*replied)
                .unwrap(),
        );
        match name {
            "unknown.example" => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(vec![([127, 0, 0, 1], 0).into()]),
        }
    }

    #[tokio::test]
    async fn requests_for_one_host_share_one_lookup() {
        let resolver = Resolver::new(stalled);
        let resolve = |name: &str| tokio::spawn(resolver.clone().resolve(name.to_owned()));
        let requests: Vec<_> = (0..600).map(|_| resolve("provider.example")).collect();
        let unknown: Vec<_> = (0..600).map(|_| resolve("unknown.example")).collect();
        // A request that gives up takes nothing away from the others.
        requests[0].abort();
        while LOOKUPS.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // The pool of the runtime has room while the name server stalls.
        assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
        *REPLIED.0.lock().unwrap() = true;
        REPLIED.1.notify_all();
        for request in requests.into_iter().skip(1) {
            assert_eq!(request.await.unwrap().unwrap().count(), 1);
        }
        for request in unknown {
            let error = request.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 2);
        resolver
            .clone()
            .resolve("provider.example".to_owned())
            .await
            .unwrap();
        assert_eq!(LOOKUPS.load(Ordering::SeqCst), 3, "a result is not kept");
    }
}
