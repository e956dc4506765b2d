//! Guarded routes over HTTP/2 without TLS, where a framework supports it.

use std::net::SocketAddr;

use actix_web::{App, HttpServer, web};
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use human_check_guard::{Guard, RoutePolicy};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::fixture::{ScriptedProvider, in_tokio, listen};

#[derive(Deserialize)]
struct Signup {
    email: String,
}

fn guard() -> Guard {
    let policy = RoutePolicy::fail_closed("site");
    Guard::new(ScriptedProvider::default(), policy).unwrap()
}

fn actix() -> SocketAddr {
    let (listener, address) = listen();
    std::thread::spawn(move || {
        let guard = guard();
        let handler = async |form: human_check_actix_web::HumanForm<Signup>| form.email.clone();
        let app = move || {
            App::new()
                .app_data(guard.clone())
                .route("/", web::post().to(handler))
        };
        let server = HttpServer::new(app).workers(1).listen_auto_h2c(listener);
        actix_web::rt::System::new().block_on(server.unwrap().run())
    });
    address
}

fn axum() -> SocketAddr {
    let (listener, address) = listen();
    in_tokio(|| async {
        let handler = async |form: human_check_axum::HumanForm<Signup>| form.email.clone();
        let router = Router::new().route("/", post(handler)).with_state(guard());
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await
    });
    address
}

#[tokio::test]
async fn many_at_once_over_one_connection_each_get_their_own_reply() {
    for (name, address) in [("actix-web", actix()), ("axum", axum())] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http::<Full<Bytes>>();
        let send = |n: usize| {
            let token = ["good", "bad", ""][n % 3];
            let body = format!("email={n}&h-captcha-response={token}");
            let request = http::Request::post(format!("http://{address}/"))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Full::from(body))
                .unwrap();
            let client = client.clone();
            tokio::spawn(async move {
                let response = client.request(request).await.unwrap();
                let status = response.status().as_u16();
                (
                    status,
                    response.into_body().collect().await.unwrap().to_bytes(),
                )
            })
        };
        let calls: Vec<_> = (0..60).map(send).collect();
        for (n, call) in calls.into_iter().enumerate() {
            let (status, body) = call.await.unwrap();
            if n % 3 == 0 {
                assert_eq!(
                    (status, &body[..]),
                    (200, n.to_string().as_bytes()),
                    "{name}"
                );
            } else {
                assert_eq!(status, 403, "{name} {n}");
            }
        }
    }
}
