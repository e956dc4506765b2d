//! Features that only axum has: layers, optional extraction, state and extensions.

use std::net::SocketAddr;

use axum::extract::FromRef;
use axum::response::IntoResponse;
use axum::routing::{any, post};
use axum::{Extension, Form, Router};
use human_check_axum::{Human, HumanForm, HumanLayer, HumanMultipart, MaybeHuman};
use human_check_guard::{Guard, RoutePolicy, Trigger, Unverified};

use crate::body_kinds::{form, multipart};
use crate::client::{Connection, Request};
use crate::fixture::{ScriptedProvider, in_tokio, listen};

#[derive(Clone)]
struct State(Guard);

impl FromRef<State> for Guard {
    fn from_ref(state: &State) -> Self {
        state.0.clone()
    }
}

fn guard(provider: &ScriptedProvider) -> Guard {
    Guard::new(provider.clone(), RoutePolicy::fail_closed("site")).unwrap()
}

fn serve(router: Router) -> Connection {
    let (listener, address) = listen();
    in_tokio(|| async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await
    });
    Connection::to(address)
}

fn header(token: &str) -> Request {
    Request::post("/").header("x-captcha-token", token)
}

fn good() -> Request {
    form(&[("email", "a@b"), ("h-captcha-response", "good")])
}

#[test]
fn two_proofs_in_one_handler_call_once() {
    let provider = ScriptedProvider::default();
    let router = Router::new()
        .route("/", post(async |_: Human, _: MaybeHuman, _: Human| "ran"))
        .with_state(State(guard(&provider)));
    let mut connection = serve(router);
    assert_eq!(connection.send(&header("good")).unwrap().body, "ran");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn an_optional_proof_is_none_only_if_the_token_is_absent() {
    let provider = ScriptedProvider::default();
    let handler = async |human: Option<Human>| human.map_or("absent", |_| "human");
    let router = Router::new()
        .route("/", post(handler))
        .with_state(State(guard(&provider)));
    let mut connection = serve(router);
    assert_eq!(connection.send(&Request::post("/")).unwrap().body, "absent");
    assert_eq!(connection.send(&header("good")).unwrap().body, "human");
    assert_eq!(connection.send(&header("bad")).unwrap().status, 403);
    assert_eq!(connection.send(&header("down")).unwrap().status, 503);
}

#[test]
fn a_route_layer_checks_routes_only_and_once() {
    let provider = ScriptedProvider::default();
    let guard = guard(&provider);
    let router = Router::new()
        .route("/", post(async |_: Human, body: String| body))
        .route("/any", any(async || "ran"))
        .route_layer(HumanLayer::new(guard.clone()))
        .with_state(State(guard));
    let mut connection = serve(router);
    let mut send = |request: &Request| connection.send(request).unwrap();
    let echoed = send(&header("good").body("text/plain", "exactly this"));
    assert_eq!((echoed.status, echoed.body.as_str()), (200, "exactly this"));
    assert_eq!(provider.calls(), 1);
    let mut elsewhere = header("good");
    elsewhere.path = "/elsewhere".to_owned();
    assert_eq!(send(&elsewhere).status, 404);
    assert_eq!(provider.calls(), 1);
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "POST"] {
        let mut request = Request::post("/any").method(method);
        assert_eq!(send(&request).status, 403, "{method}");
        request = request.header("x-captcha-token", "good");
        assert_eq!(send(&request).status, 200, "{method}");
    }
}

#[test]
fn a_layer_and_a_form_call_once_and_must_agree() {
    let provider = ScriptedProvider::default();
    let guard = guard(&provider);
    let handler = async |_: HumanForm<Vec<(String, String)>>| "ran";
    let mapped = async |_: HumanForm<std::collections::HashMap<String, String>>| "ran";
    let router = Router::new()
        .route("/pairs", post(handler))
        .route("/", post(mapped))
        .route_layer(HumanLayer::new(guard.clone()))
        .with_state(State(guard));
    let mut connection = serve(router);
    for (body, status) in [
        (&[][..], 200),
        (&[("h-captcha-response", "good")], 200),
        (&[("h-captcha-response", "bad")], 400),
    ] {
        let before = provider.calls();
        let mut request = form(body).header("x-captcha-token", "good");
        request.path = "/".to_owned();
        assert_eq!(
            connection.send(&request).unwrap().status,
            status,
            "{body:?}"
        );
        assert_eq!(provider.calls(), before + 1);
    }
    // A list of pairs has no token field to remove. The token of the header was verified.
    let mut request = form(&[("a", "b")]).header("x-captcha-token", "good");
    request.path = "/pairs".to_owned();
    assert_eq!(connection.send(&request).unwrap().status, 200);
}

#[test]
fn a_layer_that_reads_bodies_hands_every_byte_on() {
    let provider = ScriptedProvider::default();
    let guard = guard(&provider);
    let echo = async |body: axum::body::Bytes| body;
    let router = Router::new()
        .route("/signup", post(echo))
        .route_layer(HumanLayer::new(guard.clone()).with_body_reading())
        .with_state(State(guard));
    let mut connection = serve(router);
    let parts = multipart(&[
        ("h-captcha-response", None, b"good"),
        ("f", Some("x"), b"a\r\nb"),
    ]);
    let json = Request::post("/signup").body(
        "application/problem+json; charset=utf-8",
        r#"{ "h-captcha-response" : "good" }"#,
    );
    for request in [good(), good().chunked(), parts, json] {
        let response = connection.send(&request).unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.body.as_bytes(), request.body);
    }
    assert_eq!(provider.calls(), 4);
    let hidden = Request::post("/signup").body("text/plain", "h-captcha-response=good");
    assert_eq!(connection.send(&hidden).unwrap().status, 403);
    let missing = form(&[("email", "a@b")]);
    assert_eq!(connection.send(&missing).unwrap().status, 403);
}

#[test]
fn the_nearest_guard_decides_and_another_ones_decision_proves_nothing() {
    let provider = ScriptedProvider::default();
    let lazy = guard(&provider)
        .with_policy(RoutePolicy::fail_closed("lazy").with_trigger(Trigger::when(|_| false)))
        .unwrap();
    let inner = Router::new().route("/inner", post(async |_: Human| "ran"));
    let router = Router::new()
        .route(
            "/lazy",
            post(async |visitor: MaybeHuman| match visitor.unverified() {
                Some(Unverified::NotChallenged) => "unverified",
                _ => "human",
            }),
        )
        .route("/lazy-strict", post(async |_: Human| "ran"))
        .layer(Extension(lazy))
        .merge(inner)
        .with_state(State(guard(&provider)));
    let mut connection = serve(router);
    let mut send = |path: &str, token: Option<&'static str>| {
        let request = Request::post(path);
        let request = match token {
            Some(token) => request.header("x-captcha-token", token),
            None => request,
        };
        connection.send(&request).unwrap()
    };
    assert_eq!(send("/lazy", None).body, "unverified");
    assert_eq!(send("/lazy", Some("good")).body, "human");
    assert_eq!(send("/lazy", Some("bad")).status, 403);
    // A handler that takes `Human` does not run without a proof, whatever the policy allows.
    assert_eq!(send("/lazy-strict", None).status, 403);
    assert_eq!(send("/inner", None).status, 403);
    assert_eq!(send("/inner", Some("good")).body, "ran");
}

#[test]
fn a_lazy_layer_in_front_of_a_strict_guard_changes_nothing() {
    let provider = ScriptedProvider::default();
    let strict = guard(&provider);
    let lazy = strict
        .with_policy(RoutePolicy::fail_closed("lazy").with_observe_only())
        .unwrap();
    let router = Router::new()
        .route("/", post(async |_: Human| "ran"))
        .layer(Extension(strict.clone()))
        .layer(HumanLayer::new(lazy))
        .with_state(State(strict));
    let mut connection = serve(router);
    assert_eq!(connection.send(&Request::post("/")).unwrap().status, 403);
    assert_eq!(connection.send(&header("bad")).unwrap().status, 403);
}

#[test]
fn refusals_of_a_layer_can_have_another_response() {
    let provider = ScriptedProvider::default();
    let guard = guard(&provider);
    let layer = HumanLayer::new(guard.clone()).with_error_handler(|refused| {
        (
            axum::http::StatusCode::IM_A_TEAPOT,
            refused.reason().as_str(),
        )
            .into_response()
    });
    let router = Router::new()
        .route("/", post(async || "ran"))
        .route_layer(layer)
        .with_state(State(guard));
    let response = serve(router).send(&header("bad")).unwrap();
    assert_eq!(
        (response.status, response.body.as_str()),
        (418, "verification-failed")
    );
}

#[test]
fn a_form_on_get_is_rejected() {
    let provider = ScriptedProvider::default();
    let handler = async |_: HumanForm<std::collections::HashMap<String, String>>| "ran";
    let router = Router::new()
        .route("/", any(handler))
        .with_state(State(guard(&provider)));
    let mut connection = serve(router);
    let linked = Request::post("/?h-captcha-response=good").method("GET");
    assert_eq!(connection.send(&linked).unwrap().status, 405);
    let body = form(&[("h-captcha-response", "good")]);
    for method in ["GET", "HEAD"] {
        let mut request = body.clone().method(method);
        request.path = "/".to_owned();
        assert_eq!(connection.send(&request).unwrap().status, 405, "{method}");
    }
    assert_eq!(provider.calls(), 0);
}

#[test]
fn a_fallback_is_no_route() {
    let provider = ScriptedProvider::default();
    let guard = guard(&provider);
    let router = Router::new()
        .route("/", post(async || "ran"))
        .route_layer(HumanLayer::new(guard.clone()))
        .fallback(async || "fallback")
        .with_state(State(guard));
    let mut connection = serve(router);
    assert_eq!(connection.send(&header("")).unwrap().status, 403);
    let elsewhere = Request::post("/elsewhere");
    assert_eq!(connection.send(&elsewhere).unwrap().body, "fallback");
}

#[test]
fn a_route_that_observes_refuses_no_token() {
    let provider = ScriptedProvider::default();
    let observing = RoutePolicy::fail_closed("observing").with_observe_only();
    let guard = Guard::new(provider, observing).unwrap();
    let handler = async |_: HumanForm<std::collections::HashMap<String, String>, MaybeHuman>| "ran";
    let router = Router::new()
        .route("/signup", post(handler))
        .route_layer(HumanLayer::new(guard.clone()))
        .with_state(State(guard));
    let mut connection = serve(router);
    for (header, body) in [
        ("", ""),
        ("bad", ""),
        ("good", "bad"),
        ("", "bad"),
        ("b d", ""),
    ] {
        let request = form(&[("h-captcha-response", body)]).header("x-captcha-token", header);
        assert_eq!(
            connection.send(&request).unwrap().body,
            "ran",
            "{header} {body}"
        );
    }
}

#[test]
fn a_streamed_multipart_comes_after_the_check() {
    let provider = ScriptedProvider::default();
    let handler = async |parts: HumanMultipart| {
        let mut parts = parts.into_inner();
        let mut names = Vec::new();
        while let Some(part) = parts.next_field().await.unwrap() {
            names.push(part.name().unwrap().to_owned());
        }
        names.join(",")
    };
    let router = Router::new()
        .route("/signup", post(handler))
        .with_state(State(guard(&provider)));
    let mut connection = serve(router);
    let request = multipart(&[("a", None, b"1"), ("h-captcha-response", None, b"good")]);
    // The application reads the parts itself, so it sees the part with the token, too.
    assert_eq!(
        connection.send(&request).unwrap().body,
        "a,h-captcha-response"
    );
    let request = multipart(&[("a", None, b"1"), ("h-captcha-response", None, b"bad")]);
    assert_eq!(connection.send(&request).unwrap().status, 403);
}

#[test]
fn a_form_beside_a_proof_may_use_the_token_and_a_wrapped_one_does_not() {
    #[derive(serde::Deserialize)]
    struct Age {
        #[allow(dead_code, reason = "only its type matters")]
        age: u8,
    }
    let provider = ScriptedProvider::default();
    let router = Router::new()
        .route("/beside", post(async |_: Human, _: Form<Age>| "ran"))
        .route("/wrapped", post(async |_: HumanForm<Age>| "ran"))
        .with_state(State(guard(&provider)));
    let mut connection = serve(router);
    for (path, calls) in [("/wrapped", 0), ("/beside", 1)] {
        let mut request = form(&[("age", "old")]).header("x-captcha-token", "good");
        path.clone_into(&mut request.path);
        assert_eq!(connection.send(&request).unwrap().status, 422);
        assert_eq!(provider.calls(), calls, "{path}");
    }
}

/// A body that always has another empty chunk, and so uses up what the runtime lets a task do at
/// once. The time limit must end it all the same.
#[tokio::test]
async fn a_body_that_never_lets_go_is_refused_as_too_slow() {
    use axum::body::{Body, Bytes};
    use axum::extract::FromRequest;
    use human_check_axum::HumanError;
    use human_check_guard::{BodyLimits, DenialReason};

    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let chunks = futures_util::stream::poll_fn(move |cx| {
        sender.send(Ok::<_, std::io::Error>(Bytes::new())).unwrap();
        receiver.poll_recv(cx)
    });
    let request = axum::extract::Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from_stream(chunks))
        .unwrap();
    let provider = ScriptedProvider::default();
    let limits = BodyLimits::default().with_body_timeout(std::time::Duration::from_millis(200));
    let guard = Guard::builder(provider.clone())
        .with_body_limits(limits)
        .build(RoutePolicy::fail_closed("site"))
        .unwrap();
    let form = tokio::spawn(async move {
        HumanForm::<std::collections::HashMap<String, String>>::from_request(request, &guard).await
    });
    let form = tokio::time::timeout(std::time::Duration::from_secs(30), form);
    match form.await.expect("the time limit holds").unwrap() {
        Err(HumanError::Rejected(refused)) => {
            assert_eq!(refused.reason(), DenialReason::BodyTooSlow);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(provider.calls(), 0);
}
