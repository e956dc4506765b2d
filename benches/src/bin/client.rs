//! Verifies tokens in one way, many times.
//!
//! `bench-client MODE N [ADDRESS CERT_FILE]` prints the allocations, bytes and nanoseconds of one
//! verification as a line of JSON. MODE is one of:
//!
//! - `bare`: a form sent by reqwest, and a reply parsed by `serde_json`.
//! - `floor-h1` and `floor-h2`: the same over one kept connection of hyper, with nothing around it.
//! - `human-check`: a check with a policy through `dyn HumanCheck`.
//! - `prewarm`: the same, after [`Turnstile::prewarm`] instead of a first check.
//! - `first`: one check after [`Turnstile::prewarm`], and then N. Prints the time of the first one and
//!   the median of the others in microseconds, and the ratio.
//! - `burst`: N checks at once on a cold process. Prints the failures, the wall time in seconds and
//!   the peak of memory instead.
//! - `steady`: N workers that each verify one token after the other, with the default circuit
//!   breaker. Prints the checks a second, the failures and the percentiles instead, for the time in
//!   seconds of the variable `BENCH_SECONDS`, and before that for the first second.
//! - `steady-bare`: the same with one reqwest client, without a circuit breaker.
//! - `steady-floor`: the same with a connection of hyper for each worker. No client can be faster.
//! - `reject`: malformed tokens.
//! - `long`: tokens that are too long.
//! - `policy`: the policy alone.
//!
//! If the variable `BENCH_REQWEST` is set, the checks use the reqwest transport.

use std::alloc::System;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST as HOST_HEADER};
use http::{HeaderValue, Uri};
use http_body_util::{BodyExt, Full};
use human_check_bench::{HOST, SECRET, percentile, token};
use human_check_core::{
    CircuitBreakerPolicy, Facts, Hostname, HumanCheck, HumanCheckExt, Policy, ReportedAction,
    Score, Secret, Submission, Verdict,
};
use human_check_http::{
    Endpoint, HyperTransport, Limits, ProviderClient, ReqwestTransport, TransportOptions,
};
use human_check_turnstile::{TURNSTILE, Turnstile};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    let count: usize = argument(2).parse()?;
    let (address, certificate) = (argument(3), argument(4));
    let figures = match argument(1) {
        "bare" => each(count, &Bare::new(address, certificate)?).await?,
        "floor-h1" => each(count, &Floor::new(1, false, address, certificate).await?).await?,
        "floor-h2" => each(count, &Floor::new(1, true, address, certificate).await?).await?,
        "human-check" => human_check(count, address, certificate, false).await?,
        "prewarm" => human_check(count, address, certificate, true).await?,
        "first" => first(count, address, certificate).await?,
        "burst" => burst(count, address, certificate).await?,
        "steady" => steady(count, &Checked::new(count, address, certificate)?).await?,
        "steady-bare" => steady(count, &Bare::new(address, certificate)?).await?,
        "steady-floor" => {
            let floor = Floor::new(count, false, address, certificate).await?;
            steady(count, &floor).await?
        }
        "reject" => reject(count, "a b".repeat(682)).await?,
        "long" => reject(count, "a".repeat(9_000)).await?,
        "policy" => policy(count),
        mode => return Err(format!("unknown mode {mode:?}").into()),
    };
    writeln!(std::io::stdout(), "{figures}")?;
    Ok(())
}

/// Measures allocations, bytes and wall time between `start` and `stop`.
struct Meter {
    region: Region<'static, System>,
    start: Instant,
}

impl Meter {
    fn start() -> Self {
        Self {
            region: Region::new(ALLOCATOR),
            start: Instant::now(),
        }
    }

    fn stop(&self, count: usize) -> serde_json::Value {
        let took = self.start.elapsed();
        let stats = self.region.change();
        let each = |n: usize| n as f64 / count.max(1) as f64;
        json!({
            "allocations": each(stats.allocations + stats.reallocations),
            "bytes": each(stats.bytes_allocated),
            "ns": took.as_nanos() as f64 / count.max(1) as f64,
        })
    }
}

/// A client that verifies one token.
trait Client: Clone + Send + 'static {
    /// Verifies one token for this worker.
    async fn verify(&self, worker: usize) -> Result<(), Failure>;
}

/// reqwest without this library, as a careful caller uses it: a kept client and URL, timeouts, and
/// the members of the reply without copies.
#[derive(Clone)]
struct Bare {
    client: reqwest::Client,
    url: reqwest::Url,
    token: Arc<str>,
}

impl Bare {
    fn new(address: &str, certificate: &str) -> Result<Self, Failure> {
        let root = reqwest::Certificate::from_der(&std::fs::read(certificate)?)?;
        // reqwest needs a default provider for rustls; the transports of human-check select ring
        // themselves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(2))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self {
            client,
            url: format!("https://{address}/turnstile/v0/siteverify").parse()?,
            token: token().into(),
        })
    }
}

impl Client for Bare {
    async fn verify(&self, _: usize) -> Result<(), Failure> {
        let form = [("secret", SECRET), ("response", &self.token)];
        let request = self.client.post(self.url.clone()).form(&form);
        read(&request.send().await?.bytes().await?)
    }
}

/// Reads a reply, without copies of its members.
fn read(body: &[u8]) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "the benchmark decodes every member")]
    struct Reply<'a> {
        success: bool,
        #[serde(rename = "error-codes", borrow)]
        codes: Vec<&'a str>,
        challenge_ts: Option<&'a str>,
        hostname: Option<&'a str>,
        action: Option<&'a str>,
        cdata: Option<&'a str>,
    }
    let reply: Reply<'_> = serde_json::from_slice(body)?;
    assert!(reply.success && reply.hostname == Some(HOST));
    Ok(())
}

/// A check with a policy and the default circuit breaker. Each worker has a visitor's address of its
/// own.
#[derive(Clone)]
struct Checked {
    check: Arc<dyn HumanCheck>,
    token: Arc<str>,
}

impl Checked {
    fn new(workers: usize, address: &str, certificate: &str) -> Result<Self, Failure> {
        let check = limited(workers, address, certificate)?;
        let check = check.circuit_breaker(CircuitBreakerPolicy::default())?;
        Ok(Self {
            check: Arc::new(check.enforce(rules()?)?),
            token: token().into(),
        })
    }
}

impl Client for Checked {
    async fn verify(&self, worker: usize) -> Result<(), Failure> {
        let [_, _, high, low] = (worker as u32).to_be_bytes();
        let submission = Submission::new()
            .with_token(&TURNSTILE, &*self.token)
            .with_client_ip(IpAddr::from([10, high, low, 1]));
        match self.check.check(&submission).await?.is_human() {
            true => Ok(()),
            false => Err("not human".into()),
        }
    }
}

/// Returns a check that allows as many calls in flight as there are workers, but at least the
/// default.
fn limited(workers: usize, address: &str, certificate: &str) -> Result<Turnstile, Failure> {
    let mut limits = Limits::default();
    limits.max_in_flight = limits.max_in_flight.max(workers);
    let roots = [std::fs::read(certificate)?];
    let transport = HyperTransport::with_options(TransportOptions::new().with_roots(roots))?;
    let base = Endpoint::parse(&format!("https://{address}"))?;
    let client = ProviderClient::new(transport)
        .with_limits(limits)
        .with_base_url(&TURNSTILE, base);
    Ok(Turnstile::new(&client, Secret::new(SECRET)?)?)
}

/// Verifies tokens one after the other.
async fn each(count: usize, client: &impl Client) -> Result<serde_json::Value, Failure> {
    client.verify(0).await?;
    let meter = Meter::start();
    for _ in 0..count {
        client.verify(0).await?;
    }
    Ok(meter.stop(count))
}

/// A kept connection of hyper for each worker, with nothing around it.
#[derive(Clone)]
struct Floor {
    connections: Arc<[tokio::sync::Mutex<FloorConnection>]>,
    authority: HeaderValue,
    uri: Uri,
    token: Arc<str>,
}

enum FloorConnection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Floor {
    async fn new(
        workers: usize,
        is_http2: bool,
        address: &str,
        certificate: &str,
    ) -> Result<Self, Failure> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(std::fs::read(certificate)?.into())?;
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if is_http2 {
            tls.alpn_protocols = vec![b"h2".to_vec()];
        }
        let connector = TlsConnector::from(Arc::new(tls));
        let mut connections = Vec::new();
        for _ in 0..workers {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect("127.0.0.1".try_into()?, stream).await?;
            let io = TokioIo::new(stream);
            let connection = if is_http2 {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                FloorConnection::Http2(sender)
            } else {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                FloorConnection::Http1(sender)
            };
            connections.push(tokio::sync::Mutex::new(connection));
        }
        let uri = match is_http2 {
            true => format!("https://{address}/turnstile/v0/siteverify"),
            false => "/turnstile/v0/siteverify".to_owned(),
        };
        Ok(Self {
            connections: connections.into(),
            authority: HeaderValue::from_str(address)?,
            uri: uri.parse()?,
            token: token().into(),
        })
    }
}

impl Client for Floor {
    async fn verify(&self, worker: usize) -> Result<(), Failure> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("secret", SECRET);
        form.append_pair("response", &self.token);
        let mut request = http::Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form.finish())))?;
        let response = match &mut *self.connections[worker].lock().await {
            FloorConnection::Http1(sender) => {
                request
                    .headers_mut()
                    .insert(HOST_HEADER, self.authority.clone());
                sender.ready().await?;
                sender.send_request(request).await?
            }
            FloorConnection::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        read(&response.into_body().collect().await?.to_bytes())
    }
}

/// Runs workers that verify tokens without a pause.
async fn steady(workers: usize, client: &impl Client) -> Result<serde_json::Value, Failure> {
    let seconds: f64 = std::env::var("BENCH_SECONDS")?.parse()?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(1.0 + seconds);
    let local = tokio::task::LocalSet::new();
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..workers {
        let client = client.clone();
        let worker = async move {
            let mut checks = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                let passed = client.verify(worker).await.is_ok();
                checks.push((began, began.elapsed(), passed));
            }
            checks
        };
        tasks.spawn_local_on(worker, &local);
    }
    let checks = local.run_until(tasks.join_all()).await.concat();
    let figures = |from: Instant, to: Instant| {
        let within = checks
            .iter()
            .filter(|(began, took, _)| (from..to).contains(&(*began + *took)));
        let millis: Vec<f64> = within
            .clone()
            .map(|(_, took, _)| took.as_secs_f64() * 1e3)
            .collect();
        if millis.is_empty() {
            return json!(null);
        }
        json!({
            "each_second": (millis.len() as f64 / (to - from).as_secs_f64()).round(),
            "failed": within.filter(|(_, _, passed)| !passed).count(),
            "p50_ms": percentile(millis.clone(), 0.5),
            "p99_ms": percentile(millis, 0.99),
        })
    };
    let second = start + Duration::from_secs(1);
    Ok(json!({
        "failed": checks.iter().filter(|(_, _, passed)| !passed).count(),
        "first_second": figures(start, second),
        "after_it": figures(second, end),
    }))
}

fn turnstile(address: &str, certificate: &str) -> Result<Turnstile, Failure> {
    let roots = [std::fs::read(certificate)?];
    let client = if std::env::var_os("BENCH_REQWEST").is_some() {
        ProviderClient::new(ReqwestTransport::with_options(
            TransportOptions::new().with_roots(roots),
        )?)
    } else {
        ProviderClient::new(HyperTransport::with_options(
            TransportOptions::new().with_roots(roots),
        )?)
    };
    let base = Endpoint::parse(&format!("https://{address}"))?;
    let client = client.with_base_url(&TURNSTILE, base);
    Ok(Turnstile::new(&client, Secret::new(SECRET)?)?)
}

fn rules() -> Result<Policy, Failure> {
    Ok(Policy::new()
        .with_hostnames(["shop.example.com", HOST])?
        .with_action("login")
        .with_max_age(Duration::from_secs(1_000_000_000)))
}

async fn human_check(
    count: usize,
    address: &str,
    certificate: &str,
    prewarm: bool,
) -> Result<serde_json::Value, Failure> {
    let turnstile = turnstile(address, certificate)?;
    if prewarm {
        turnstile.prewarm().await?;
    }
    let check: Arc<dyn HumanCheck> = Arc::new(turnstile.enforce(rules()?)?);
    let token = token();
    let once = async || -> Result<(), Failure> {
        let submission = Submission::new()
            .with_token(&TURNSTILE, token.as_str())
            .with_expected_action("login");
        assert!(check.check(&submission).await?.is_human());
        Ok(())
    };
    if !prewarm {
        once().await?;
    }
    let meter = Meter::start();
    for _ in 0..count {
        once().await?;
    }
    Ok(meter.stop(count))
}

/// Measures the first check after prewarming. The figures are those of one process.
async fn first(
    count: usize,
    address: &str,
    certificate: &str,
) -> Result<serde_json::Value, Failure> {
    let turnstile = turnstile(address, certificate)?;
    turnstile.prewarm().await?;
    let check: Arc<dyn HumanCheck> = Arc::new(turnstile.enforce(rules()?)?);
    let token = token();
    let mut micros = Vec::new();
    for _ in 0..=count {
        let submission = Submission::new().with_token(&TURNSTILE, token.as_str());
        let start = Instant::now();
        assert!(check.check(&submission).await?.is_human());
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let first = micros.remove(0);
    let warm = percentile(micros, 0.5);
    Ok(json!({ "first_us": first, "warm_us": warm, "ratio": first / warm }))
}

async fn burst(
    count: usize,
    address: &str,
    certificate: &str,
) -> Result<serde_json::Value, Failure> {
    let check = limited(2 * count, address, certificate)?;
    let check: Arc<dyn HumanCheck> = Arc::new(check.enforce(rules()?)?);
    let token = token();
    let start = Instant::now();
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (check, token) = (Arc::clone(&check), token.clone());
        checks.spawn(async move {
            let submission = Submission::new().with_token(&TURNSTILE, token);
            check
                .check(&submission)
                .await
                .is_ok_and(|verdict| verdict.is_human())
        });
    }
    let mut failed = 0;
    while let Some(human) = checks.join_next().await {
        failed += usize::from(!human?);
    }
    let wall = start.elapsed();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib: f64 = peak
        .unwrap_or("0 kB")
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(json!({
        "failed": failed,
        "wall_s": wall.as_secs_f64(),
        "peak_mib": peak_kib / 1_024.0,
        "per_mib": count as f64 / (peak_kib / 1_024.0),
    }))
}

/// Checks tokens that are refused without a call: no server listens on the port, and no check
/// fails.
async fn reject(count: usize, token: String) -> Result<serde_json::Value, Failure> {
    let transport = HyperTransport::new()?;
    let base = Endpoint::parse("http://127.0.0.1:9")?;
    let client = ProviderClient::new(transport).with_base_url(&TURNSTILE, base);
    let check: Arc<dyn HumanCheck> = Arc::new(Turnstile::new(&client, Secret::new(SECRET)?)?);
    let submission = Submission::new().with_token(&TURNSTILE, token);
    let meter = Meter::start();
    for _ in 0..count {
        assert!(!check.check(&submission).await?.is_human());
    }
    Ok(meter.stop(count))
}

fn policy(count: usize) -> serde_json::Value {
    let mut facts = Facts::new(&TURNSTILE);
    facts.hostname = Hostname::parse(HOST);
    facts.action = Some(ReportedAction::exact("login"));
    facts.score = Score::humanity(0.9).ok();
    facts.solved_at = Some(SystemTime::now());
    let policy = rules().ok().zip(Score::humanity(0.5).ok());
    let policy = policy
        .map(|(policy, score)| policy.with_min_score(score))
        .unwrap_or_default();
    let submission = Submission::new().with_expected_action("login");
    let now = SystemTime::now();
    let mut verdict = Verdict::Human(facts);
    let meter = Meter::start();
    for _ in 0..count {
        verdict = std::hint::black_box(&policy).judge(verdict, &submission, now);
    }
    let figures = meter.stop(count);
    assert!(verdict.is_human());
    figures
}
