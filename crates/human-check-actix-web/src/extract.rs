use std::ops::{Deref, DerefMut};
use std::time::Duration;

use actix_multipart::form::{MultipartCollect, MultipartForm};
use actix_web::dev::{Extensions, Payload};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use futures_core::future::LocalBoxFuture;
use futures_util::FutureExt;
use futures_util::future::Shared;
use human_check_guard::integration::{
    BodyKind, Decision, FromDecision, GuardedRequest, SubmittedTokens, WithToken,
};
use human_check_guard::{DenialReason, Guard};
use serde::de::DeserializeOwned;

use crate::body::{self, Exceeded};
use crate::error::{HumanError, refuse};
use crate::multipart::MultipartWithToken;
use crate::{Head, Human, MaybeHuman};

/// The guard for this request: of the nearest `app_data`, bare or in [`web::Data`], or else of a
/// middleware that it came through.
///
/// actix-web looks for each of the two types by itself, so which of two is nearer cannot be told.
fn guard_of(request: &HttpRequest) -> Result<Guard, Error> {
    let bare = request.app_data::<Guard>();
    let shared = request.app_data::<web::Data<Guard>>().map(|data| &***data);
    let complaint = match (bare, shared) {
        (Some(bare), Some(shared)) if !bare.ptr_eq(shared) => {
            "a route has one guard bare and another in web::Data; register both in the same way"
        }
        (Some(guard), _) | (None, Some(guard)) => return Ok(guard.snapshot()),
        (None, None) => match request.extensions().get::<Guard>() {
            Some(guard) => return Ok(guard.snapshot()),
            None => {
                "a route wants a human and has no guard; add `.app_data(guard.clone())` to the App, scope or resource"
            }
        },
    };
    tracing::error!(target: "human_check_guard", "{complaint}");
    Err(HumanError::Unconfigured.into())
}

/// What was decided by a guard ahead of this one, or is being decided beside it.
async fn earlier_or_beside(request: &HttpRequest, guard: &Guard) -> Option<Decision> {
    let beside = under_way(&request.extensions(), guard);
    match beside {
        Some(deciding) => Some(deciding.await),
        None => earlier(request),
    }
}

pub(crate) fn earlier(request: &HttpRequest) -> Option<Decision> {
    request.extensions().get::<Decision>().cloned()
}

type Deciding = Shared<LocalBoxFuture<'static, Decision>>;

/// The decisions by the header that are under way or made, one for each guard.
///
/// actix-web starts all extractors of a handler before the first has an answer, so it is the
/// question that has to be found, and not its answer.
#[derive(Default)]
struct Decisions(Vec<(Guard, Deciding)>);

fn under_way(extensions: &Extensions, guard: &Guard) -> Option<Deciding> {
    let Decisions(known) = extensions.get()?;
    let (_, deciding) = known.iter().find(|(other, _)| other.ptr_eq(guard))?;
    Some(deciding.clone())
}

/// Decides by the header, unless that is under way for this request.
fn deciding(request: &HttpRequest, guard: &Guard) -> Deciding {
    let mut extensions = request.extensions_mut();
    if extensions.get::<Decisions>().is_none() {
        extensions.insert(Decisions::default());
    }
    if let Some(deciding) = under_way(&extensions, guard) {
        return deciding;
    }
    let pending = guard
        .inspect(&Head(request))
        .with_tokens(SubmittedTokens::none());
    let earlier = extensions.get::<Decision>().cloned();
    let deciding = async move { pending.decide_after(earlier.as_ref()).await };
    let deciding = deciding.boxed_local().shared();
    if let Some(Decisions(known)) = extensions.get_mut::<Decisions>() {
        known.push((guard.clone(), deciding.clone()));
    }
    deciding
}

fn from_head<D: FromDecision>(
    request: &HttpRequest,
    payload: &mut Payload,
) -> LocalBoxFuture<'static, Result<D, Error>> {
    let guard = match guard_of(request) {
        Ok(guard) => guard,
        Err(error) => return Box::pin(async { Err(error) }),
    };
    let deciding = deciding(request, &guard);
    let body = body::Shared::of(payload);
    let request = request.clone();
    Box::pin(async move {
        let decision = deciding.await;
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

/// By the token in the header. Several of them in one handler ask once.
///
/// The body is left to the handler's other extractors. actix-web runs all of them at once, so a
/// body that one of them rejects may still cost the visitor the token: where the token arrives
/// with a form or JSON, [`HumanForm`] and [`HumanJson`] check it last.
impl FromRequest for Human {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        from_head(request, payload)
    }
}

/// As [`Human`], for whomever the route's policy lets in.
impl FromRequest for MaybeHuman {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        from_head(request, payload)
    }
}

/// An extractor of actix-web that builds the application's type behind a tap for the token.
pub trait TokenCarrier: FromRequest {
    /// The application's type.
    type Value: 'static;

    /// Which kind of body is read. `None` where the body is not read.
    const BODY: Option<BodyKind>;

    /// The application's value, and the tokens that stood beside it.
    fn split(self) -> (Self::Value, SubmittedTokens);
}

macro_rules! carriers {
    ($($extractor:ident)*) => {$(
        impl<T: DeserializeOwned + 'static> TokenCarrier for web::$extractor<WithToken<T>> {
            type Value = T;

            const BODY: Option<BodyKind> = Some(BodyKind::$extractor);

            fn split(self) -> (T, SubmittedTokens) {
                let WithToken { inner, tokens } = self.into_inner();
                (inner, tokens)
            }
        }
    )*};
}

carriers!(Form Json);

impl<T: DeserializeOwned + 'static> TokenCarrier for web::Query<WithToken<T>> {
    type Value = T;

    const BODY: Option<BodyKind> = None;

    fn split(self) -> (T, SubmittedTokens) {
        let WithToken { inner, tokens } = self.into_inner();
        (inner, tokens)
    }
}

impl<T: MultipartCollect + 'static> TokenCarrier for MultipartForm<MultipartWithToken<T>> {
    type Value = T;

    const BODY: Option<BodyKind> = Some(BodyKind::Multipart);

    fn split(self) -> (T, SubmittedTokens) {
        let MultipartWithToken { inner, tokens } = self.into_inner();
        (inner, tokens)
    }
}

/// What was sent, without the token that was checked.
///
/// Comes as [`HumanForm`], [`HumanJson`], [`HumanQuery`] and [`HumanMultipart`]. `T` needs no
/// field for the token. What is no `T` is answered by the error handler of the framework's own
/// extractor, and leaves the token unspent. Take one of them in a handler: each asks. `D` is what the handler demands: [`Human`], or
/// [`MaybeHuman`] on routes that let some in without proof.
#[derive(Debug)]
pub struct Extracted<C: TokenCarrier, D = Human> {
    value: C::Value,
    proof: D,
}

/// A urlencoded form whose token was checked.
pub type HumanForm<T, D = Human> = Extracted<web::Form<WithToken<T>>, D>;

/// A JSON body whose token was checked. It is a member at the top, or where the guard was told.
pub type HumanJson<T, D = Human> = Extracted<web::Json<WithToken<T>>, D>;

/// A query string whose token was checked.
///
/// Tokens in addresses end up in logs and referrers. For links, and wherever else nothing but an
/// address can be sent.
pub type HumanQuery<T, D = Human> = Extracted<web::Query<WithToken<T>>, D>;

/// A multipart form whose token was checked.
///
/// Files are written to disk before the check, since the token may stand behind them. For large
/// ones send the token in the header and take a [`Human`].
pub type HumanMultipart<T, D = Human> = Extracted<MultipartForm<MultipartWithToken<T>>, D>;

impl<C: TokenCarrier, D> Extracted<C, D> {
    /// What the handler demanded of the check.
    pub fn proof(&self) -> &D {
        &self.proof
    }

    /// What was sent.
    pub fn into_inner(self) -> C::Value {
        self.value
    }

    /// Both.
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
        let guarded = GuardedRequest::new(guard, &Head(request));
        let limit = C::BODY.map(|kind| kind.limit(guarded.guard().body_limits()));
        let timeout = limit.map_or(Duration::MAX, |limit| limit.timeout);
        let (parsing, exceeded) = match limit {
            None => {
                let parsing = guarded.extracting(|| C::from_request(request, payload));
                (parsing, Exceeded::default())
            }
            Some(limit) => match body::capped(request, &guarded, payload, limit) {
                Ok((mut capped, exceeded)) => {
                    let parsing = guarded.extracting(|| C::from_request(request, &mut capped));
                    (parsing, exceeded)
                }
                Err(refused) => {
                    let error = refuse(request, refused);
                    return Box::pin(async { Err(error) });
                }
            },
        };
        let request = request.clone();
        Box::pin(async move {
            let parsed = guarded.parse(tokio::time::sleep(timeout), parsing).await;
            let (value, tokens) = match parsed {
                Ok(Ok(parsed)) => parsed.split(),
                Ok(Err(_)) if exceeded.is_true() => {
                    return Err(refuse(&request, guarded.refuse(DenialReason::BodyTooLarge)));
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(refused) => return Err(refuse(&request, refused)),
            };
            let earlier = earlier_or_beside(&request, guarded.guard()).await;
            match guarded.require(tokens, earlier.as_ref()).await {
                Ok(proof) => Ok(Self { value, proof }),
                Err(refused) => Err(refuse(&request, refused)),
            }
        })
    }
}
