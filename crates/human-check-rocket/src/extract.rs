use std::io;

use human_check_guard::integration::{
    BodyKind, BodyLimit, FromDecision, GuardedRequest, HeldBody, WithToken,
};
use human_check_guard::{DenialReason, Rejection};
use rocket::data::{Data, FromData, Limits, Outcome, ToByteUnit};
use rocket::form::{Form, FromForm};
use rocket::http::Status;
use rocket::request::{self, FromRequest};
use rocket::serde::Deserialize;
use rocket::serde::json;
use rocket::{Ignite, Request, Rocket, Sentinel};
use serde_json::error::Category;
use tokio::time::timeout;

use crate::form_with_token::FormWithToken;
use crate::local::Local;
use crate::request_guard::has_no_guard;
use crate::{Head, Human, HumanError};

human_check_guard::integration::checked_types! {
    /// A form, urlencoded or multipart, without the token, and the proof that the token was
    /// verified.
    ///
    /// It parses as [`Form`] first and verifies last: a form that is not a `T` is an error as by
    /// [`Form`], and the token stays unused. A body of another content type forwards. `T` needs no
    /// field for the token, and may be [`Strict`](rocket::form::Strict) and have files. A token in
    /// the header is accepted, too. It derefs to `T`.
    ///
    /// With [`Contextual`](rocket::form::Contextual) every form parses, so an invalid form uses up
    /// the token, too.
    ///
    /// `D` is what the handler demands: [`Human`] by default, or [`Visitor`](crate::Visitor) or
    /// [`MaybeHuman`](crate::MaybeHuman) on routes that let unverified visitors through.
    ///
    /// Rocket's limits `form` and `data-form` apply. The guard's limit on the size applies to a
    /// body that states a `Content-Length`, and its timeout to every body.
    ///
    /// ```
    /// use human_check_rocket::HumanForm;
    /// use rocket::{FromForm, post};
    ///
    /// #[derive(FromForm)]
    /// struct Signup {
    ///     email: String, // the token needs no field
    /// }
    ///
    /// // Runs for verified humans only.
    /// #[post("/signup", data = "<form>")]
    /// fn signup(form: HumanForm<Signup>) -> String {
    ///     format!("welcome, {}", form.email)
    /// }
    /// # fn main() {}
    /// ```
    HumanForm

    /// A JSON body, without the token, and the proof that the token was verified.
    ///
    /// It works as [`HumanForm`], and parses as [`Json`](json::Json). The smaller one of Rocket's
    /// limit `json` and the guard's limit applies. The token is a member at the top of the object,
    /// under the name of the provider's form field.
    /// [`GuardBuilder::with_json_member`](crate::guard::GuardBuilder::with_json_member) adds
    /// another place.
    ///
    /// ```
    /// use human_check_rocket::HumanJson;
    /// use rocket::post;
    /// use rocket::serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// #[serde(crate = "rocket::serde")]
    /// struct Comment {
    ///     text: String,
    /// }
    ///
    /// // {"text": "hello", "cf-turnstile-response": "TOKEN"}
    /// #[post("/comments", data = "<comment>")]
    /// fn comment(comment: HumanJson<Comment>) -> String {
    ///     comment.into_inner().text
    /// }
    /// # fn main() {}
    /// ```
    HumanJson
}

/// The proof that the token in the query of a GET was verified.
///
/// Use it for requests that can have neither a body nor a header, such as those of web sockets and
/// event streams: a token in a URL ends up in logs. The token and the offer are under the names of
/// their form fields. Other parameters are parsed by the route.
///
/// ```
/// use human_check_rocket::HumanQuery;
/// use rocket::get;
/// use rocket::response::stream::TextStream;
///
/// // GET /news?topic=rust&cf-turnstile-response=TOKEN
/// #[get("/news?<topic>")]
/// fn news(_human: HumanQuery, topic: String) -> TextStream![String] {
///     TextStream! { yield format!("news about {topic}") }
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct HumanQuery<D = Human> {
    proof: D,
}

impl<D> HumanQuery<D> {
    /// Returns the proof that the handler demands, for example a [`Human`].
    pub fn proof(&self) -> &D {
        &self.proof
    }

    /// Consumes the value and returns the proof.
    pub fn into_proof(self) -> D {
        self.proof
    }
}

#[rocket::async_trait]
impl<'r, D: FromDecision> FromRequest<'r> for HumanQuery<D> {
    type Error = HumanError;

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, HumanError> {
        let Some(guarded) = guarded(request) else {
            return request::Outcome::Error(HumanError::unconfigured());
        };
        match Local::by_query(request, guarded).await.clone().require() {
            Ok(proof) => request::Outcome::Success(Self { proof }),
            Err(refused) => request::Outcome::Error(HumanError::refused(request, refused)),
        }
    }
}

impl<D> Sentinel for HumanQuery<D> {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        has_no_guard(rocket)
    }
}

macro_rules! sentinels {
    ($($name:ident)*) => {$(
        impl<T, D> Sentinel for $name<T, D> {
            fn abort(rocket: &Rocket<Ignite>) -> bool {
                has_no_guard(rocket)
            }
        }
    )*};
}

sentinels!(HumanForm HumanJson);

/// Creates the guarded request. `None` if the request has no guard.
fn guarded(request: &Request<'_>) -> Option<GuardedRequest> {
    Some(GuardedRequest::new(Local::guard(request)?, &Head(request)))
}

/// Returns the `Content-Length` of a request. `None` if it is absent or invalid, or if the body is
/// chunked, which makes it longer or shorter than the header says.
fn content_length(request: &Request<'_>) -> Option<u64> {
    let mut headers = request.headers().iter();
    if headers.any(|header| header.name() == "transfer-encoding") {
        return None;
    }
    let mut headers = request.headers().iter();
    let length = headers.find(|header| header.name() == "content-length")?;
    length.value().parse().ok()
}

/// Takes the body from the budget of bodies. Rocket reads bodies itself, so the length that the
/// client states counts as held. A body without a stated length may be as long as the limit.
fn hold(length: Option<u64>, guarded: &GuardedRequest, limit: BodyLimit) -> Result<(), Rejection> {
    let length = length.map_or(limit.max_bytes, |length| {
        usize::try_from(length).unwrap_or(usize::MAX)
    });
    match length <= HeldBody::FREE || guarded.held_body().receive(length) {
        true => Ok(()),
        false => Err(guarded.refuse(DenialReason::TooManyUploads)),
    }
}

#[rocket::async_trait]
impl<'r, T: FromForm<'r>, D: FromDecision> FromData<'r> for HumanForm<T, D> {
    type Error = HumanError<rocket::form::Errors<'r>>;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        let Some(mut guarded) = guarded(request) else {
            return Outcome::Error(HumanError::unconfigured());
        };
        let kind = request.content_type().map(ToString::to_string);
        let kind = BodyKind::of(&kind.unwrap_or_default());
        let limit = kind.limit(guarded.guard().body_limits());
        let length = content_length(request);
        if let Err(refused) = guarded.admit(length, limit) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        if let Err(refused) = hold(length, &guarded, limit) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let earlier = Local::earlier(request, guarded.guard());
        if kind == BodyKind::Multipart
            && let Err(refused) = guarded.judge_header(earlier).await
        {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let parsing = guarded.extracting(|| Form::<FormWithToken<T>>::from_data(request, data));
        let form = match guarded.in_time(timeout(limit.timeout, parsing).await) {
            Ok(Outcome::Success(form)) => form.into_inner(),
            Ok(Outcome::Error((status, errors))) => {
                return Outcome::Error((status, HumanError::Inner(errors)));
            }
            Ok(Outcome::Forward(forward)) => return Outcome::Forward(forward),
            Err(refused) => return Outcome::Error(HumanError::refused(request, refused)),
        };
        if kind == BodyKind::Form
            && let Some(kept) = form.kept
        {
            guarded.keep_form_fields(kept);
        }
        let decision = guarded.decide(form.tokens, earlier).await;
        Local::of(request).keep_cookie(&decision);
        match decision.require() {
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
        let length = content_length(request);
        if let Err(refused) = guarded.admit(length, limit) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        if let Err(refused) = hold(length, &guarded, limit) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let parsing =
            guarded.extracting(|| parse_json::<WithToken<T>>(request, data, limit.max_bytes));
        let body = match guarded.in_time(timeout(limit.timeout, parsing).await) {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Outcome::Error((status(&error), HumanError::Inner(error))),
            Err(refused) => return Outcome::Error(HumanError::refused(request, refused)),
        };
        let earlier = Local::earlier(request, guarded.guard());
        let decision = guarded.decide(body.tokens, earlier).await;
        Local::of(request).keep_cookie(&decision);
        match decision.require() {
            Ok(proof) => Outcome::Success(Self {
                value: body.inner,
                proof,
            }),
            Err(refused) => Outcome::Error(HumanError::refused(request, refused)),
        }
    }
}

/// The text of a JSON body. It is stored with the request, so that values can borrow from it.
struct Text(String);

/// Parses a JSON body as Rocket's own `Json` does, with the limit of the guard as well.
async fn parse_json<'r, T: Deserialize<'r>>(
    request: &'r Request<'_>,
    data: Data<'r>,
    max_bytes: usize,
) -> Result<T, json::Error<'r>> {
    let limit = request.limits().get("json").unwrap_or(Limits::JSON);
    let text = data.open(limit.min(max_bytes.bytes())).into_string().await;
    let text = text.map_err(json::Error::Io)?;
    if !text.is_complete() {
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "data limit exceeded");
        return Err(json::Error::Io(error));
    }
    let Text(text) = request.local_cache(|| Text(text.into_inner()));
    serde_json::from_str(text).map_err(|error| json::Error::Parse(text, error))
}

/// Returns the status of a JSON error, the same as that of Rocket's own `Json`.
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
