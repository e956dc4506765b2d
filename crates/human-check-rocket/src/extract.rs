use std::io;

use human_check_guard::integration::{BodyKind, FromDecision, GuardedRequest, WithToken};
use rocket::data::{Data, FromData, Limits, Outcome, ToByteUnit};
use rocket::form::{Form, FromForm};
use rocket::http::Status;
use rocket::serde::Deserialize;
use rocket::serde::json;
use rocket::{Ignite, Request, Rocket, Sentinel};
use serde_json::error::Category;
use tokio::time::sleep;

use crate::form_with_token::FormWithToken;
use crate::local::Local;
use crate::request_guard::is_forgotten;
use crate::{Head, Human, HumanError};

human_check_guard::integration::checked_types! {
    /// A form whose token was checked, without the token. Urlencoded or multipart, files included.
    ///
    /// `T` needs no field for it and may be [`Strict`](rocket::form::Strict). A form that is no
    /// `T` errors as by [`Form`], and leaves the token unspent; one of another content type
    /// forwards. With [`Contextual`](rocket::form::Contextual), which is there for every form, the
    /// token is spent on bad ones, too. `D` is what the handler demands: [`Human`], or
    /// [`MaybeHuman`](crate::MaybeHuman) on routes that let some in without proof.
    ///
    /// Rocket's limits `form` and `data-form` hold, and the guard's for bodies that announce
    /// their length.
    HumanForm

    /// A JSON body whose token was checked, without the token.
    ///
    /// As [`HumanForm`] for [`Json`](json::Json): the smaller of Rocket's limit `json` and the
    /// guard's holds. The token is a member at the top, or where the guard was told.
    HumanJson
}

macro_rules! sentinels {
    ($($name:ident)*) => {$(
        impl<T, D> Sentinel for $name<T, D> {
            fn abort(rocket: &Rocket<Ignite>) -> bool {
                is_forgotten(rocket)
            }
        }
    )*};
}

sentinels!(HumanForm HumanJson);

/// The request on its way through its guard, if it has one.
fn guarded(request: &Request<'_>) -> Option<GuardedRequest> {
    Some(GuardedRequest::new(Local::guard(request)?, &Head(request)))
}

/// What the request says its body measures. `None` when it does not say.
fn announced(request: &Request<'_>) -> Option<u64> {
    request.headers().get_one("content-length")?.parse().ok()
}

#[rocket::async_trait]
impl<'r, T: FromForm<'r>, D: FromDecision> FromData<'r> for HumanForm<T, D> {
    type Error = HumanError<rocket::form::Errors<'r>>;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        let Some(guarded) = guarded(request) else {
            return Outcome::Error(HumanError::unconfigured());
        };
        let kind = request.content_type().map(ToString::to_string);
        let kind = BodyKind::of(&kind.unwrap_or_default());
        let limit = kind.limit(guarded.guard().body_limits());
        if let Err(refused) = guarded.admit(announced(request), limit) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let parsing = guarded.extracting(|| Form::<FormWithToken<T>>::from_data(request, data));
        let form = match guarded.parse(sleep(limit.timeout), parsing).await {
            Ok(Outcome::Success(form)) => form.into_inner(),
            Ok(Outcome::Error((status, errors))) => {
                return Outcome::Error((status, HumanError::Inner(errors)));
            }
            Ok(Outcome::Forward(forward)) => return Outcome::Forward(forward),
            Err(refused) => return Outcome::Error(HumanError::refused(request, refused)),
        };
        let earlier = Local::earlier(request, guarded.guard());
        match guarded.require(form.tokens, earlier).await {
            Ok(proof) => Outcome::Success(Self {
                value: form.inner,
                proof,
            }),
            Err(refused) => Outcome::Error(HumanError::refused(request, refused)),
        }
    }
}

#[rocket::async_trait]
impl<'r, T: Deserialize<'r> + Send, D: FromDecision> FromData<'r> for HumanJson<T, D> {
    type Error = HumanError<json::Error<'r>>;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        let Some(guarded) = guarded(request) else {
            return Outcome::Error(HumanError::unconfigured());
        };
        let limit = BodyKind::Json.limit(guarded.guard().body_limits());
        if let Err(refused) = guarded.admit(announced(request), limit) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let parsing =
            guarded.extracting(|| parse_json::<WithToken<T>>(request, data, limit.max_bytes));
        let body = match guarded.parse(sleep(limit.timeout), parsing).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Outcome::Error((status(&error), HumanError::Inner(error))),
            Err(refused) => return Outcome::Error(HumanError::refused(request, refused)),
        };
        let earlier = Local::earlier(request, guarded.guard());
        match guarded.require(body.tokens, earlier).await {
            Ok(proof) => Outcome::Success(Self {
                value: body.inner,
                proof,
            }),
            Err(refused) => Outcome::Error(HumanError::refused(request, refused)),
        }
    }
}

/// The text of a JSON body, kept with the request so that values can borrow from it.
struct Text(String);

async fn parse_json<'r, T: Deserialize<'r>>(
    request: &'r Request<'_>,
    data: Data<'r>,
    cap: usize,
) -> Result<T, json::Error<'r>> {
    let limit = request.limits().get("json").unwrap_or(Limits::JSON);
    let text = data.open(limit.min(cap.bytes())).into_string().await;
    let text = text.map_err(json::Error::Io)?;
    if !text.is_complete() {
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "data limit exceeded");
        return Err(json::Error::Io(error));
    }
    let Text(text) = request.local_cache(|| Text(text.into_inner()));
    serde_json::from_str(text).map_err(|error| json::Error::Parse(text, error))
}

/// As Rocket's own `Json` tokens.
fn status(error: &json::Error<'_>) -> Status {
    match error {
        json::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Status::PayloadTooLarge
        }
        json::Error::Parse(_, error) if error.classify() == Category::Data => {
            Status::UnprocessableEntity
        }
        _ => Status::BadRequest,
    }
}
