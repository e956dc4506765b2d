//! Simulations of a host in virtual time: arrivals, latencies, resets and limits of streams, drawn
//! from a seed. After each step the promises of this module must hold.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::host::{Dial, DialError, Dialled, Host};
use super::table::{BURST_LANES, IDLE, MAX_LANES, MAX_STREAMS, SUSTAINED};
use super::{Line, host::Lease};
use crate::SendErrorKind;

/// How a simulated server behaves.
#[derive(Clone)]
struct Server {
    /// How long connecting takes.
    connect: fn(u64) -> Duration,
    /// The limit of streams of the nth connection.
    streams: fn(u64) -> usize,
    multiplexes: bool,
    /// Whether the nth attempt to connect fails.
    refuses: fn(u64) -> bool,
    /// The state of the connections, and their number so far.
    dialled: Arc<AtomicUsize>,
    open: Arc<Mutex<Vec<FakeLine>>>,
}

impl Server {
    fn new(connect: fn(u64) -> Duration, streams: fn(u64) -> usize) -> Self {
        Self {
            connect,
            streams,
            multiplexes: true,
            refuses: |_| false,
            dialled: Arc::default(),
            open: Arc::default(),
        }
    }

    fn dialled(&self) -> usize {
        self.dialled.load(Ordering::SeqCst)
    }

    /// The server ends the connection at `index`, of those that are open.
    fn reset(&self, index: usize) {
        let open = self.open.lock().unwrap();
        let alive: Vec<_> = open.iter().filter(|line| !line.is_closed()).collect();
        if let Some(line) = alive.get(index % alive.len().max(1)) {
            line.0.closed.send_replace(true);
        }
    }
}

#[derive(Clone)]
struct FakeLine(Arc<FakeConnection>);

struct FakeConnection {
    streams: AtomicUsize,
    multiplexes: bool,
    closed: watch::Sender<bool>,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl Line for FakeLine {
    fn capacity(&self) -> usize {
        self.0.streams.load(Ordering::SeqCst)
    }

    fn multiplexes(&self) -> bool {
        self.0.multiplexes
    }

    fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }
}

#[async_trait]
impl Dial for Server {
    type Line = FakeLine;

    async fn dial(&self, _: usize) -> Result<Dialled<FakeLine>, DialError> {
        let number = self.dialled.fetch_add(1, Ordering::SeqCst) as u64;
        sleep((self.connect)(number)).await;
        if (self.refuses)(number) {
            return Err(DialError::new(SendErrorKind::NotSent, "refused"));
        }
        let line = FakeLine(Arc::new(FakeConnection {
            streams: AtomicUsize::new((self.streams)(number)),
            multiplexes: self.multiplexes,
            closed: watch::Sender::new(false),
            in_flight: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }));
        self.open.lock().unwrap().push(line.clone());
        let mut closed = line.0.closed.subscribe();
        let driver = Box::pin(async move {
            let _ = closed.wait_for(|closed| *closed).await;
        });
        Ok(Dialled { line, driver })
    }
}

/// Carries a request for a time. `false` if the connection ended before.
async fn carry(lease: &Lease<Server>, latency: Duration) -> bool {
    let connection = &lease.line().0;
    let now = connection.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    connection.most.fetch_max(now, Ordering::SeqCst);
    let mut closed = connection.closed.subscribe();
    let ended = closed.wait_for(|closed| *closed);
    let whole = timeout(latency, ended).await.is_err();
    connection.in_flight.fetch_sub(1, Ordering::SeqCst);
    whole
}

fn assert_promises(host: &Host<Server>, most_requests: usize, streams: usize) {
    let (connections, _, wastes_room) = host.state();
    assert!(!wastes_room, "a request waits while a lane has room");
    let allowed = most_requests.div_ceil(streams) + BURST_LANES;
    assert!(
        connections <= allowed,
        "{connections} connections for {most_requests} requests of {streams} streams"
    );
}

const MILLI: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn no_request_waits_while_a_lane_has_room_and_connections_follow_the_load() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut server = Server::new(
            |number| MILLI * (number as u32 * 37 % 300),
            |number| 10 + number as usize * 31 % 90,
        );
        server.multiplexes = seed % 4 != 3;
        if !server.multiplexes {
            server.streams = |_| 1;
        }
        if seed % 3 == 1 {
            server.refuses = |number| number % 5 == 4;
        }
        let streams = if server.multiplexes { 10 } else { 1 };
        let host = Host::new(server.clone());
        let (active, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut requests = JoinSet::new();
        for _ in 0..300 {
            for _ in 0..random.usize(0..12) {
                let host = Arc::clone(&host);
                let latency = MILLI * random.u32(1..900);
                let patience = MILLI * random.u32(1..3_000);
                let (active, most) = (Arc::clone(&active), Arc::clone(&most));
                requests.spawn(async move {
                    let now = active.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    let _ = timeout(patience, async {
                        if let Ok(lease) = host.lease().await {
                            carry(&lease, latency).await;
                        }
                    })
                    .await;
                    active.fetch_sub(1, Ordering::SeqCst);
                });
            }
            if random.u8(..) < 10 {
                server.reset(random.usize(..));
            }
            if random.u8(..) < 10 {
                let open = server.open.lock().unwrap();
                if server.multiplexes
                    && let Some(line) = open.last()
                {
                    line.0
                        .streams
                        .store(random.usize(10..200), Ordering::SeqCst);
                }
            }
            sleep(MILLI * random.u32(0..30)).await;
            assert_promises(&host, most.load(Ordering::SeqCst), streams);
        }
        while requests.join_next().await.is_some() {
            assert_promises(&host, most.load(Ordering::SeqCst), streams);
        }
        let (_, left, _) = host.state();
        assert_eq!(left, 0, "seed {seed}: every place was given back");
        sleep(IDLE * 2).await;
        assert_eq!(
            host.state().0,
            0,
            "seed {seed}: idle connections are closed"
        );
    }
}

/// Sends `count` requests at once. Returns how many got their reply within `patience`.
async fn burst(
    host: &Arc<Host<Server>>,
    count: usize,
    latency: Duration,
    patience: Duration,
) -> usize {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let host = Arc::clone(host);
        requests.spawn(timeout(patience, async move {
            match host.lease().await {
                Ok(lease) => carry(&lease, latency).await,
                Err(_) => false,
            }
        }));
    }
    let mut replied = 0;
    while let Some(done) = requests.join_next().await {
        replied += usize::from(matches!(done, Ok(Ok(true))));
    }
    replied
}

#[tokio::test(start_paused = true)]
async fn a_cold_burst_opens_few_connections_and_each_takes_its_share() {
    let server = Server::new(|_| MILLI * 3, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    let replied = burst(&host, 10_000, MILLI * 50, Duration::from_secs(2)).await;
    assert_eq!((replied, server.dialled()), (10_000, BURST_LANES));
    let open = server.open.lock().unwrap();
    assert!(
        open.iter()
            .all(|line| line.0.most.load(Ordering::SeqCst) == MAX_STREAMS)
    );
}

#[tokio::test(start_paused = true)]
async fn a_burst_over_a_slow_connection_opens_what_it_needs_and_refuses_no_request() {
    // A round trip of 300 ms: connecting takes two, and a request one.
    let connect = |_| MILLI * 600;
    for (count, at_most) in [(500, BURST_LANES), (10_000, MAX_LANES)] {
        let server = Server::new(connect, |_| MAX_STREAMS);
        let host = Host::new(server.clone());
        let replied = burst(&host, count, MILLI * 350, Duration::from_secs(2)).await;
        assert_eq!(replied, count);
        assert!(server.dialled() <= at_most, "{}", server.dialled());
    }
}

#[tokio::test(start_paused = true)]
async fn steady_load_uses_all_lanes_that_it_needs() {
    let server = Server::new(|_| MILLI * 5, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    let latency = MILLI * 50;
    let (done, stop) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut workers = JoinSet::new();
    for _ in 0..1_000 {
        let (host, done, stop) = (Arc::clone(&host), Arc::clone(&done), Arc::clone(&stop));
        workers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let lease = host.lease().await.unwrap();
                carry(&lease, latency).await;
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    sleep(SUSTAINED * 2).await;
    let before = done.load(Ordering::SeqCst);
    sleep(Duration::from_secs(10)).await;
    let each_second = (done.load(Ordering::SeqCst) - before) / 10;
    stop.store(true, Ordering::SeqCst);
    workers.join_all().await;
    assert!(each_second >= 19_000, "{each_second} of 20,000 a second");
    assert!(server.dialled() <= 12, "{}", server.dialled());
    // Half of the load keeps fewer connections.
    for _ in 0..200 {
        burst(&host, 100, latency, Duration::from_secs(1)).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(host.state().0 <= 3, "{}", host.state().0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_http1_gets_one_connection_for_each_request_in_flight() {
    let mut server = Server::new(|_| MILLI * 4, |_| 1);
    server.multiplexes = false;
    let host = Host::new(server.clone());
    for _ in 0..20 {
        assert_eq!(
            burst(&host, 256, MILLI * 50, Duration::from_secs(2)).await,
            256
        );
    }
    assert!(
        server.dialled() <= 256 + BURST_LANES,
        "{}",
        server.dialled()
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_hangs_costs_half_a_second() {
    let hangs_first = |number| match number {
        0 => Duration::from_secs(3_600),
        _ => MILLI * 20,
    };
    let server = Server::new(hangs_first, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    let start = Instant::now();
    assert_eq!(burst(&host, 50, MILLI, Duration::from_secs(2)).await, 50);
    assert!(start.elapsed() < MILLI * 700, "{:?}", start.elapsed());
    assert!(server.dialled() <= 2, "{}", server.dialled());
}

#[tokio::test(start_paused = true)]
async fn when_all_attempts_fail_the_requests_fail_at_once() {
    let mut server = Server::new(|_| MILLI, |_| MAX_STREAMS);
    server.refuses = |_| true;
    let host = Host::new(server.clone());
    let start = Instant::now();
    assert_eq!(burst(&host, 500, MILLI, Duration::from_secs(2)).await, 0);
    assert!(start.elapsed() < MILLI * 10, "{:?}", start.elapsed());
    assert!(server.dialled() <= BURST_LANES);
}

#[tokio::test(start_paused = true)]
async fn visitors_who_leave_early_abort_no_attempt_to_connect() {
    let server = Server::new(|_| MILLI * 600, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    for _ in 0..30 {
        let left = timeout(MILLI * 30, host.lease()).await;
        if left.is_ok() {
            break;
        }
    }
    assert!(timeout(MILLI * 30, host.lease()).await.is_ok());
    assert!(server.dialled() <= 2, "{}", server.dialled());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_is_replaced_and_its_requests_may_end() {
    let server = Server::new(|_| MILLI * 5, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    let lease = host.lease().await.unwrap();
    lease.close();
    let other = host.lease().await.unwrap();
    assert!(!Arc::ptr_eq(&lease.line().0, &other.line().0));
    assert!(carry(&lease, MILLI * 500).await, "it was not cut off");
    assert_eq!(server.dialled(), 2);
    server.reset(0);
    server.reset(0);
    drop((lease, other));
    sleep(MILLI).await;
    assert_eq!(host.state(), (0, 0, false));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_allows_no_stream_yet_is_asked_again() {
    let server = Server::new(|_| MILLI * 5, |_| 0);
    let host = Host::new(server.clone());
    let waiting = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.lease().await.is_ok() }
    });
    sleep(MILLI * 300).await;
    assert!(!waiting.is_finished());
    for line in server.open.lock().unwrap().iter() {
        line.0.streams.store(10, Ordering::SeqCst);
    }
    assert!(timeout(MILLI * 100, waiting).await.unwrap().unwrap());
    assert!(server.dialled() <= BURST_LANES, "{}", server.dialled());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_packets_fails_the_requests_when_the_first_attempt_fails() {
    let mut server = Server::new(|_| Duration::from_secs(1), |_| MAX_STREAMS);
    server.refuses = |_| true;
    let host = Host::new(server.clone());
    for _ in 0..5 {
        let start = Instant::now();
        assert!(
            timeout(Duration::from_secs(2), host.lease())
                .await
                .unwrap()
                .is_err()
        );
        assert!(start.elapsed() <= MILLI * 1_600, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_without_replies_is_replaced_when_a_request_gives_up() {
    let server = Server::new(|_| MILLI, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    // A reply keeps the lane, and so does a visitor who leaves at once.
    drop(host.lease().await.unwrap());
    let mut replied = host.lease().await.unwrap();
    sleep(MILLI * 1_500).await;
    replied.set_replied();
    drop(replied);
    assert_eq!(server.dialled(), 1);
    let silent = host.lease().await.unwrap();
    sleep(MILLI * 1_500).await;
    drop(silent);
    assert_eq!(host.state().0, 0, "the lane is closed");
    drop(host.lease().await.unwrap());
    assert_eq!(server.dialled(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_streams_gets_few_connections() {
    let server = Server::new(|_| MILLI, |_| 0);
    let host = Host::new(server.clone());
    let waiting = timeout(Duration::from_secs(20), host.lease()).await;
    assert!(waiting.is_err());
    assert!(server.dialled() <= 1 + BURST_LANES, "{}", server.dialled());
}

#[test]
fn a_place_that_is_given_back_outside_of_a_runtime_is_not_lost() {
    let server = Server::new(|_| Duration::ZERO, |_| 1);
    let host = Host::new(server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(host.lease())).collect();
    let granted = runtime.block_on(async {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for lease in &mut waiting {
            assert!(lease.as_mut().poll(&mut context).is_pending());
        }
        let mut granted = Vec::new();
        while granted.len() < 5 {
            sleep(MILLI).await;
            waiting.retain_mut(|lease| match lease.as_mut().poll(&mut context) {
                std::task::Poll::Ready(lease) => {
                    granted.push(lease);
                    false
                }
                std::task::Poll::Pending => true,
            });
        }
        granted
    });
    drop((granted, waiting));
    runtime.block_on(async {
        assert_eq!(burst(&host, 30, MILLI, Duration::from_secs(2)).await, 30);
    });
}

#[test]
fn a_request_outlives_the_runtime_that_opens_its_connection() {
    let server = Server::new(|_| MILLI * 50, |_| MAX_STREAMS);
    let host = Host::new(server);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let within = async |limit| matches!(timeout(limit, host.lease()).await, Ok(Ok(_)));
    // The attempt begins on a runtime that stops before it ends.
    let first = runtime();
    assert!(!first.block_on(within(MILLI)));
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| runtime().block_on(within(Duration::from_secs(5))));
        while host.state().1 == 0 {
            std::thread::yield_now();
        }
        drop(first);
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_runtime_that_stops_takes_its_connections_out_of_the_table() {
    let server = Server::new(|_| Duration::ZERO, |_| MAX_STREAMS);
    let host = Host::new(server.clone());
    for opened in 1..=3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        assert!(runtime.block_on(host.lease()).is_ok());
        drop(runtime);
        assert_eq!(host.state(), (0, 0, false));
        assert_eq!(server.dialled(), opened);
    }
}
