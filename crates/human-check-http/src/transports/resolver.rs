//! Looks names up: one lookup at a time for each host, and results are remembered.
//!
//! A lookup blocks a thread, for many seconds if the name server does not reply. So lookups have
//! threads of their own, at most one for each host, and nothing else of the process waits behind
//! them. And a host that was found before is reached while the name server stalls.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a result is used without another lookup. The operating system does not tell the time to
/// live that the name server states.
const FRESH: Duration = Duration::from_secs(30);

/// How long a lookup may take before the last good result is used instead.
const STALLED: Duration = Duration::from_millis(250);

/// How long the last good result is used while lookups fail or stall. The server at an address
/// proves by its certificate that it is the host.
const USABLE: Duration = Duration::from_secs(3_600);

/// How many addresses of a host are tried, of each family. The time to connect is divided among them.
pub(super) const MAX_ADDRESSES: usize = 2;

type Addresses = Arc<[SocketAddr]>;
type Found = Result<Addresses, io::ErrorKind>;
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks names up. Clones share the lookups and their results.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    hosts: Arc<Mutex<HashMap<String, Host>>>,
}

/// What is known of a host.
#[derive(Default)]
struct Host {
    under_way: Option<watch::Receiver<Option<Found>>>,
    last: Option<(Addresses, Instant)>,
    /// Whether the next request looks the name up, however fresh the last result is.
    is_doubted: bool,
}

impl Resolver {
    /// Creates a resolver that asks the operating system.
    pub(super) fn system() -> Self {
        // The port is replaced by that of the connection.
        Self::new(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    fn new(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            hosts: Arc::default(),
        }
    }

    /// Returns the addresses of `name`.
    ///
    /// Dropping the future does not end the lookup, which other requests may wait for.
    ///
    /// # Errors
    ///
    /// That of the lookup, if there is no earlier result of the last hour.
    pub(super) async fn resolve(self, name: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let (known, mut lookup) = {
            let mut hosts = self.hosts();
            let host = hosts.entry(name.clone()).or_default();
            let age = |at: &Instant| at.elapsed();
            let known = host.last.clone().filter(|(_, at)| age(at) < USABLE);
            if let Some((addresses, at)) = &known
                && age(at) < FRESH
                && !host.is_doubted
            {
                return Ok(list(addresses));
            }
            match (self.join_or_start(host, &name), &known) {
                (Ok(lookup), _) => (known, lookup),
                // No thread could be started.
                (Err(_), Some((addresses, _))) => return Ok(list(addresses)),
                (Err(error), None) => return Err(error),
            }
        };
        let found = async {
            let found = lookup.wait_for(Option::is_some).await;
            found.ok().and_then(|found| found.clone())
        };
        let Some((known, _)) = known else {
            return match found.await {
                Some(Ok(addresses)) => Ok(list(&addresses)),
                Some(Err(kind)) => Err(io::Error::new(kind, "the name cannot be resolved")),
                None => Err(io::Error::other("the lookup of the name stopped")),
            };
        };
        match timeout(STALLED, found).await {
            Ok(Some(Ok(addresses))) => Ok(list(&addresses)),
            _ => Ok(list(&known)),
        }
    }

    /// Looks `name` up again for the next request, because its addresses could not be reached.
    #[cfg(any(test, feature = "rustls"))]
    pub(super) fn doubt(&self, name: &str) {
        if let Some(host) = self.hosts().get_mut(name) {
            host.is_doubted = true;
        }
    }

    /// Returns the result of the lookup under way, or starts one.
    fn join_or_start(
        &self,
        host: &mut Host,
        name: &str,
    ) -> io::Result<watch::Receiver<Option<Found>>> {
        // The sender of one that stopped without a result is gone.
        let under_way = host.under_way.as_ref();
        if let Some(found) = under_way.filter(|found| found.has_changed().is_ok()) {
            return Ok(found.clone());
        }
        let (sender, receiver) = watch::channel(None);
        let (resolver, name, start) = (self.clone(), name.to_owned(), Instant::now());
        let thread = std::thread::Builder::new().name("human-check lookup".to_owned());
        drop(thread.spawn(move || {
            let found = (resolver.lookup)(&name).and_then(|addresses| match addresses.is_empty() {
                true => Err(io::ErrorKind::NotFound.into()),
                false => Ok(Addresses::from(addresses)),
            });
            if let Some(host) = resolver.hosts().get_mut(&name) {
                host.under_way = None;
                host.is_doubted = false;
                if let Ok(addresses) = &found {
                    host.last = Some((Arc::clone(addresses), start));
                }
            }
            sender.send_replace(Some(found.map_err(|error| error.kind())));
        })?);
        host.under_way = Some(receiver.clone());
        Ok(receiver)
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(addresses: &Addresses) -> std::vec::IntoIter<SocketAddr> {
    let of_family = |is_v4| {
        let all = addresses.iter().copied();
        all.filter(move |address| address.is_ipv4() == is_v4)
            .take(MAX_ADDRESSES)
    };
    // The family that the operating system prefers comes first.
    let prefers_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let list: Vec<_> = of_family(prefers_v4)
        .chain(of_family(!prefers_v4))
        .collect();
    list.into_iter()
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A name server that a test stalls.
    #[derive(Default)]
    struct NameServer {
        lookups: AtomicUsize,
        stalls: Mutex<bool>,
        changed: Condvar,
    }

    impl NameServer {
        fn stall(&self, stalls: bool) {
            *self.stalls.lock().unwrap() = stalls;
            self.changed.notify_all();
        }

        fn lookups(&self) -> usize {
            self.lookups.load(Ordering::SeqCst)
        }

        fn resolver(self: &Arc<Self>) -> Resolver {
            let server = Arc::clone(self);
            Resolver::new(move |name| {
                let number = server.lookups.fetch_add(1, Ordering::SeqCst) as u8;
                let stalls = server.stalls.lock().unwrap();
                drop(server.changed.wait_while(stalls, |stalls| *stalls).unwrap());
                match name {
                    "unknown.example" => Err(io::ErrorKind::NotFound.into()),
                    "fails-later.example" if number > 0 => Err(io::ErrorKind::TimedOut.into()),
                    _ => Ok(vec![([127, 0, 0, number], 0).into()]),
                }
            })
        }
    }

    async fn resolve(resolver: &Resolver, name: &str) -> u8 {
        let mut found = resolver.clone().resolve(name.to_owned()).await.unwrap();
        match found.next().unwrap() {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(_) => panic!("IPv4"),
        }
    }

    /// Lets the lookup's thread run to its end. The clock stands still meanwhile.
    fn wait_until(done: impl Fn() -> bool) {
        while !done() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn requests_for_one_host_share_one_lookup() {
        let server = Arc::new(NameServer::default());
        server.stall(true);
        let resolver = server.resolver();
        let resolve = |name: &str| tokio::spawn(resolver.clone().resolve(name.to_owned()));
        let requests: Vec<_> = (0..600).map(|_| resolve("provider.example")).collect();
        let unknown: Vec<_> = (0..600).map(|_| resolve("unknown.example")).collect();
        // A request that gives up takes nothing away from the others.
        requests[0].abort();
        while server.lookups() < 2 {
            tokio::task::yield_now().await;
        }
        // Each task had a turn to begin.
        for _ in 0..1_200 {
            tokio::task::yield_now().await;
        }
        server.stall(false);
        for request in requests.into_iter().skip(1) {
            assert_eq!(request.await.unwrap().unwrap().count(), 1);
        }
        for request in unknown {
            let error = request.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(server.lookups(), 2);
    }

    #[test]
    fn a_lookup_needs_no_thread_of_the_runtime() {
        let server = Arc::new(NameServer::default());
        server.stall(true);
        let resolver = server.resolver();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let waiting = tokio::spawn(resolver.resolve("provider.example".to_owned()));
            tokio::task::yield_now().await;
            assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
            assert!(!waiting.is_finished());
            server.stall(false);
            assert!(waiting.await.unwrap().is_ok());
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_is_remembered_and_used_while_the_name_server_stalls_or_fails() {
        let server = Arc::new(NameServer::default());
        let resolver = server.resolver();
        assert_eq!(resolve(&resolver, "provider.example").await, 0);
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(resolve(&resolver, "provider.example").await, 0);
        assert_eq!(server.lookups(), 1, "fresh");
        server.stall(true);
        tokio::time::advance(FRESH).await;
        let start = Instant::now();
        assert_eq!(resolve(&resolver, "provider.example").await, 0, "stalled");
        assert_eq!(start.elapsed(), STALLED);
        server.stall(false);
        let is_done = || resolver.hosts()["provider.example"].under_way.is_none();
        wait_until(is_done);
        assert_eq!(
            resolve(&resolver, "provider.example").await,
            1,
            "in the end"
        );
        assert_eq!(server.lookups(), 2);

        let server = Arc::new(NameServer::default());
        let resolver = server.resolver();
        assert_eq!(resolve(&resolver, "fails-later.example").await, 0);
        tokio::time::advance(USABLE - Duration::from_secs(1)).await;
        assert_eq!(resolve(&resolver, "fails-later.example").await, 0);
        wait_until(|| resolver.hosts()["fails-later.example"].under_way.is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        let found = resolver.resolve("fails-later.example".to_owned()).await;
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(server.lookups(), 3);
    }

    #[tokio::test]
    async fn addresses_that_cannot_be_reached_are_looked_up_again() {
        let server = Arc::new(NameServer::default());
        let resolver = server.resolver();
        assert_eq!(resolve(&resolver, "provider.example").await, 0);
        resolver.doubt("provider.example");
        resolver.doubt("never-asked.example");
        assert_eq!(resolve(&resolver, "provider.example").await, 1);
        assert_eq!(resolve(&resolver, "provider.example").await, 1);
        assert_eq!(server.lookups(), 2);
    }

    #[test]
    fn at_most_two_addresses_of_a_family_are_tried_and_the_preferred_family_first() {
        let v4 = |n| SocketAddr::from(([203, 0, 113, n], 0));
        let v6 = |n| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 0));
        let tried = |all: &[SocketAddr]| list(&Addresses::from(all)).collect::<Vec<_>>();
        let all = [v6(1), v4(1), v6(2), v4(2), v6(3), v4(3), v4(4)];
        assert_eq!(tried(&all), [v6(1), v6(2), v4(1), v4(2)]);
        assert_eq!(tried(&all[1..]), [v4(1), v4(2), v6(2), v6(3)]);
        assert_eq!(tried(&[v4(1)]), [v4(1)]);
    }
}
