//! An actix-web application: a sign-up and comments behind human-check.

use std::net::TcpListener;

use actix_multipart::MultipartError;
use actix_multipart::form::tempfile::TempFile;
use actix_multipart::form::text::Text;
use actix_multipart::form::{MultipartForm, MultipartFormConfig};
use actix_web::dev::Server;
use actix_web::error::{InternalError, JsonPayloadError, PayloadError, UrlencodedError};
use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ContentType};
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, ResponseError, guard, web};
use example_pages::{Age, Comment, FileEcho, Guards, Signup, commented, index, signed_up};
use human_check_actix_web::{
    Head, Human, HumanForm, HumanJson, HumanMultipart, challenge_route, health_routes, page_routes,
};

/// Returns the server of the application. It runs when it is awaited.
///
/// # Errors
///
/// When the listener cannot be used.
pub fn server(guards: Guards, listener: TcpListener) -> std::io::Result<Server> {
    // The guards are built before this, because the closure runs once for each worker.
    let server = HttpServer::new(move || {
        App::new()
            .wrap(DefaultHeaders::new().add(("X-Example", "actix-web")))
            .app_data(web::Data::new(guards.clone()))
            .configure(routes(guards.clone()))
    });
    Ok(server.workers(2).listen(listener)?.run())
}

/// Returns the routes of the application, for `App::configure`.
pub fn routes(guards: Guards) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        if let Some(proof_of_work) = &guards.proof_of_work {
            let endpoint = challenge_route(proof_of_work.challenges.clone());
            config
                .route("/human-check-altcha/challenge", endpoint)
                .route("/human-check-altcha/{name:.*}", web::get().to(widget_file));
        }
        config
            .app_data(
                web::FormConfig::default()
                    .limit(65_536)
                    .error_handler(form_error),
            )
            .app_data(
                web::JsonConfig::default()
                    .limit(65_536)
                    .error_handler(json_error),
            )
            .app_data(MultipartFormConfig::default().error_handler(multipart_error))
            .route("/", web::get().to(home))
            .service(web::scope("/human-check").configure(page_routes(guards.options)))
            .configure(health_routes(guards.health))
            .service(
                web::resource("/signup")
                    .app_data(guards.signup)
                    .route(
                        web::post()
                            .guard(content("application/json"))
                            .to(signup_json),
                    )
                    .route(
                        web::post()
                            .guard(content("multipart/form-data"))
                            .to(signup_upload),
                    )
                    .route(web::post().to(signup_form)),
            )
            .service(
                web::resource("/comments")
                    .app_data(guards.comments)
                    .route(web::post().to(comment)),
            );
    }
}

async fn home(guards: web::Data<Guards>, request: HttpRequest) -> HttpResponse {
    let page = index(&guards, &Head(&request));
    let mut response = HttpResponse::Ok();
    for header in page.headers {
        response.insert_header(header);
    }
    response
        .insert_header((CONTENT_SECURITY_POLICY, page.policy))
        .content_type(ContentType::html())
        .body(page.body)
}

async fn widget_file(guards: web::Data<Guards>, name: web::Path<String>) -> HttpResponse {
    let proof_of_work = guards.proof_of_work.as_ref();
    match proof_of_work.and_then(|widget| widget.file(&name)) {
        Some(file) => HttpResponse::Ok()
            .content_type(file.content_type())
            .body(file.content().to_vec()),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn signup_form(form: HumanForm<Signup>) -> HttpResponse {
    json(signed_up(&form, &[]))
}

async fn signup_json(body: HumanJson<Signup>) -> HttpResponse {
    json(signed_up(&body, &[]))
}

#[derive(Debug, MultipartForm)]
struct Upload {
    email: Text<String>,
    name: Option<Text<String>>,
    age: Option<Text<Age>>,
    #[multipart(limit = "2MiB")]
    files: Vec<TempFile>,
}

async fn signup_upload(upload: HumanMultipart<Upload>) -> Result<HttpResponse, Error> {
    let upload = upload.into_inner();
    let mut files = Vec::new();
    for file in upload.files {
        let content = std::fs::read(file.file.path())?;
        files.push(FileEcho::new(file.file_name.as_deref(), &content));
    }
    let signup = Signup {
        email: upload.email.into_inner(),
        name: upload.name.map(Text::into_inner).unwrap_or_default(),
        age: upload.age.map(Text::into_inner).unwrap_or_default(),
    };
    Ok(json(signed_up(&signup, &files)))
}

// The token is in the header, so the body has the application's fields only.
async fn comment(_human: Human, comment: web::Json<Comment>) -> HttpResponse {
    json(commented(&comment))
}

fn json(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(body)
}

/// Selects requests with a body of this media type.
fn content(kind: &'static str) -> impl guard::Guard {
    guard::fn_guard(move |context: &GuardContext<'_>| {
        let value = context.head().headers().get(CONTENT_TYPE);
        let value = value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(kind)
    })
}

// By default, actix-web responds 400 to every invalid form. These handlers respond 422 to an
// invalid field and 400 to invalid syntax. human-check does not change how actix-web calls them.

fn form_error(error: UrlencodedError, _: &actix_web::HttpRequest) -> Error {
    let status = match error {
        UrlencodedError::Parse(_) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => error.status_code(),
    };
    InternalError::new(error, status).into()
}

fn json_error(error: JsonPayloadError, _: &actix_web::HttpRequest) -> Error {
    let status = match &error {
        JsonPayloadError::Deserialize(cause) if cause.is_data() => StatusCode::UNPROCESSABLE_ENTITY,
        _ => error.status_code(),
    };
    InternalError::new(error, status).into()
}

fn multipart_error(error: MultipartError, _: &actix_web::HttpRequest) -> Error {
    let status = match &error {
        MultipartError::Payload(PayloadError::Overflow) => StatusCode::PAYLOAD_TOO_LARGE,
        MultipartError::Payload(_) | MultipartError::Parse(_) => error.status_code(),
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    InternalError::new(error, status).into()
}
