//! A form that needs the member of the token itself, which the guard takes out of the body.

use std::sync::{Mutex, Once};

use actix_multipart::form::MultipartForm;
use actix_multipart::form::text::Text;
use actix_web::{App, HttpServer, web};
use human_check_actix_web::HumanMultipart;
use human_check_guard::{Guard, RoutePolicy};
use human_check_rocket::{HumanFairing, HumanForm, catchers};
use rocket::http::ContentType;
use rocket::local::blocking::Client;
use rocket::{FromForm, post, routes};

use crate::body_kinds::multipart;
use crate::client::Connection;
use crate::fixture::{ScriptedProvider, eventually, listen};

/// Returns the errors that the servers of this process have logged since the first call.
fn logged_errors() -> String {
    static TEXT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static START: Once = Once::new();

    struct Writer;

    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            TEXT.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    START.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::ERROR)
            .with_ansi(false)
            .with_writer(|| Writer)
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    String::from_utf8(TEXT.lock().unwrap().clone()).unwrap()
}

fn guard() -> Guard {
    let policy = RoutePolicy::fail_closed("site");
    Guard::new(ScriptedProvider::default(), policy).unwrap()
}

#[derive(Debug, FromForm)]
struct RocketForm {
    #[field(name = "h-captcha-response")]
    _token: String,
}

#[post("/", data = "<form>")]
fn rocket_handler(form: HumanForm<RocketForm>) -> String {
    format!("{:?}", *form)
}

#[derive(Debug, MultipartForm)]
struct ActixForm {
    #[multipart(rename = "h-captcha-response")]
    _token: Text<String>,
}

#[test]
fn a_form_that_needs_the_member_of_the_token_is_an_error_event() {
    assert_eq!(logged_errors(), "");
    let figment = rocket::Config::figment().merge(("log_level", "off"));
    let rocket = rocket::custom(figment)
        .attach(HumanFairing::new(guard()))
        .register("/", catchers())
        .mount("/", routes![rocket_handler]);
    let client = Client::untracked(rocket).unwrap();
    let request = client.post("/").header(ContentType::Form);
    let response = request.body("h-captcha-response=good").dispatch();
    assert_eq!(response.status().code, 422);
    let has = |text: &str| {
        let errors = logged_errors();
        errors.contains(text) && errors.contains("h-captcha-response")
    };
    assert!(has("RocketForm"), "{}", logged_errors());

    let (listener, address) = listen();
    std::thread::spawn(move || {
        let server = async {
            let handler = async |form: HumanMultipart<ActixForm>| format!("{:?}", *form);
            let app = move || {
                App::new()
                    .app_data(guard())
                    .route("/signup", web::post().to(handler))
            };
            let server = HttpServer::new(app).workers(1).listen(listener)?;
            server.run().await
        };
        actix_web::rt::System::new().block_on(server)
    });
    let parts = [("h-captcha-response", None, &b"good"[..])];
    let response = Connection::to(address).send(&multipart(&parts)).unwrap();
    assert_eq!(response.status, 400, "{response:?}");
    eventually("the event is written", || has("ActixForm"));
}
