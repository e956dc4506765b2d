//! A provider over TLS 1.3 that replies at once or after a delay, and counts its connections.
//!
//! `bench-provider CERT_FILE h1|h2 DELAY_MS [CONNECT_MS [STREAMS]]` prints its address and writes its
//! certificate (DER). `DELAY_MS` is a number, or two such as `20-900`, between which the delay goes up
//! and down once a minute. `CONNECT_MS` is how long a connection waits before its handshake, 0 if it is
//! absent. STREAMS is the limit of streams of a connection, 100 if it is absent.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, certificate_file, protocol, delay, more @ ..] = arguments.as_slice() else {
        return Err("usage: bench-provider CERT_FILE h1|h2 DELAY_MS [CONNECT_MS [STREAMS]]".into());
    };
    let delay = Delay::parse(delay)?;
    let connect = Duration::from_millis(more.first().map_or(Ok(0), |text| text.parse())?);
    let streams = more.get(1).map_or(Ok(100), |text| text.parse())?;
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    std::fs::write(certificate_file, certified.cert.der())?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?;
    tls.alpn_protocols = match protocol.as_str() {
        "h1" => vec![b"http/1.1".to_vec()],
        _ => vec![b"h2".to_vec()],
    };
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if !connect.is_zero() {
                tokio::time::sleep(connect).await;
            }
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            CONNECTIONS.fetch_add(1, Ordering::Relaxed);
            let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            server.http2().max_concurrent_streams(streams);
            // A client may close the connection at any time.
            let _ = server
                .serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| reply(request, delay)),
                )
                .await;
        });
    }
}

/// How long a reply takes.
#[derive(Clone, Copy)]
struct Delay {
    shortest: Duration,
    longest: Duration,
    start: Instant,
}

impl Delay {
    fn parse(text: &str) -> Result<Self, std::num::ParseIntError> {
        let (shortest, longest) = text.split_once('-').unwrap_or((text, text));
        Ok(Self {
            shortest: Duration::from_millis(shortest.parse()?),
            longest: Duration::from_millis(longest.parse()?),
            start: Instant::now(),
        })
    }

    /// Returns the present delay: up and down once a minute.
    fn now(self) -> Duration {
        let phase = self.start.elapsed().as_secs_f64() / 60.0 * std::f64::consts::TAU;
        let share = 0.5 - 0.5 * phase.cos();
        self.shortest + (self.longest - self.shortest).mul_f64(share)
    }
}

async fn reply(
    request: Request<hyper::body::Incoming>,
    delay: Delay,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    // A provider reads the whole request.
    let _ = request.into_body().collect().await;
    let body = match path.as_str() {
        "/connections" => CONNECTIONS.load(Ordering::Relaxed).to_string(),
        _ => {
            let delay = delay.now();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            human_check_bench::reply()
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "application/json"),
        ("server", "cloudflare"),
        ("cf-ray", "8f0000000000000-FRA"),
        ("strict-transport-security", "max-age=15552000"),
        ("x-content-type-options", "nosniff"),
        ("vary", "accept-encoding"),
    ] {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    }
    Ok(response)
}
