//! The bound on connections to a provider, and which request opens one.
//!
//! An HTTP library keeps one HTTP/2 connection for each client and host. Two things are missing:
//!
//! - A single connection ends at the server's limit of streams. So there are several clients, and
//!   each has one connection to a host. The number of requests in flight selects the client.
//! - Requests that arrive before the first connection is up open a connection each. So each
//!   connection has a gate: one request passes to open the connection, and the others wait for it
//!   for a short time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use human_check_core::ConfigError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::{Endpoint, Reply, SendError};

/// How many requests share one HTTP/2 connection before the next one is used. Servers usually allow
/// 100 streams.
const MAX_STREAMS: usize = 100;
/// The maximum number of HTTP/2 connections to one host.
const MAX_CONNECTIONS: usize = 8;
/// How long a request waits for another one to open a connection. The wait is part of its attempt,
/// so it is a quarter of the default timeout of an attempt.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);
/// How long an idle connection is kept. Shorter than the time after which most servers close it.
pub(crate) const IDLE: Duration = Duration::from_secs(45);

/// The clients of one HTTP library, and the state of the connections to each host.
#[derive(Clone)]
pub(crate) struct Connections<C> {
    clients: Arc<[C]>,
    hosts: Arc<Mutex<Vec<Arc<Host>>>>,
}

impl<C> Connections<C> {
    /// Creates the clients with the function `client`.
    pub(crate) fn new(client: impl Fn() -> Result<C, ConfigError>) -> Result<Self, ConfigError> {
        Ok(Self {
            clients: (0..MAX_CONNECTIONS)
                .map(|_| client())
                .collect::<Result<_, _>>()?,
            hosts: Arc::default(),
        })
    }

    /// Sends a request with the client that is next.
    ///
    /// `send` returns the reply and whether the connection is HTTP/2.
    pub(crate) async fn send<'a, F>(
        &'a self,
        endpoint: &Endpoint,
        send: impl FnOnce(&'a C) -> F,
    ) -> Result<Reply, SendError>
    where
        F: Future<Output = Result<(Reply, bool), SendError>>,
    {
        let host = self.host(endpoint);
        let in_flight = InFlight::enter(&host);
        if !host.multiplexes.load(Ordering::Relaxed) {
            // With HTTP/1.1 each request in flight needs a connection of its own.
            let (reply, http2) = send(&self.clients[0]).await?;
            // The host may change to HTTP/2 at any time.
            host.multiplexes.store(http2, Ordering::Relaxed);
            return Ok(reply);
        }
        let index = in_flight.number / MAX_STREAMS % MAX_CONNECTIONS;
        let gate = &host.gates[index];
        let opening = gate.pass().await;
        let sent = send(&self.clients[index]).await;
        if sent.is_err() {
            // The connection may be broken. The next request then opens one for all.
            gate.close();
        }
        let (reply, http2) = sent?;
        host.multiplexes.store(http2, Ordering::Relaxed);
        match opening {
            Some(opening) => opening.done(),
            None => gate.used(),
        }
        Ok(reply)
    }

    /// Returns the state of the host of `endpoint`.
    fn host(&self, endpoint: &Endpoint) -> Arc<Host> {
        let url = endpoint.url();
        let (name, port) = (url.host_str().unwrap_or(""), url.port_or_known_default());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.iter().find(|h| h.port == port && h.name == name) {
            return Arc::clone(host);
        }
        let host = Arc::new(Host {
            name: name.to_owned(),
            port,
            in_flight: AtomicUsize::new(0),
            multiplexes: AtomicBool::new(url.scheme() == "https"),
            gates: std::array::from_fn(|_| Gate::default()),
        });
        hosts.push(Arc::clone(&host));
        host
    }
}

/// A host, and the gates of the connections to it.
struct Host {
    name: String,
    port: Option<u16>,
    in_flight: AtomicUsize,
    /// Whether the last reply came over HTTP/2, so that requests can share a connection. Before the
    /// first reply of an https host it is assumed.
    multiplexes: AtomicBool,
    gates: [Gate; MAX_CONNECTIONS],
}

/// Counts a request as in flight until it is dropped.
struct InFlight<'a> {
    host: &'a Host,
    /// How many other requests were in flight when it started.
    number: usize,
}

impl<'a> InFlight<'a> {
    fn enter(host: &'a Host) -> Self {
        let number = host.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { host, number }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.host.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The gate of one connection: one request passes to open it, the others when it is open.
struct Gate {
    state: watch::Sender<GateState>,
    last_used: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq)]
enum GateState {
    Cold,
    Open,
    Opening,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(GateState::Cold),
            last_used: Mutex::new(None),
        }
    }
}

impl Gate {
    /// Waits until the connection is open, at most [`MAX_WAIT`].
    ///
    /// Returns `Some` for the request that opens the connection. If opening fails, all waiting
    /// requests pass: if they waited for each other in turn, their waits would add up.
    async fn pass(&self) -> Option<Opening<'_>> {
        let mut opens = false;
        self.state.send_if_modified(|state| {
            opens = *state == GateState::Cold || *state == GateState::Open && self.is_idle();
            if opens {
                *state = GateState::Opening;
            }
            opens
        });
        if opens {
            return Some(Opening(self));
        }
        if *self.state.borrow() == GateState::Opening {
            // The opening request is usually connected by then. If it waits for a slow reply, the
            // others share its connection.
            let mut state = self.state.subscribe();
            let opened = state.wait_for(|state| *state != GateState::Opening);
            let _ = timeout(MAX_WAIT, opened).await;
        }
        None
    }

    /// Marks an open connection as broken.
    fn close(&self) {
        self.state.send_if_modified(|state| {
            let was_open = *state == GateState::Open;
            if was_open {
                *state = GateState::Cold;
            }
            was_open
        });
    }

    /// Records that the connection was used now.
    fn used(&self) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns whether the client has closed the connection as idle.
    fn is_idle(&self) -> bool {
        self.last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none_or(|at| at.elapsed() >= IDLE)
    }
}

/// Held by the request that opens a connection.
///
/// If it is dropped before [`done`](Self::done), because sending failed or the future was dropped,
/// the other requests pass.
struct Opening<'a>(&'a Gate);

impl Opening<'_> {
    /// Marks the connection as open.
    fn done(self) {
        self.0.used();
        self.0.state.send_replace(GateState::Open);
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            let failed = *state == GateState::Opening;
            if failed {
                *state = GateState::Cold;
            }
            failed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn endpoint() -> Endpoint {
        Endpoint::literal("https://provider.example/siteverify")
    }

    fn reply() -> Result<(Reply, bool), SendError> {
        Ok((Reply::new(200, ""), true))
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_burst_lets_one_request_open_each_connection() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let (started, connected) = (AtomicUsize::new(0), AtomicBool::new(false));
        let requests = (0..1_000).map(|_| {
            let (connections, started, connected) = (&connections, &started, &connected);
            async move {
                let send = |_: &()| {
                    if !connected.load(Ordering::Relaxed) {
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                    async move {
                        sleep(Duration::from_millis(50)).await;
                        connected.store(true, Ordering::Relaxed);
                        reply()
                    }
                };
                connections.send(&endpoint(), send).await
            }
        });
        let outcomes = join(requests.collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(
            started.load(Ordering::Relaxed),
            MAX_CONNECTIONS,
            "before a connection was open"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_opener_delays_others_no_longer_than_connecting_takes() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let number = AtomicUsize::new(0);
        let requests = (0..50).map(|_| {
            let (connections, number) = (&connections, &number);
            async move {
                let send = |_: &()| {
                    let stalls = number.fetch_add(1, Ordering::Relaxed) == 0;
                    async move {
                        let pause = if stalls { 3_600_000 } else { 20 };
                        sleep(Duration::from_millis(pause)).await;
                        reply()
                    }
                };
                timeout(Duration::from_secs(2), connections.send(&endpoint(), send)).await
            }
        });
        let outcomes = join(requests.collect()).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            49
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reply_to_the_first_costs_the_others_a_quarter_of_their_attempt() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let requests = (0..50).map(|_| {
            let connections = &connections;
            async move {
                let slow = |_: &()| async {
                    sleep(Duration::from_millis(1_400)).await;
                    reply()
                };
                timeout(Duration::from_secs(2), connections.send(&endpoint(), slow)).await
            }
        });
        let outcomes = join(requests.collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn after_idling_or_failing_one_request_opens_for_all_again() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let burst = async |connected: bool| {
            let (started, done) = (AtomicUsize::new(0), AtomicBool::new(connected));
            let requests = (0..50).map(|_| {
                let (connections, started, done) = (&connections, &started, &done);
                async move {
                    let send = |_: &()| {
                        let early = !done.load(Ordering::Relaxed);
                        started.fetch_add(usize::from(early), Ordering::Relaxed);
                        async move {
                            sleep(Duration::from_millis(50)).await;
                            done.store(true, Ordering::Relaxed);
                            reply()
                        }
                    };
                    connections.send(&endpoint(), send).await
                }
            });
            join(requests.collect()).await;
            started.load(Ordering::Relaxed)
        };
        assert_eq!(burst(false).await, 1, "cold");
        assert_eq!(burst(false).await, 50, "warm: no request waits");
        sleep(IDLE).await;
        assert_eq!(burst(false).await, 1, "idle");
        let lost = SendError::new(crate::SendErrorKind::Lost);
        assert!(
            connections
                .send(&endpoint(), |_| async { Err(lost) })
                .await
                .is_err()
        );
        assert_eq!(burst(false).await, 1, "after a failure");
    }

    #[tokio::test(start_paused = true)]
    async fn the_http_version_of_a_host_is_learnt_again() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let at = endpoint();
        let multiplexes = |connections: &Connections<()>| {
            connections.host(&at).multiplexes.load(Ordering::Relaxed)
        };
        for http2 in [false, true, false, true] {
            let send = |_: &()| async move { Ok((Reply::new(200, ""), http2)) };
            connections.send(&at, send).await.unwrap();
            assert_eq!(multiplexes(&connections), http2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_opener_that_is_dropped_lets_the_next_one_open() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let at = endpoint();
        let dropped = connections.send(&at, |_| std::future::pending());
        assert!(timeout(Duration::from_millis(1), dropped).await.is_err());
        assert!(connections.send(&at, |_| async { reply() }).await.is_ok());
    }

    /// Polls all futures until all are done.
    async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
        let mut futures: Vec<_> = futures.into_iter().map(|f| (Box::pin(f), None)).collect();
        std::future::poll_fn(|context| {
            for (future, output) in &mut futures {
                if output.is_none()
                    && let std::task::Poll::Ready(done) = future.as_mut().poll(context)
                {
                    *output = Some(done);
                }
            }
            if futures.iter().all(|(_, output)| output.is_some()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        futures
            .into_iter()
            .filter_map(|(_, output)| output)
            .collect()
    }
}
