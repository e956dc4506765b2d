use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use human_check_guard::{
    DenialReason, FromDecision, Guard, Inspected, Rejection, SubmittedTokens, TokenFields,
    WithToken, extracting,
};
use rocket::data::{Data, FromData, Limits, Outcome, ToByteUnit};
use rocket::form::{Form, FromForm};
use rocket::http::Status;
use rocket::serde::Deserialize;
use rocket::serde::json;
use rocket::{Ignite, Request, Rocket, Sentinel};
use serde_json::error::Category;

use crate::local::Local;
use crate::request_guard::is_forgotten;
use crate::tap_form::TapForm;
use crate::{Head, Human, HumanError};

human_check_guard::checked_types! {
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

/// A request's guard, and what it saw of the head.
struct Checking<'r, 'i> {
    request: &'r Request<'i>,
    guard: Guard,
    inspected: Inspected,
}

impl<'r, 'i> Checking<'r, 'i> {
    fn of(request: &'r Request<'i>) -> Option<Self> {
        let guard = Local::guard(request)?;
        let inspected = guard.inspect(&Head(request));
        Some(Self {
            request,
            guard,
            inspected,
        })
    }

    /// Refuses a body that announces more than `cap`.
    fn measure(&self, cap: usize) -> Result<(), Rejection> {
        let length = self.request.headers().get_one("content-length");
        let length = length.and_then(|length| length.parse::<u64>().ok());
        match length {
            Some(length) if length > cap as u64 => {
                Err(self.inspected.refuse(DenialReason::BodyTooLarge))
            }
            _ => Ok(()),
        }
    }

    /// Reads and builds the application's type behind the tap.
    async fn parse<F: Future>(
        &self,
        fields: &Arc<TokenFields>,
        deadline: Duration,
        parse: impl FnOnce() -> F,
    ) -> Result<F::Output, Rejection> {
        let parsing = extracting(Arc::clone(fields), parse);
        let parsed = tokio::time::timeout(deadline, parsing).await;
        parsed.map_err(|_| self.inspected.refuse(DenialReason::BodyTooSlow))
    }

    async fn decide<D: FromDecision>(self, tokens: SubmittedTokens) -> Result<D, Rejection> {
        let earlier = Local::earlier(self.request, &self.guard);
        self.inspected
            .with_tokens(tokens)
            .decide_after(earlier)
            .await
            .require()
    }
}

#[rocket::async_trait]
impl<'r, T: FromForm<'r>, D: FromDecision> FromData<'r> for HumanForm<T, D> {
    type Error = HumanError<rocket::form::Errors<'r>>;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        let Some(checking) = Checking::of(request) else {
            return Outcome::Error(HumanError::unconfigured());
        };
        let limits = checking.guard.body_limits();
        let is_upload = request
            .content_type()
            .is_some_and(|kind| kind.is_form_data());
        let (cap, deadline) = match is_upload {
            true => (limits.max_upload_bytes, limits.upload_timeout),
            false => (limits.max_body_bytes, limits.body_timeout),
        };
        if let Err(refused) = checking.measure(cap) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let fields = Arc::clone(checking.guard.fields());
        let parsing = || Form::<TapForm<T>>::from_data(request, data);
        let tapped = match checking.parse(&fields, deadline, parsing).await {
            Ok(Outcome::Success(form)) => form.into_inner(),
            Ok(Outcome::Error((status, errors))) => {
                return Outcome::Error((status, HumanError::Inner(errors)));
            }
            Ok(Outcome::Forward(forward)) => return Outcome::Forward(forward),
            Err(refused) => return Outcome::Error(HumanError::refused(request, refused)),
        };
        match checking.decide(tapped.tokens).await {
            Ok(proof) => Outcome::Success(Self {
                value: tapped.inner,
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
        let Some(checking) = Checking::of(request) else {
            return Outcome::Error(HumanError::unconfigured());
        };
        let limits = checking.guard.body_limits();
        if let Err(refused) = checking.measure(limits.max_body_bytes) {
            return Outcome::Error(HumanError::refused(request, refused));
        }
        let fields = Arc::clone(checking.guard.fields());
        let parsing = || parse_json::<WithToken<T>>(request, data, limits.max_body_bytes);
        let tapped = match checking.parse(&fields, limits.body_timeout, parsing).await {
            Ok(Ok(tapped)) => tapped,
            Ok(Err(error)) => return Outcome::Error((status(&error), HumanError::Inner(error))),
            Err(refused) => return Outcome::Error(HumanError::refused(request, refused)),
        };
        match checking.decide(tapped.tokens).await {
            Ok(proof) => Outcome::Success(Self {
                value: tapped.inner,
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
