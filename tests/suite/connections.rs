//! The connections of the default transport to a server that speaks HTTP/2 over TLS, closes
//! connections and limits streams.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use human_check_http::{
    Endpoint, HyperTransport, Reply, Request, SendError, Transport, TransportOptions,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::{acceptor, certified};

/// What the server saw.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    replies: AtomicUsize,
    /// The streams in flight and the most of one connection.
    most_streams: AtomicUsize,
}

/// How a server treats its connections.
#[derive(Clone, Copy)]
struct Server {
    streams: u32,
    /// After how many requests a connection says that it closes. It completes those that it has.
    goes_away_after: usize,
    /// How many of the first requests of a connection are refused, which means that they were not
    /// acted on.
    refuses: usize,
    latency: Duration,
}

const LASTING: Server = Server {
    streams: 100,
    goes_away_after: usize::MAX,
    refuses: 0,
    latency: Duration::from_millis(5),
};

impl Server {
    /// Starts the server. Returns what it sees, a transport that trusts it, and its endpoint.
    async fn start(self) -> (Arc<Seen>, HyperTransport, Endpoint) {
        let certified = certified("127.0.0.1");
        let roots = [certified.cert.der().to_vec()];
        let acceptor = acceptor(&certified, &[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(self.serve(acceptor.clone(), stream, Arc::clone(&seen)));
                }
            }
        });
        let options = TransportOptions::new().with_roots(roots);
        let transport = HyperTransport::with_options(options).unwrap();
        let endpoint = Endpoint::parse(&format!("https://127.0.0.1:{port}/siteverify")).unwrap();
        (seen, transport, endpoint)
    }

    async fn serve(self, acceptor: TlsAcceptor, stream: TcpStream, seen: Arc<Seen>) {
        let Ok(stream) = acceptor.accept(stream).await else {
            return;
        };
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(self.streams);
        let started: Result<Connection<TlsStream<TcpStream>, Bytes>, _> =
            builder.handshake(stream).await;
        let Ok(mut connection) = started else { return };
        seen.connections.fetch_add(1, SeqCst);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let mut served = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            served += 1;
            if served <= self.refuses {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            if served == self.goes_away_after {
                connection.graceful_shutdown();
            }
            let now = in_flight.fetch_add(1, SeqCst) + 1;
            seen.most_streams.fetch_max(now, SeqCst);
            let (in_flight, seen) = (Arc::clone(&in_flight), Arc::clone(&seen));
            tokio::spawn(async move {
                tokio::time::sleep(self.latency).await;
                in_flight.fetch_sub(1, SeqCst);
                seen.replies.fetch_add(1, SeqCst);
                reply(&mut respond);
            });
        }
    }
}

/// Replies, if the client is still there.
fn reply(respond: &mut SendResponse<Bytes>) {
    let head = http::Response::new(());
    if let Ok(mut body) = respond.send_response(head, false) {
        let _ = body.send_data(Bytes::from_static(b"{}"), true);
    }
}

async fn send(transport: &HyperTransport, endpoint: &Endpoint) -> Result<Reply, SendError> {
    transport.send(&Request::get(endpoint), 1_000).await
}

/// Sends `count` requests at once. Returns how many have a reply.
async fn burst(transport: &HyperTransport, endpoint: &Endpoint, count: usize) -> usize {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (transport, endpoint) = (transport.clone(), endpoint.clone());
        requests.spawn(async move { send(&transport, &endpoint).await.is_ok() });
    }
    let replied = requests.join_all().await;
    replied.into_iter().filter(|replied| *replied).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_shares_connections_and_each_request_has_its_reply() {
    let (seen, transport, endpoint) = LASTING.start().await;
    assert_eq!(burst(&transport, &endpoint, 1_000).await, 1_000);
    assert!(seen.connections.load(SeqCst) <= 8, "{seen:?}");
    assert_eq!(seen.replies.load(SeqCst), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_limit_of_streams_is_respected() {
    let server = Server {
        streams: 7,
        ..LASTING
    };
    let (seen, transport, endpoint) = server.start().await;
    // The first reply is behind the server's settings.
    send(&transport, &endpoint).await.unwrap();
    assert_eq!(burst(&transport, &endpoint, 300).await, 300);
    assert!(seen.most_streams.load(SeqCst) <= 7, "{seen:?}");
    assert!(seen.connections.load(SeqCst) <= 32, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_burst_survives_a_limit_that_it_does_not_know_yet() {
    let server = Server {
        streams: 7,
        ..LASTING
    };
    let (seen, transport, endpoint) = server.start().await;
    assert_eq!(burst(&transport, &endpoint, 300).await, 300);
    assert_eq!(seen.replies.load(SeqCst), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_goes_away_loses_no_request() {
    let server = Server {
        goes_away_after: 50,
        ..LASTING
    };
    let (seen, transport, endpoint) = server.start().await;
    for _ in 0..10 {
        assert_eq!(burst(&transport, &endpoint, 100).await, 100);
    }
    assert_eq!(seen.replies.load(SeqCst), 1_000, "each was acted on once");
    assert!(seen.connections.load(SeqCst) >= 10, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_refused_unread_is_sent_again() {
    let (seen, transport, endpoint) = Server {
        refuses: 3,
        ..LASTING
    }
    .start()
    .await;
    send(&transport, &endpoint).await.unwrap();
    assert_eq!(seen.connections.load(SeqCst), 1);
    assert_eq!(seen.replies.load(SeqCst), 1);

    let (seen, transport, endpoint) = Server {
        refuses: usize::MAX,
        ..LASTING
    }
    .start()
    .await;
    let error = send(&transport, &endpoint).await.unwrap_err();
    assert_eq!(error.kind(), human_check_http::SendErrorKind::Lost);
    assert_eq!(seen.replies.load(SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn prewarming_opens_what_the_checks_in_flight_need() {
    let (seen, transport, endpoint) = LASTING.start().await;
    transport.prewarm(&endpoint, 512).await.unwrap();
    assert_eq!(burst(&transport, &endpoint, 512).await, 512);
    assert_eq!(
        seen.connections.load(SeqCst),
        6,
        "no further one was opened"
    );
    // With the connections open, it opens none.
    transport.prewarm(&endpoint, 512).await.unwrap();
    send(&transport, &endpoint).await.unwrap();
    assert_eq!(seen.connections.load(SeqCst), 6);
}

#[tokio::test]
async fn prewarming_a_provider_that_is_down_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let endpoint = Endpoint::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
    let transport = HyperTransport::new().unwrap();
    let error = transport.prewarm(&endpoint, 512).await.unwrap_err();
    assert_eq!(error.kind(), human_check_http::SendErrorKind::NotSent);
}

#[test]
fn a_transport_outlives_the_runtime_of_its_connections() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let provider = runtime();
    let (seen, transport, endpoint) = provider.block_on(LASTING.start());
    let stop = Arc::new(tokio::sync::Notify::new());
    let serving = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || provider.block_on(stop.notified())
    });
    for _ in 0..3 {
        assert!(runtime().block_on(send(&transport, &endpoint)).is_ok());
    }
    assert_eq!(seen.connections.load(SeqCst), 3);
    stop.notify_one();
    serving.join().unwrap();
}

/// A server that speaks HTTP/1.1 and closes a connection after some replies, without saying so.
#[tokio::test]
async fn connections_that_the_server_closes_while_idle_are_replaced() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = Arc::new(Mutex::new(JoinSet::new()));
    tokio::spawn({
        let closed = Arc::clone(&closed);
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                closed.lock().unwrap().spawn(async move {
                    for _ in 0..3 {
                        let mut request = [0; 4_096];
                        if stream.read(&mut request).await.unwrap_or(0) == 0 {
                            return;
                        }
                        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                        let _ = stream.write_all(reply).await;
                    }
                });
            }
        }
    });
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/siteverify")).unwrap();
    let transport = HyperTransport::new().unwrap();
    for _ in 0..10 {
        for _ in 0..3 {
            assert!(send(&transport, &endpoint).await.is_ok());
        }
        // The server's task ends with the connection.
        let mut connections = std::mem::take(&mut *closed.lock().unwrap());
        while connections.join_next().await.is_some() {}
        // With one thread, the runtime looks at all sockets before it wakes a task that waits for time.
        // So the transport learns that the connections are closed, however slow the machine is.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Starts a server of HTTP/1.1 that passes each connection with a request to `serve`. Returns the
/// endpoint, the number of those connections so far and the number of those that are open.
async fn http1<F>(serve: fn(TcpStream) -> F) -> (Endpoint, Arc<AtomicUsize>, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let [all, open] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    tokio::spawn({
        let (all, open) = (Arc::clone(&all), Arc::clone(&open));
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, open) = (Arc::clone(&all), Arc::clone(&open));
                tokio::spawn(async move {
                    if stream.peek(&mut [0]).await.is_ok_and(|length| length > 0) {
                        open.fetch_add(1, SeqCst);
                        all.fetch_add(1, SeqCst);
                        serve(stream).await;
                        open.fetch_sub(1, SeqCst);
                    }
                });
            }
        }
    });
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/siteverify")).unwrap();
    (endpoint, all, open)
}

/// Reads until the client closes the connection.
async fn read_to_the_end(mut stream: TcpStream) {
    use tokio::io::AsyncReadExt;
    let mut buffer = [0; 4_096];
    while stream
        .read(&mut buffer)
        .await
        .is_ok_and(|length| length > 0)
    {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_says_it_closes_is_not_used_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // It replies once, and then reads without a reply.
    let (endpoint, all, _) = http1(|mut stream| async {
        let mut request = [0; 4_096];
        if stream
            .read(&mut request)
            .await
            .is_ok_and(|length| length > 0)
        {
            let reply = b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 2\r\n\r\n{}";
            let _ = stream.write_all(reply).await;
        }
        read_to_the_end(stream).await;
    })
    .await;
    let transport = HyperTransport::new().unwrap();
    for expected in 1..=5 {
        assert!(send(&transport, &endpoint).await.is_ok());
        assert_eq!(all.load(SeqCst), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_give_up_leave_no_connection_behind() {
    let (endpoint, all, open) = http1(read_to_the_end).await;
    let transport = HyperTransport::new().unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (transport, endpoint) = (transport.clone(), endpoint.clone());
        requests.spawn(async move { send(&transport, &endpoint).await.is_ok() });
    }
    while all.load(SeqCst) < 50 {
        tokio::task::yield_now().await;
    }
    requests.shutdown().await;
    while open.load(SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transport_over_reqwest_has_512_requests_in_flight_at_most() {
    let (endpoint, all, _) = http1(read_to_the_end).await;
    let transport = human_check_http::ReqwestTransport::new().unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..600 {
        let (transport, endpoint) = (transport.clone(), endpoint.clone());
        requests.spawn(async move { transport.send(&Request::get(&endpoint), 10).await.is_ok() });
    }
    while all.load(SeqCst) < 512 {
        tokio::task::yield_now().await;
    }
    // The others had many turns to connect.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(all.load(SeqCst), 512);
    requests.shutdown().await;
}
