//! `POST /signup`, as a form, JSON or multipart with files.

use axum::extract::FromRef;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use example_pages::{Age, FileEcho, Signup, signed_up};
use human_check_axum::guard::Guard;
use human_check_axum::{HumanBody, HumanForm, HumanJson};

/// The fields and files of a sign-up, from any of the three kinds of body.
pub(crate) struct Sent {
    signup: Signup,
    files: Vec<FileEcho>,
}

/// `POST /signup`.
pub(crate) async fn signup(sent: Checked) -> impl IntoResponse {
    let Checked(Sent { signup, files }) = sent;
    (
        [(CONTENT_TYPE, "application/json")],
        signed_up(&signup, &files),
    )
}

/// An extractor of [`Sent`] that refuses the request unless the guard accepts the visitor.
pub(crate) struct Checked(Sent);

impl<S: Send + Sync> FromRequest<S> for Checked
where
    Guard: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let plain = |signup| Sent {
            signup,
            files: Vec::new(),
        };
        let sent = if essence.eq_ignore_ascii_case("application/json") {
            let json = HumanJson::<Signup>::from_request(request, state).await;
            plain(json.map_err(IntoResponse::into_response)?.into_inner())
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            // The parts are read before the check, so that an invalid form leaves the token unused.
            let parts = HumanBody::<Sent>::from_request(request, state).await;
            parts.map_err(IntoResponse::into_response)?.into_inner()
        } else {
            let form = HumanForm::<Signup>::from_request(request, state).await;
            plain(form.map_err(IntoResponse::into_response)?.into_inner())
        };
        Ok(Self(sent))
    }
}

/// Reads the parts one by one, because axum has no typed multipart extractor.
impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let parts = Multipart::from_request(request, state).await;
        let mut parts = parts.map_err(IntoResponse::into_response)?;
        let broken = |error: MultipartError| error.into_response();
        let (mut email, mut name, mut age) = (None, String::new(), Age::default());
        let mut files = Vec::new();
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            match part.name() {
                Some("email") => email = Some(part.text().await.map_err(broken)?),
                Some("name") => name = part.text().await.map_err(broken)?,
                Some("age") => {
                    let text = part.text().await.map_err(broken)?;
                    age = text
                        .parse()
                        .map_err(|_| invalid("age is not a number from 0 to 255"))?;
                }
                Some("files") => {
                    let file_name = part.file_name().map(str::to_owned);
                    let content = part.bytes().await.map_err(broken)?;
                    files.push(FileEcho::new(file_name.as_deref(), &content));
                }
                _ => {}
            }
        }
        let email = email.ok_or_else(|| invalid("email is missing"))?;
        let signup = Signup { email, name, age };
        Ok(Self { signup, files })
    }
}

/// The response to a form with an invalid field.
fn invalid(why: &'static str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, why).into_response()
}
