//! The cost of a guarded route, compared with the same route without a guard.
//!
//! - `bench-guards FRAMEWORK BODY guarded|plain N` sends N requests in process, for a profiler.
//!   FRAMEWORK is `actix`, `axum` or `rocket`; BODY is `form`, `json` or, with actix-web, `bytes`.
//! - `bench-guards scan scan|parse N` finds the token in a large form N times.
//! - `bench-guards keep` prints the requests a second of three routes on a socket.
//! - `bench-guards upload PATH` uploads 200 MB and prints the peak of memory in KiB.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use human_check_bench::token;
use human_check_core::{
    Capabilities, CheckError, Facts, HumanCheck, Provider, Submission, Verdict,
};
use human_check_guard::integration::{TokenFields, scan};
use human_check_guard::{Guard, RoutePolicy};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

/// A provider in the same process, which accepts every token but `bad`.
#[derive(Debug)]
struct Stub;

#[async_trait]
impl HumanCheck for Stub {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&ACME)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        Ok(match submission.token_for(&ACME, 8_192) {
            Ok("bad") => Verdict::refused(human_check_core::Reason::Invalid),
            Ok(_) => Verdict::Human(Facts::new(&ACME)),
            Err(refusal) => refusal.into(),
        })
    }
}

fn guard() -> Guard {
    Guard::new(Stub, RoutePolicy::fail_closed("bench")).unwrap()
}

/// The fields of a handler without a guard, which parses the token itself.
#[derive(Deserialize, rocket::FromForm)]
struct Plain {
    email: String,
    name: String,
    about: String,
    #[serde(rename = "acme-response")]
    #[field(name = "acme-response")]
    token: String,
}

impl Plain {
    fn length(&self) -> String {
        assert!(!self.token.is_empty());
        (self.email.len() + self.name.len() + self.about.len()).to_string()
    }
}

/// The fields of a guarded handler.
#[derive(Deserialize, rocket::FromForm)]
struct Signup {
    email: String,
    name: String,
    about: String,
}

impl Signup {
    fn length(&self) -> String {
        (self.email.len() + self.name.len() + self.about.len()).to_string()
    }
}

/// Returns a body of 1.4 KiB with three fields and a token of 1,024 bytes.
fn body(kind: &str) -> String {
    let about = "likes looms ".repeat(25);
    let fields = [
        ("email", "ada@example.com"),
        ("name", "Ada Lovelace"),
        ("about", &about),
        ("acme-response", &token()),
    ];
    match kind {
        "json" => serde_json::Value::from_iter(fields).to_string(),
        _ => form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish(),
    }
}

fn content_type(kind: &str) -> &'static str {
    match kind {
        "json" => "application/json",
        _ => "application/x-www-form-urlencoded",
    }
}

mod actix {
    use super::{Guard, Plain, Signup, content_type};
    use actix_web::{App, test, web};
    use human_check_actix_web::{Human, HumanForm, HumanJson};

    pub(super) async fn run(kind: &str, guarded: bool, body: String, guard: Guard, n: usize) {
        let app = App::new()
            .app_data(guard)
            .route(
                "/bytes/plain",
                web::post().to(async |b: web::Bytes| b.len().to_string()),
            )
            .route(
                "/bytes/guarded",
                web::post().to(async |_: Human, _: web::Bytes| "ran"),
            )
            .route(
                "/form/plain",
                web::post().to(async |s: web::Form<Plain>| s.length()),
            )
            .route(
                "/form/guarded",
                web::post().to(async |s: HumanForm<Signup>| s.length()),
            )
            .route(
                "/json/plain",
                web::post().to(async |s: web::Json<Plain>| s.length()),
            )
            .route(
                "/json/guarded",
                web::post().to(async |s: HumanJson<Signup>| s.length()),
            );
        let app = test::init_service(app).await;
        let path = format!("/{kind}/{}", if guarded { "guarded" } else { "plain" });
        for _ in 0..n {
            let request = test::TestRequest::post()
                .uri(&path)
                .peer_addr(([203, 0, 113, 7], 1).into())
                .insert_header(("content-type", content_type(kind)))
                .insert_header(("content-length", body.len()))
                .insert_header(("accept", "*/*"))
                .insert_header((
                    "user-agent",
                    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
                ))
                .set_payload(body.clone())
                .to_request();
            let status = test::call_service(&app, request).await.status();
            assert_eq!(status, if kind == "bytes" && guarded { 403 } else { 200 });
        }
    }
}

mod axum_ {
    use super::{Guard, Plain, Signup, content_type};
    use axum::body::Body;
    use axum::extract::{ConnectInfo, Request};
    use axum::routing::post;
    use axum::{Form, Json, Router};
    use human_check_axum::{HumanForm, HumanJson};
    use std::net::SocketAddr;
    use tower::ServiceExt;

    pub(super) async fn run(kind: &str, guarded: bool, body: String, guard: Guard, n: usize) {
        let app = Router::new()
            .route("/form/plain", post(async |Form(s): Form<Plain>| s.length()))
            .route(
                "/form/guarded",
                post(async |s: HumanForm<Signup>| s.length()),
            )
            .route("/json/plain", post(async |Json(s): Json<Plain>| s.length()))
            .route(
                "/json/guarded",
                post(async |s: HumanJson<Signup>| s.length()),
            )
            .with_state(guard);
        let path = format!("/{kind}/{}", if guarded { "guarded" } else { "plain" });
        let peer = SocketAddr::from(([203, 0, 113, 7], 1));
        for _ in 0..n {
            let request = Request::post(&path)
                .extension(ConnectInfo(peer))
                .header("content-type", content_type(kind))
                .header("content-length", body.len())
                .header("accept", "*/*")
                .header(
                    "user-agent",
                    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
                )
                .body(Body::from(body.clone()))
                .unwrap();
            assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 200);
        }
    }
}

mod rocket_ {
    use super::{Guard, Plain, Signup};
    use human_check_rocket::{HumanFairing, HumanForm, HumanJson};
    use rocket::form::Form;
    use rocket::http::{Accept, ContentType, Header, Status};
    use rocket::local::asynchronous::Client;
    use rocket::serde::json::Json;
    use rocket::{post, routes};

    #[post("/form/plain", data = "<s>")]
    fn form_plain(s: Form<Plain>) -> String {
        s.into_inner().length()
    }

    #[post("/form/guarded", data = "<s>")]
    fn form_guarded(s: HumanForm<Signup>) -> String {
        s.into_inner().length()
    }

    #[post("/json/plain", data = "<s>")]
    fn json_plain(s: Json<Plain>) -> String {
        s.into_inner().length()
    }

    #[post("/json/guarded", data = "<s>")]
    fn json_guarded(s: HumanJson<Signup>) -> String {
        s.into_inner().length()
    }

    pub(super) async fn run(kind: &str, guarded: bool, body: String, guard: Guard, n: usize) {
        let figment = rocket::Config::figment().merge(("log_level", "off"));
        let rocket = rocket::custom(figment)
            .attach(HumanFairing::new(guard))
            .mount(
                "/",
                routes![form_plain, form_guarded, json_plain, json_guarded],
            );
        let client = Client::untracked(rocket).await.unwrap();
        let path = format!("/{kind}/{}", if guarded { "guarded" } else { "plain" });
        let content_type = if kind == "json" {
            ContentType::JSON
        } else {
            ContentType::Form
        };
        for _ in 0..n {
            let request = client
                .post(path.as_str())
                .remote("203.0.113.7:1".parse().unwrap())
                .header(content_type.clone())
                .header(Header::new("content-length", body.len().to_string()))
                .header(Accept::Any)
                .header(Header::new(
                    "user-agent",
                    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
                ))
                .body(&body);
            assert_eq!(request.dispatch().await.status(), Status::Ok);
        }
    }
}

/// Returns a form of 64 KiB in fields of 128 bytes. The token is the last field.
fn large_form() -> String {
    let value = "x".repeat(120);
    let mut form = form_urlencoded::Serializer::new(String::new());
    for n in 0..510 {
        form.append_pair(&format!("field{n}"), &value);
    }
    form.append_pair("acme-response", &token());
    form.finish()
}

fn scan_form(parse: bool, n: usize) {
    let body = large_form();
    let fields = TokenFields::of(&Stub);
    for _ in 0..n {
        let found = if parse {
            let mut pairs = form_urlencoded::parse(body.as_bytes());
            pairs.any(|(name, _)| name == "acme-response")
        } else {
            !scan::form(&fields, body.as_bytes()).is_empty()
        };
        assert!(std::hint::black_box(found));
    }
}

/// Starts actix-web on a socket. `/bytes` reads the body, `/refused` is guarded, and `/plain` and
/// `/guarded` stream an upload.
fn serve() -> SocketAddr {
    use actix_web::{App, HttpServer, web};
    use human_check_actix_web::Human;

    async fn stream(mut body: web::Payload) -> String {
        let mut length = 0;
        while let Some(chunk) = body.next().await {
            length += chunk.unwrap().len();
        }
        length.to_string()
    }
    async fn guarded(_human: Human, body: web::Payload) -> String {
        stream(body).await
    }
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let guard = guard();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(guard.clone())
                .route(
                    "/bytes",
                    web::post().to(async |body: web::Bytes| body.len().to_string()),
                )
                .route(
                    "/refused",
                    web::post().to(async |_: Human, _: web::Bytes| "ran"),
                )
                .route("/plain", web::post().to(stream))
                .route("/guarded", web::post().to(guarded))
        });
        let server = server.workers(1).listen(listener).unwrap().run();
        actix_web::rt::System::new().block_on(server).unwrap();
    });
    address
}

/// Reads one response. Returns false if the server closed the connection.
async fn read_response(socket: &mut TcpStream, buffer: &mut [u8]) -> bool {
    // Each response is far smaller than the buffer and arrives in one read.
    matches!(socket.read(buffer).await, Ok(n) if n > 0)
}

/// Returns the POST requests of 1.4 KiB a second over 32 connections. Clients open a new connection
/// when the server closes one.
async fn throughput(address: SocketAddr, path: &'static str, token: &'static str) -> f64 {
    let body = body("form");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-captcha-token: {token}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let end = Instant::now() + Duration::from_secs(3);
    let clients = (0..32).map(|_| {
        let request = request.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4_096];
            let mut done = 0_u64;
            let mut socket = TcpStream::connect(address).await.unwrap();
            while Instant::now() < end {
                let sent = socket.write_all(request.as_bytes()).await.is_ok();
                if sent && read_response(&mut socket, &mut buffer).await {
                    done += 1;
                } else {
                    socket = TcpStream::connect(address).await.unwrap();
                }
            }
            done
        })
    });
    let done = futures_util::future::join_all(clients).await;
    done.into_iter().map(|done| done.unwrap()).sum::<u64>() as f64 / 3.0
}

/// Sends 200 MB from a small buffer and returns the peak of the process's memory in KiB.
async fn upload(address: SocketAddr, path: &str) -> u64 {
    const LENGTH: usize = 200_000_000;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-captcha-token: good\r\n\
         content-type: application/octet-stream\r\ncontent-length: {LENGTH}\r\n\r\n"
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b'x'; 50_000];
    for _ in 0..LENGTH / chunk.len() {
        socket.write_all(&chunk).await.unwrap();
    }
    let mut buffer = [0; 4_096];
    let n = socket.read(&mut buffer).await.unwrap();
    let response = String::from_utf8_lossy(&buffer[..n]).into_owned();
    assert!(response.ends_with("200000000"), "{response}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [framework @ ("actix" | "axum" | "rocket"), kind, guarded, n] => {
            let (guarded, n) = (guarded == "guarded", n.parse().unwrap());
            let body = body(kind);
            match framework {
                "actix" => actix_web::rt::System::new().block_on(actix::run(
                    kind,
                    guarded,
                    body,
                    guard(),
                    n,
                )),
                "axum" => in_tokio(axum_::run(kind, guarded, body, guard(), n)),
                _ => in_tokio(rocket_::run(kind, guarded, body, guard(), n)),
            }
        }
        ["scan", how, n] => scan_form(how == "parse", n.parse().unwrap()),
        ["keep"] => {
            let address = serve();
            in_tokio(async {
                let bytes = throughput(address, "/bytes", "").await;
                let missing = throughput(address, "/refused", "").await;
                let bad = throughput(address, "/refused", "bad").await;
                println!("{bytes:.0} {missing:.0} {bad:.0}");
            });
        }
        ["upload", path] => println!("{}", in_tokio(upload(serve(), path))),
        _ => panic!("unknown arguments; scripts/bench has the valid ones"),
    }
}
