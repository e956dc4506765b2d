//! A Rocket application: comments and a sign-up behind human-check.

use example_pages::{Age, Comment, FileEcho, Guards, Signup, commented, index, signed_up};
use human_check_rocket::{
    GuardRoutes, Human, HumanFairing, HumanForm, HumanJson, PageHead, catchers, challenge_route,
    health_routes, page_routes,
};
use rocket::config::LogLevel;
use rocket::data::{Limits, ToByteUnit};
use rocket::form::{self, FromFormField, ValueField};
use rocket::fs::TempFile;
use rocket::http::ContentType;
use rocket::http::uri::Segments;
use rocket::http::uri::fmt::Path;
use rocket::response::content::RawHtml;
use rocket::response::{self, Responder};
use rocket::serde::json::Json;
use rocket::{Build, Config, FromForm, Request, Rocket, State, get, post, routes};

/// Returns a configuration with the same limits as in the other examples.
pub fn config() -> Config {
    Config {
        limits: Limits::default()
            .limit("form", 64.kibibytes())
            .limit("file", 2.mebibytes()),
        log_level: LogLevel::Critical,
        cli_colors: false,
        ..Config::release_default()
    }
}

/// Builds the application.
pub fn rocket(guards: Guards, config: Config) -> Rocket<Build> {
    let mut rocket = rocket::custom(config)
        .attach(HumanFairing::new(guards.signup.clone()))
        .mount("/", routes![home, signup_json, signup_form])
        // The wrapped route verifies the token in the header before anything else of the route
        // runs.
        .mount("/", guards.comments.routes(routes![comment]))
        .mount("/human-check", page_routes(guards.options.clone()))
        .mount("/", health_routes(guards.health.clone()))
        .register("/", catchers());
    if let Some(proof_of_work) = &guards.proof_of_work {
        let endpoint = challenge_route(proof_of_work.challenges.clone());
        rocket = rocket
            .mount("/human-check-altcha/challenge", endpoint)
            .mount("/human-check-altcha", routes![widget_file]);
    }
    rocket.manage(guards)
}

/// A page with its headers.
struct Page(example_pages::Html);

impl<'r> Responder<'r, 'static> for Page {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut response = RawHtml(self.0.body).respond_to(request)?;
        for (name, value) in self.0.headers {
            response.set_raw_header(name, value);
        }
        response.set_raw_header("Content-Security-Policy", self.0.policy);
        Ok(response)
    }
}

#[get("/")]
#[expect(
    clippy::needless_pass_by_value,
    reason = "Rocket passes request guards by value"
)]
fn home(guards: &State<Guards>, head: PageHead) -> Page {
    Page(index(guards, &head))
}

#[get("/<name..>")]
fn widget_file(name: Segments<'_, Path>, guards: &State<Guards>) -> Option<(ContentType, Vec<u8>)> {
    let name = name.collect::<Vec<_>>().join("/");
    let file = guards.proof_of_work.as_ref()?.file(&name)?;
    let kind = file.content_type().parse().ok()?;
    Some((kind, file.content().to_vec()))
}

#[derive(FromForm)]
struct SignupForm<'r> {
    email: String,
    #[field(default = String::new())]
    name: String,
    age: AgeField,
    files: Vec<TempFile<'r>>,
}

/// A field for the age. `Option<u8>` would accept an invalid age as a missing one.
#[derive(Default)]
struct AgeField(Age);

impl<'v> FromFormField<'v> for AgeField {
    fn from_value(field: ValueField<'v>) -> form::Result<'v, Self> {
        Ok(Self(field.value.parse()?))
    }

    fn default() -> Option<Self> {
        Some(Default::default())
    }
}

// Urlencoded, and multipart with files.
#[post("/signup", rank = 2, data = "<form>")]
async fn signup_form(form: HumanForm<SignupForm<'_>>) -> std::io::Result<(ContentType, String)> {
    let form = form.into_inner();
    let mut files = Vec::new();
    for file in &form.files {
        let content = match file {
            TempFile::File { path, .. } => tokio::fs::read(path).await?,
            TempFile::Buffered { content } => content.to_vec(),
        };
        files.push(FileEcho::new(
            file.raw_name()
                .map(|name| name.dangerous_unsafe_unsanitized_raw().as_str()),
            &content,
        ));
    }
    let signup = Signup {
        email: form.email,
        name: form.name,
        age: form.age.0,
    };
    Ok((ContentType::JSON, signed_up(&signup, &files)))
}

#[post("/signup", format = "json", data = "<body>")]
fn signup_json(body: HumanJson<Signup>) -> (ContentType, String) {
    (ContentType::JSON, signed_up(&body.into_inner(), &[]))
}

// The token is in the header, so the body has the application's fields only.
#[post("/comments", data = "<comment>")]
fn comment(_human: &Human, comment: Json<Comment>) -> (ContentType, String) {
    (ContentType::JSON, commented(&comment.into_inner()))
}
