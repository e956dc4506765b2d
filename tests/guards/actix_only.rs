//! Features that only actix-web has: app data, scopes, concurrent extractors, error handlers.

use actix_web::dev::Payload;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, FromRequest, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::FutureExt;
use human_check_actix_web::{
    ErrorHandler, Human, HumanForm, HumanMiddleware, HumanQuery, MaybeHuman,
};
use human_check_guard::{BodyLimits, Guard, RoutePolicy, Trigger};
use serde::Deserialize;

use crate::body_kinds::{form, multipart};
use crate::client::{Connection, Request};
use crate::fixture::{ScriptedProvider, listen};

fn guard(provider: &ScriptedProvider) -> Guard {
    Guard::new(provider.clone(), RoutePolicy::fail_closed("site")).unwrap()
}

fn serve(routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static) -> Connection {
    let (listener, address) = listen();
    std::thread::spawn(move || {
        let server = async {
            let app = move || App::new().configure(routes.clone());
            HttpServer::new(app)
                .workers(1)
                .listen(listener)?
                .run()
                .await
        };
        actix_web::rt::System::new().block_on(server)
    });
    Connection::to(address)
}

fn header(path: &str, token: &str) -> Request {
    Request::post(path).header("x-captcha-token", token)
}

#[derive(Deserialize)]
struct Age {
    age: u8,
}

#[test]
fn a_route_without_a_guard_fails_and_says_so_in_the_log() {
    let mut connection = serve(|config| {
        config.route("/", web::post().to(async |_: Human| "ran"));
        config.route("/form", web::post().to(async |_: HumanForm<Age>| "ran"));
    });
    let response = connection.send(&header("/", "good")).unwrap();
    assert_eq!((response.status, response.body.as_str()), (500, ""));
    let mut request = form(&[("age", "3"), ("h-captcha-response", "good")]);
    request.path = "/form".to_owned();
    assert_eq!(connection.send(&request).unwrap().status, 500);
}

#[test]
fn the_nearest_guard_decides() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let lazy = site
        .with_policy(RoutePolicy::fail_closed("lazy").with_trigger(Trigger::when(|_| false)))
        .unwrap();
    let mut connection = serve(move |config| {
        let visitor = async |visitor: MaybeHuman| match visitor.human() {
            Some(_) => "human",
            None => "unverified",
        };
        config
            .app_data(site.clone())
            .service(
                web::scope("/lazy")
                    .app_data(lazy.clone())
                    .route("/maybe", web::post().to(visitor))
                    .route("/human", web::post().to(async |_: Human| "ran")),
            )
            .route("/maybe", web::post().to(visitor));
    });
    let mut send = |request: &Request| connection.send(request).unwrap();
    assert_eq!(send(&Request::post("/maybe")).status, 403);
    assert_eq!(send(&header("/maybe", "good")).body, "human");
    assert_eq!(send(&Request::post("/lazy/maybe")).body, "unverified");
    assert_eq!(send(&header("/lazy/maybe", "good")).body, "human");
    assert_eq!(send(&header("/lazy/maybe", "bad")).status, 403);
    // A handler that takes `Human` does not run without a proof, whatever the policy allows.
    assert_eq!(send(&Request::post("/lazy/human")).status, 403);
}

#[test]
fn two_guards_registered_in_two_ways_are_an_error() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let strict = site
        .with_policy(RoutePolicy::fail_closed("strict"))
        .unwrap();
    let mut connection = serve(move |config| {
        config
            .app_data(site.clone())
            .route("/", web::post().to(async |_: Human| "ran"))
            .service(
                web::resource("/same")
                    .app_data(web::Data::new(site.clone()))
                    .route(web::post().to(async |_: Human| "ran")),
            )
            .service(
                web::resource("/strict")
                    .app_data(web::Data::new(strict.clone()))
                    .route(web::post().to(async |_: Human| "ran")),
            );
    });
    assert_eq!(connection.send(&header("/", "good")).unwrap().status, 200);
    assert_eq!(
        connection.send(&header("/same", "good")).unwrap().status,
        200
    );
    assert_eq!(
        connection.send(&header("/strict", "good")).unwrap().status,
        500
    );
}

#[test]
fn error_handlers_of_the_application_are_called() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        let forms = web::FormConfig::default().error_handler(|error, _| {
            InternalError::from_response(error, HttpResponse::ImATeapot().body("form")).into()
        });
        let refusals = ErrorHandler::new(|refused, request| {
            let text = format!("{} {}", refused.reason().as_str(), request.path());
            InternalError::new(text, StatusCode::UNAUTHORIZED).into()
        });
        config
            .app_data(site.clone())
            .app_data(forms)
            .app_data(refusals)
            .route(
                "/",
                web::post().to(async |age: HumanForm<Age>| age.age.to_string()),
            );
    });
    let mut send = |fields: &[(&str, &str)]| {
        let mut request = form(fields);
        request.path = "/".to_owned();
        connection.send(&request).unwrap()
    };
    let bad_form = send(&[("age", "old"), ("h-captcha-response", "good")]);
    assert_eq!((bad_form.status, bad_form.body.as_str()), (418, "form"));
    assert_eq!(provider.calls(), 0);
    let refused = send(&[("age", "3"), ("h-captcha-response", "bad")]);
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (401, "verification-failed /")
    );
    assert_eq!(
        send(&[("age", "3"), ("h-captcha-response", "good")]).body,
        "3"
    );
}

#[test]
fn a_scope_behind_the_middleware_is_checked_once() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config.app_data(site.clone()).service(
            web::scope("/api")
                .wrap(HumanMiddleware::new(site.clone()))
                .route("/echo", web::post().to(async |_: Human, body: String| body))
                .route("/any", web::route().to(async || "ran")),
        );
    });
    let mut send = |request: &Request| connection.send(request).unwrap();
    let echoed = send(&header("/api/echo", "good").body("text/plain", "exactly this"));
    assert_eq!((echoed.status, echoed.body.as_str()), (200, "exactly this"));
    assert_eq!(provider.calls(), 1);
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST"] {
        let request = Request::post("/api/any").method(method);
        assert_eq!(send(&request).status, 403, "{method}");
        let request = header("/api/any", "good").method(method);
        assert_eq!(send(&request).status, 200, "{method}");
    }
    // `match_pattern` is `None` for this spelling, and the route matches all the same.
    assert_eq!(send(&Request::post("/%61pi/any")).status, 403);
}

#[test]
fn a_middleware_that_reads_bodies_hands_every_byte_on() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config.service(
            web::resource("/signup")
                .wrap(HumanMiddleware::new(site.clone()).with_body_reading())
                .route(web::post().to(async |body: web::Bytes| body)),
        );
    });
    let mut send = |request: &Request| connection.send(request).unwrap();
    let good = form(&[("email", "a@b"), ("h-captcha-response", "good")]);
    let json =
        Request::post("/signup").body("application/json", r#"{ "h-captcha-response" : "good" }"#);
    for request in [good.clone(), good.clone().chunked(), json] {
        let response = send(&request);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.body.as_bytes(), request.body);
    }
    assert_eq!(send(&form(&[("email", "a@b")])).status, 403);
    // The middleware finds no token in a body that it cannot parse.
    assert_eq!(
        send(&multipart(&[("h-captcha-response", None, b"good")])).status,
        403
    );
    assert_eq!(
        send(&good.clone().header("content-encoding", "gzip")).status,
        403
    );
    let mut large = good;
    large.body.extend_from_slice(&[b'x'; 70_000]);
    assert_eq!(send(&large).status, 413);
}

#[test]
fn middleware_outside_sees_the_response_of_a_refusal() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config.service(
            web::scope("/api")
                .wrap(HumanMiddleware::new(site.clone()))
                .wrap(DefaultHeaders::new().add(("X-Outer", "here")))
                .route("/any", web::post().to(async || "ran")),
        );
    });
    let response = connection.send(&header("/api/any", "bad")).unwrap();
    assert_eq!(
        (response.status, response.header("x-outer")),
        (403, Some("here"))
    );
}

#[test]
fn refusals_of_the_middleware_can_have_another_response() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        let middleware =
            HumanMiddleware::new(site.clone()).with_error_handler(|refused, request| {
                HttpResponse::ImATeapot().body(format!(
                    "{} {}",
                    refused.reason().as_str(),
                    request.path()
                ))
            });
        config.service(
            web::resource("/")
                .wrap(middleware)
                .route(web::post().to(async || "ran")),
        );
    });
    let response = connection.send(&header("/", "bad")).unwrap();
    assert_eq!(
        (response.status, response.body.as_str()),
        (418, "verification-failed /")
    );
}

#[test]
fn several_proofs_in_one_handler_call_once_however_slow_the_provider() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config.app_data(site.clone()).route(
            "/",
            web::post().to(async |_: Human, _: MaybeHuman, _: Human| "ran"),
        );
    });
    connection.write(&header("/", "slow").bytes());
    provider.wait_for_call();
    provider.release_slow_call();
    assert_eq!(connection.read("POST").unwrap().body, "ran");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn a_proof_beside_a_form_calls_once_and_must_agree() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config
            .app_data(site.clone())
            .route(
                "/before",
                web::post().to(async |_: Human, _: HumanForm<Age>| "ran"),
            )
            .route(
                "/after",
                web::post().to(async |_: HumanForm<Age>, _: Human| "ran"),
            );
    });
    for path in ["/before", "/after"] {
        for (body, status) in [("", 200), ("slow", 200), ("good", 400)] {
            let before = provider.calls();
            let mut request = form(&[("age", "3"), ("h-captcha-response", body)]);
            path.clone_into(&mut request.path);
            connection.write(&request.header("x-captcha-token", "slow").bytes());
            provider.wait_for_call();
            provider.release_slow_call();
            let response = connection.read("POST").unwrap();
            assert_eq!(response.status, status, "{path} {body}");
            assert_eq!(provider.calls(), before + 1, "{path} {body}");
        }
    }
}

#[test]
fn a_handler_that_takes_a_refusal_still_gets_its_body() {
    type Proof = Result<Human, actix_web::Error>;
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config
            .app_data(site.clone())
            .route(
                "/before",
                web::post().to(async |human: Proof, body: web::Bytes| {
                    format!("{} {}", human.is_ok(), body.len())
                }),
            )
            .route(
                "/after",
                web::post().to(async |body: web::Bytes, human: Proof| {
                    format!("{} {}", human.is_ok(), body.len())
                }),
            )
            .route(
                "/option",
                web::post().to(async |human: Option<Human>, json: web::Json<Vec<u8>>| {
                    format!("{} {}", human.is_some(), json.len())
                }),
            );
    });
    for token in ["", "bad", "good", "b d"] {
        for path in ["/before", "/after"] {
            for length in [0, 10, 50_000, 200_000] {
                let request = header(path, token).body("text/plain", "x".repeat(length));
                for request in [request.clone(), request.chunked()] {
                    let response = connection.send(&request).unwrap();
                    let expected = format!("{} {length}", token == "good");
                    assert_eq!(response.body, expected, "{path} {token} {length}");
                }
            }
        }
        let request = header("/option", token).body("application/json", "[1,2,3]");
        let response = connection.send(&request).unwrap();
        assert_eq!(response.body, format!("{} 3", token == "good"), "{token}");
    }
}

#[test]
fn a_body_that_breaks_off_is_never_whole() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let address = {
        let connection = serve(move |config| {
            config.app_data(site.clone()).route(
                "/",
                web::post().to(
                    async |human: Result<Human, actix_web::Error>, body: web::Bytes| {
                        format!("{} {}", human.is_ok(), body.len())
                    },
                ),
            );
        });
        connection.address()
    };
    for token in ["", "bad", "good"] {
        for body in [
            "content-length: 100\r\n\r\nhalf of it",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        ] {
            let mut connection = Connection::to(address);
            let head = format!("POST / HTTP/1.1\r\nhost: x\r\nx-captcha-token: {token}\r\n{body}");
            connection.write(head.as_bytes());
            connection.close();
            let response = connection.read("POST");
            let refused = response
                .as_ref()
                .is_none_or(|response| response.status == 400);
            assert!(refused, "{token} {body} {response:?}");
        }
    }
}

#[test]
fn a_refused_upgrade_is_not_waited_for() {
    let provider = ScriptedProvider::default();
    let policy = RoutePolicy::fail_closed("site");
    // Longer than the client waits for a response.
    let limits = BodyLimits::default().with_body_timeout(std::time::Duration::from_secs(3_600));
    let builder = Guard::builder(provider).with_body_limits(limits);
    let site = builder.build(policy).unwrap();
    let mut connection = serve(move |config| {
        config
            .app_data(site.clone())
            .route("/", web::get().to(async |_: Human| "ran"));
    });
    let head = "GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    connection.write(head.as_bytes());
    assert_eq!(connection.read("GET").unwrap().status, 403);
}

/// An extractor that polls the future of `Human` once and drops it.
struct DroppedProof;

impl FromRequest for DroppedProof {
    type Error = actix_web::Error;
    type Future = std::future::Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let _dropped = Human::from_request(request, payload).now_or_never();
        std::future::ready(Ok(Self))
    }
}

#[test]
fn a_dropped_proof_leaves_the_body_to_other_extractors() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config.app_data(site.clone()).route(
            "/",
            web::post().to(async |_: DroppedProof, body: web::Bytes| body),
        );
    });
    let bytes = header("/", "b d")
        .body("text/plain", "x".repeat(50_000))
        .bytes();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    connection.write(first);
    connection.write(second);
    let response = connection.read("POST").unwrap();
    assert_eq!((response.status, response.body.len()), (200, 50_000));
}

#[test]
fn a_body_that_an_upgrade_hides_is_capped_all_the_same() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config.app_data(site.clone()).service(
            web::resource("/")
                .wrap(HumanMiddleware::new(site.clone()).with_body_reading())
                .route(web::post().to(async || "ran")),
        );
    });
    let head = "POST / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                content-type: application/json\r\ncontent-length: 10\r\n\r\n";
    connection.write(head.as_bytes());
    connection.write(&[b'x'; 70_000]);
    // Without a limit the middleware would buffer everything until the timeout.
    assert_eq!(connection.read("POST").unwrap().status, 413);
}

#[test]
fn a_token_in_the_url_counts_for_human_query() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config
            .app_data(site.clone())
            .route(
                "/",
                web::get().to(async |age: HumanQuery<Age>| age.age.to_string()),
            )
            .route(
                "/beside",
                web::post().to(async |_: HumanQuery<Age>, body: web::Bytes| body),
            );
    });
    let mut send = |query: &str| {
        let request = Request::post(&format!("/?{query}")).method("GET");
        connection.send(&request).unwrap()
    };
    assert_eq!(send("age=3&h-captcha-response=good").body, "3");
    assert_eq!(send("age=3&h-captcha-response=bad").status, 403);
    assert_eq!(send("age=3").status, 403);
    assert_eq!(send("age=old&h-captcha-response=good").status, 400);
    assert_eq!(provider.calls(), 2);
    let request =
        Request::post("/beside?age=3&h-captcha-response=good").body("text/plain", "exactly this");
    assert_eq!(connection.send(&request).unwrap().body, "exactly this");
}

#[test]
fn a_body_beside_a_proof_reaches_its_own_extractor() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let mut connection = serve(move |config| {
        config
            .app_data(site.clone())
            .route(
                "/before",
                web::post().to(async |_: Human, body: web::Bytes| body),
            )
            .route(
                "/after",
                web::post().to(async |body: web::Bytes, _: Human| body),
            )
            .route("/unread", web::post().to(async |_: Human| "ran"));
    });
    for path in ["/before", "/after"] {
        let request = header(path, "good").body("text/plain", "x".repeat(50_000));
        for request in [request.clone(), request.chunked()] {
            let response = connection.send(&request).unwrap();
            assert_eq!(
                (response.status, response.body.len()),
                (200, 50_000),
                "{path}"
            );
        }
    }
    for token in ["bad", "", "b d"] {
        let request = header("/before", token).body("text/plain", "x".repeat(50_000));
        let response = connection.send(&request).unwrap();
        assert!(response.status == 403 || response.status == 400, "{token}");
    }
}
