//! How many connections a provider gets.
//!
//! A client keeps one HTTP/2 connection to a host, and a burst on a cold client opens one for each
//! request before it notices. So there are several clients, the connections, and each lane lets one
//! request through to connect while the others wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use human_check_core::ConfigError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::{Endpoint, Reply, SendError};

/// How many checks share one HTTP/2 connection before the next is opened. Servers usually allow
/// 100 streams.
const STREAMS: usize = 100;
/// The most HTTP/2 connections to one provider.
const LANES: usize = 8;
/// How long a request waits for another to open a connection. Comes off its own attempt, so it is
/// no more than a quarter of one.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(1);
/// Kept under what servers close idle connections after.
pub(crate) const IDLE: Duration = Duration::from_secs(45);

/// Clients of one kind, and what is known of the hosts they talk to.
#[derive(Clone)]
pub(crate) struct Connections<C> {
    clients: Arc<[C]>,
    hosts: Arc<Mutex<Vec<Arc<Host>>>>,
}

impl<C> Connections<C> {
    pub(crate) fn new(client: impl Fn() -> Result<C, ConfigError>) -> Result<Self, ConfigError> {
        Ok(Self {
            clients: (0..LANES).map(|_| client()).collect::<Result<_, _>>()?,
            hosts: Arc::default(),
        })
    }

    /// Exchanges over the lane whose turn it is. `exchange` also says whether it was HTTP/2.
    pub(crate) async fn exchange<'a, F>(
        &'a self,
        endpoint: &Endpoint,
        exchange: impl FnOnce(&'a C) -> F,
    ) -> Result<Reply, SendError>
    where
        F: Future<Output = Result<(Reply, bool), SendError>>,
    {
        let host = self.host(endpoint);
        let place = InFlight::enter(&host);
        if !host.multiplexes.load(Ordering::Relaxed) {
            // Over HTTP/1.1 each request in flight needs a connection anyway.
            let (reply, http2) = exchange(&self.clients[0]).await?;
            // A provider may come to speak HTTP/2, or be spoken to through another front.
            host.multiplexes.store(http2, Ordering::Relaxed);
            return Ok(reply);
        }
        let lane = place.number / STREAMS % LANES;
        let opening = host.gates[lane].pass().await;
        let exchanged = exchange(&self.clients[lane]).await;
        if exchanged.is_err() {
            // Its connection may be gone, and then the next one opens another for all.
            host.gates[lane].close();
        }
        let (reply, http2) = exchanged?;
        host.multiplexes.store(http2, Ordering::Relaxed);
        match opening {
            Some(opening) => opening.done(),
            None => host.gates[lane].used(),
        }
        Ok(reply)
    }

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

/// A provider's host and the connections to it.
struct Host {
    name: String,
    port: Option<u16>,
    in_flight: AtomicUsize,
    /// Whether it is thought to speak HTTP/2, where checks wait for each other to connect.
    multiplexes: AtomicBool,
    gates: [Gate; LANES],
}

/// A place among the requests in flight.
struct InFlight<'a> {
    host: &'a Host,
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

/// Lets one request through to open a connection, and the others once it is open.
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
    /// `Some` for the request that opens. When its opening fails the waiting ones go on by
    /// themselves, since holding each back in turn would only add up their timeouts.
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
            // By then the one that opens is connected as a rule, and if it waits for a slow reply
            // the others share its connection.
            let mut state = self.state.subscribe();
            let opened = state.wait_for(|state| *state != GateState::Opening);
            let _ = timeout(PATIENCE, opened).await;
        }
        None
    }

    fn close(&self) {
        self.state.send_if_modified(|state| {
            let was_open = *state == GateState::Open;
            if was_open {
                *state = GateState::Cold;
            }
            was_open
        });
    }

    fn used(&self) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_idle(&self) -> bool {
        self.last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none_or(|at| at.elapsed() >= IDLE)
    }
}

/// Held by the request that opens a connection. Dropped early, by a failure or because its check
/// was given up, it lets the others through.
struct Opening<'a>(&'a Gate);

impl Opening<'_> {
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
    async fn a_cold_burst_lets_one_through_to_connect_on_each_lane() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let (started, connected) = (AtomicUsize::new(0), AtomicBool::new(false));
        let exchanges = (0..1_000).map(|_| {
            let (connections, started, connected) = (&connections, &started, &connected);
            async move {
                let exchange = |_: &()| {
                    if !connected.load(Ordering::Relaxed) {
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                    async move {
                        sleep(Duration::from_millis(50)).await;
                        connected.store(true, Ordering::Relaxed);
                        reply()
                    }
                };
                connections.exchange(&endpoint(), exchange).await
            }
        });
        let outcomes = join(exchanges.collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(
            started.load(Ordering::Relaxed),
            LANES,
            "before any was connected"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_opener_delays_others_no_longer_than_connecting_takes() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let number = AtomicUsize::new(0);
        let exchanges = (0..50).map(|_| {
            let (connections, number) = (&connections, &number);
            async move {
                let exchange = |_: &()| {
                    let stalls = number.fetch_add(1, Ordering::Relaxed) == 0;
                    async move {
                        let pause = if stalls { 3_600_000 } else { 20 };
                        sleep(Duration::from_millis(pause)).await;
                        reply()
                    }
                };
                timeout(
                    Duration::from_secs(2),
                    connections.exchange(&endpoint(), exchange),
                )
                .await
            }
        });
        let outcomes = join(exchanges.collect()).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            49
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reply_to_the_first_costs_the_others_a_quarter_of_their_attempt() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let exchanges = (0..50).map(|_| {
            let connections = &connections;
            async move {
                let slow = |_: &()| async {
                    sleep(Duration::from_millis(1_400)).await;
                    reply()
                };
                timeout(
                    Duration::from_secs(2),
                    connections.exchange(&endpoint(), slow),
                )
                .await
            }
        });
        let outcomes = join(exchanges.collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn after_idling_or_failing_one_opens_for_all_again() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let burst = async |connected: bool| {
            let (started, done) = (AtomicUsize::new(0), AtomicBool::new(connected));
            let exchanges = (0..50).map(|_| {
                let (connections, started, done) = (&connections, &started, &done);
                async move {
                    let exchange = |_: &()| {
                        let early = !done.load(Ordering::Relaxed);
                        started.fetch_add(usize::from(early), Ordering::Relaxed);
                        async move {
                            sleep(Duration::from_millis(50)).await;
                            done.store(true, Ordering::Relaxed);
                            reply()
                        }
                    };
                    connections.exchange(&endpoint(), exchange).await
                }
            });
            join(exchanges.collect()).await;
            started.load(Ordering::Relaxed)
        };
        assert_eq!(burst(false).await, 1, "cold");
        assert_eq!(burst(false).await, 50, "warm: nobody waits");
        sleep(IDLE).await;
        assert_eq!(burst(false).await, 1, "idle");
        let lost = SendError::new(crate::SendErrorKind::Lost);
        assert!(
            connections
                .exchange(&endpoint(), |_| async { Err(lost) })
                .await
                .is_err()
        );
        assert_eq!(burst(false).await, 1, "after a failure");
    }

    #[tokio::test(start_paused = true)]
    async fn what_protocol_a_provider_speaks_is_learnt_again() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let at = endpoint();
        let multiplexes = |connections: &Connections<()>| {
            connections.host(&at).multiplexes.load(Ordering::Relaxed)
        };
        for http2 in [false, true, false, true] {
            let exchange = |_: &()| async move { Ok((Reply::new(200, ""), http2)) };
            connections.exchange(&at, exchange).await.unwrap();
            assert_eq!(multiplexes(&connections), http2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_opener_that_is_given_up_lets_the_next_one_open() {
        let connections = Connections::new(|| Ok(())).unwrap();
        let at = endpoint();
        let given_up = connections.exchange(&at, |_| std::future::pending());
        assert!(timeout(Duration::from_millis(1), given_up).await.is_err());
        assert!(
            connections
                .exchange(&at, |_| async { reply() })
                .await
                .is_ok()
        );
    }

    /// Polls all of them until all are done.
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
