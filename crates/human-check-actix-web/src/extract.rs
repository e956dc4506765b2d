use std::ops::{Deref, DerefMut};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_multipart::form::{MultipartCollect, MultipartForm};
use actix_web::dev::{Extensions, Payload};
use actix_web::error::ErrorBadRequest;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use futures_core::future::LocalBoxFuture;
use futures_util::FutureExt;
use futures_util::future::Shared;
use human_check_guard::integration::{
    BodyKind, Decision, FormWithToken, FromDecision, GuardedRequest, SubmittedTokens, WithToken,
};
use human_check_guard::{Guard, Visitor};
use serde::de::DeserializeOwned;

use crate::body::{self, Reading};
use crate::clearance_middleware::keep_cookie;
use crate::error::{HumanError, refuse};
use crate::multipart::MultipartWithToken;
use crate::{Head, Human, MaybeHuman};

/// Returns the guard for this request: the nearest one in `app_data`, bare or in [`web::Data`], or
/// else the guard of the middleware that the request passed.
///
/// actix-web finds the nearest value of each of the two types. It does not tell which of the two is
/// nearer, so two different guards are an error.
fn guard_of(request: &HttpRequest) -> Result<Guard, Error> {
    let bare = request.app_data::<Guard>();
    let shared = request.app_data::<web::Data<Guard>>().map(|data| &***data);
    let problem = match (bare, shared) {
        (Some(bare), Some(shared)) if !bare.ptr_eq(shared) => {
            "a route has one guard bare and another in web::Data; register both in the same way"
        }
        (Some(guard), _) | (None, Some(guard)) => return Ok(guard.snapshot()),
        (None, None) => match request.extensions().get::<Guard>() {
            Some(guard) => return Ok(guard.snapshot()),
            None => {
                "a route demands a human and has no guard; add `.app_data(guard.clone())` to the \
                 App, scope or resource"
            }
        },
    };
    tracing::error!(target: "human_check_guard", "{problem}");
    Err(HumanError::Unconfigured.into())
}

/// Returns the decision by the header that another extractor of the handler makes at the same time,
/// or else the decision of an earlier guard.
async fn concurrent_or_earlier(request: &HttpRequest, guard: &Guard) -> Option<Decision> {
    let concurrent = find_decision(&request.extensions(), guard);
    match concurrent {
        Some(decision) => Some(decision.await),
        None => earlier(request),
    }
}

/// Returns the decision of an earlier guard about this request, such as that of a middleware.
pub(crate) fn earlier(request: &HttpRequest) -> Option<Decision> {
    request.extensions().get::<Decision>().cloned()
}

/// A decision that several extractors can await.
type SharedDecision = Shared<LocalBoxFuture<'static, Decision>>;

/// The decisions by the token in the header, one for each guard.
///
/// actix-web starts all extractors of a handler at once. The second one finds no finished decision,
/// so it must find the future of the first one.
#[derive(Default)]
struct Decisions(Vec<(Guard, SharedDecision)>);

/// Returns the decision by the header that this guard has started, if there is one.
fn find_decision(extensions: &Extensions, guard: &Guard) -> Option<SharedDecision> {
    let Decisions(known) = extensions.get()?;
    let (_, decision) = known.iter().find(|(other, _)| other.ptr_eq(guard))?;
    Some(decision.clone())
}

/// Returns the decision by the header, and starts it if this guard has not done so for this
/// request.
fn decide_by_header(request: &HttpRequest, guard: &Guard) -> SharedDecision {
    let mut extensions = request.extensions_mut();
    if extensions.get::<Decisions>().is_none() {
        extensions.insert(Decisions::default());
    }
    if let Some(decision) = find_decision(&extensions, guard) {
        return decision;
    }
    let pending = guard
        .inspect(&Head(request))
        .with_tokens(SubmittedTokens::none());
    let earlier = extensions.get::<Decision>().cloned();
    let decision = async move { pending.decide_after(earlier.as_ref()).await };
    let decision = decision.boxed_local().shared();
    if let Some(Decisions(known)) = extensions.get_mut::<Decisions>() {
        known.push((guard.clone(), decision.clone()));
    }
    decision
}

/// Decides by the token in the header, and returns what the handler demands.
fn from_head<D: FromDecision>(
    request: &HttpRequest,
    payload: &mut Payload,
) -> LocalBoxFuture<'static, Result<D, Error>> {
    let guard = match guard_of(request) {
        Ok(guard) => guard,
        Err(error) => return Box::pin(async { Err(error) }),
    };
    let decision = decide_by_header(request, &guard);
    let body = body::Shared::of(payload);
    let request = request.clone();
    Box::pin(async move {
        let decision = decision.await;
        keep_cookie(&request, &decision);
        request.extensions_mut().insert(decision.clone());
        let refused = match decision.require() {
            Ok(demanded) => return Ok(demanded),
            Err(refused) => refused,
        };
        if let Some(body) = body {
            let limit = BodyKind::Unknown.limit(guard.body_limits());
            body.read_ahead(&request, limit).await;
        }
        Err(refuse(&request, refused))
    })
}

/// Verifies the token in the header. Several proofs in one handler verify it once.
///
/// The handler's other extractors read the body. actix-web runs all of them at once, so the token
/// may be used up although another extractor rejects the body. Where the token is in a form or in
/// JSON, take a [`HumanForm`] or [`HumanJson`], which verify it last.
impl FromRequest for Human {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        from_head(request, payload)
    }
}

/// Verifies the token in the header, as [`Human`] does, and accepts every visitor that the route's
/// policy lets through.
impl FromRequest for MaybeHuman {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        from_head(request, payload)
    }
}

/// An extractor of actix-web that builds the application's type and separates the tokens from it.
///
/// Applications do not need it. It is implemented for the extractors behind [`HumanForm`],
/// [`HumanJson`], [`HumanQuery`] and [`HumanMultipart`].
pub trait TokenCarrier: FromRequest {
    /// The application's type.
    type Value: 'static;

    /// The kind of body that the extractor reads. `None` if it does not read the body.
    const BODY: Option<BodyKind>;

    /// Returns the application's value, and the tokens that were beside it.
    fn split(self) -> (Self::Value, SubmittedTokens);
}

macro_rules! carriers {
    ($($extractor:ident $with_token:ident $body:expr;)*) => {$(
        impl<T: DeserializeOwned + 'static> TokenCarrier for web::$extractor<$with_token<T>> {
            type Value = T;

            const BODY: Option<BodyKind> = $body;

            fn split(self) -> (T, SubmittedTokens) {
                let $with_token { inner, tokens } = self.into_inner();
                (inner, tokens)
            }
        }
    )*};
}

carriers! {
    Form FormWithToken Some(BodyKind::Form);
    Json WithToken Some(BodyKind::Json);
    Query FormWithToken None;
}

impl<T: MultipartCollect + 'static> TokenCarrier for MultipartForm<MultipartWithToken<T>> {
    type Value = T;

    const BODY: Option<BodyKind> = Some(BodyKind::Multipart);

    fn split(self) -> (T, SubmittedTokens) {
        let MultipartWithToken { inner, tokens } = self.into_inner();
        (inner, tokens)
    }
}

/// A value of the request, without the token, and the proof that the token was verified.
///
/// Take it as [`HumanForm`], [`HumanJson`], [`HumanQuery`] or [`HumanMultipart`], and take only one
/// of them in a handler, because each verifies the token. It derefs to the value.
///
/// The value's type `T` needs no field for the token, and may refuse unknown fields. The extractor
/// parses first and verifies last: if a request is not a `T`, the error handler of the framework's
/// own extractor responds, and the token stays unused. A token in the header is accepted, too.
///
/// `D` is what the handler demands: [`Human`] by default, or [`Visitor`](crate::Visitor) or
/// [`MaybeHuman`] on routes that let unverified visitors through.
#[derive(Debug)]
pub struct Extracted<C: TokenCarrier, D = Human> {
    value: C::Value,
    proof: D,
}

/// A urlencoded form whose token was verified. It parses as [`web::Form`], and verifies the token
/// last.
///
/// ```
/// use human_check_actix_web::HumanForm;
///
/// #[derive(serde::Deserialize)]
/// struct Signup {
///     email: String, // the token needs no field
/// }
///
/// // Runs for verified humans only.
/// async fn signup(form: HumanForm<Signup>) -> String {
///     format!("welcome, {}", form.email)
/// }
/// ```
///
/// See [`Extracted`] for its methods and its second parameter.
pub type HumanForm<T, D = Human> = Extracted<web::Form<FormWithToken<T>>, D>;

/// A JSON body whose token was verified. It parses as [`web::Json`], and verifies the token last.
///
/// The token is a member at the top of the object, under the name of the provider's form field.
/// [`GuardBuilder::with_json_member`](crate::guard::GuardBuilder::with_json_member) adds another
/// place.
///
/// ```
/// use human_check_actix_web::HumanJson;
///
/// #[derive(serde::Deserialize)]
/// struct Comment {
///     text: String,
/// }
///
/// // {"text": "hello", "cf-turnstile-response": "TOKEN"}
/// async fn comment(comment: HumanJson<Comment>) -> String {
///     comment.into_inner().text
/// }
/// ```
///
/// See [`Extracted`] for its methods and its second parameter.
pub type HumanJson<T, D = Human> = Extracted<web::Json<WithToken<T>>, D>;

/// A query string whose token was verified. It parses as [`web::Query`], and verifies the token
/// last.
///
/// Use it for links only, which can send no body: a token in a URL ends up in logs and referrers.
///
/// See [`Extracted`] for its methods and its second parameter.
pub type HumanQuery<T, D = Human> = Extracted<web::Query<FormWithToken<T>>, D>;

/// A multipart form whose token was verified. It parses as [`MultipartForm`](struct@MultipartForm), and verifies the
/// token last.
///
/// Files are written to disk before the check, because the token may come after them. For large
/// files send the token in the header, and take a [`Human`] beside actix-web's own extractor.
///
/// See [`Extracted`] for its methods and its second parameter.
pub type HumanMultipart<T, D = Human> = Extracted<MultipartForm<MultipartWithToken<T>>, D>;

impl<C: TokenCarrier, D> Extracted<C, D> {
    /// Returns the proof that the handler demands, for example a [`Human`].
    pub fn proof(&self) -> &D {
        &self.proof
    }

    /// Returns the value, and drops the proof.
    pub fn into_inner(self) -> C::Value {
        self.value
    }

    /// Returns the value and the proof.
    pub fn into_parts(self) -> (C::Value, D) {
        (self.value, self.proof)
    }
}

impl<C: TokenCarrier, D> Deref for Extracted<C, D> {
    type Target = C::Value;

    fn deref(&self) -> &C::Value {
        &self.value
    }
}

impl<C: TokenCarrier, D> DerefMut for Extracted<C, D> {
    fn deref_mut(&mut self) -> &mut C::Value {
        &mut self.value
    }
}

/// Ends in an error of status 400 where `parsing` panics.
///
/// A debug build of actix-multipart panics on a part with an empty name, which a client can send.
/// Without this the client would get no response.
async fn without_panics<T, E: Into<Error>>(
    parsing: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match AssertUnwindSafe(parsing).catch_unwind().await {
        Ok(parsed) => parsed.map_err(Into::into),
        Err(_) => Err(ErrorBadRequest("the body cannot be read")),
    }
}

impl<C, D> FromRequest for Extracted<C, D>
where
    C: TokenCarrier + 'static,
    C::Error: Into<Error>,
    D: FromDecision,
{
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let guard = match guard_of(request) {
            Ok(guard) => guard,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let mut guarded = GuardedRequest::new(guard, &Head(request));
        let mut payload = match C::BODY {
            Some(_) => payload.take(),
            None => Payload::None,
        };
        let request = request.clone();
        Box::pin(async move {
            let refused = |refused| refuse(&request, refused);
            // A client without a good token must not make the server hold its upload.
            if C::BODY == Some(BodyKind::Multipart) && guarded.decides_by_header() {
                let by_header = decide_by_header(&request, guarded.guard()).await;
                let visitor: Result<Visitor, _> = by_header.require();
                if let Err(denied) = visitor {
                    body::close_if_chunked(&request, payload);
                    return Err(refused(denied));
                }
            }
            let limit = C::BODY.map(|kind| kind.limit(guarded.guard().body_limits()));
            let (mut limited, reading) = match limit {
                None => (payload, Reading::none(&guarded)),
                Some(limit) => {
                    body::limited(&request, &guarded, &mut payload, limit).map_err(refused)?
                }
            };
            if C::BODY == Some(BodyKind::Form)
                && let Some(limit) = limit
            {
                limited = body::keep_form(&request, &mut guarded, limited, limit)
                    .await
                    .map_err(refused)?;
            }
            let parsing = guarded.extracting(|| C::from_request(&request, &mut limited));
            let parsing = without_panics(parsing);
            let timeout = limit.map_or(Duration::MAX, |limit| limit.timeout);
            let parsed = guarded.in_time(tokio::time::timeout(timeout, parsing).await);
            let (value, tokens) = match parsed {
                Ok(Ok(parsed)) => parsed.split(),
                Ok(Err(error)) => {
                    body::close_if_chunked(&request, reading.clone());
                    return Err(match reading.exceeded() {
                        Some(denial) => refused(guarded.refuse(denial)),
                        None => error,
                    });
                }
                Err(too_slow) => {
                    reading.close_connection();
                    return Err(refused(too_slow));
                }
            };
            let earlier = concurrent_or_earlier(&request, guarded.guard()).await;
            let decision = guarded.decide(tokens, earlier.as_ref()).await;
            keep_cookie(&request, &decision);
            match decision.require() {
                Ok(proof) => Ok(Self { value, proof }),
                Err(denied) => Err(refused(denied)),
            }
        })
    }
}
