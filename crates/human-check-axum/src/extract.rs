use axum::extract::{FromRef, FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::Method;
use axum::http::request::Parts;
use axum::{Form, Json};
use human_check_guard::integration::{
    BodyKind, Decision, FromDecision, GuardedRequest, SubmittedTokens, WithToken,
};
use human_check_guard::{DenialReason, Guard};
use serde::de::DeserializeOwned;

use crate::body;
use crate::{Head, Human, HumanError, MaybeHuman};

/// The guard for this request: the nearest `Extension<Guard>`, else the state's.
fn guard_of<S>(parts: &Parts, state: &S) -> Guard
where
    Guard: FromRef<S>,
{
    let nearest = parts.extensions.get::<Guard>();
    nearest.map_or_else(|| Guard::from_ref(state).snapshot(), Guard::snapshot)
}

async fn from_parts<D: FromDecision, S>(parts: &mut Parts, state: &S) -> Result<D, HumanError>
where
    Guard: FromRef<S>,
{
    let guard = guard_of(parts, state);
    let pending = guard
        .inspect(&Head(parts))
        .with_tokens(SubmittedTokens::none());
    let earlier = parts.extensions.get::<Decision>().cloned();
    let decision = pending.decide_after(earlier.as_ref()).await;
    parts.extensions.insert(decision.clone());
    Ok(decision.require()?)
}

macro_rules! from_parts {
    ($($extractor:ident)*) => {$(
        /// By the token in the header. Two of them in one handler ask once.
        impl<S: Send + Sync> FromRequestParts<S> for $extractor
        where
            Guard: FromRef<S>,
        {
            type Rejection = HumanError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HumanError> {
                from_parts(parts, state).await
            }
        }
    )*};
}

from_parts!(Human MaybeHuman);

/// `None` only when no token was sent; a bad one refuses.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Human
where
    Guard: FromRef<S>,
{
    type Rejection = HumanError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        match from_parts::<Self, S>(parts, state).await {
            Ok(human) => Ok(Some(human)),
            Err(HumanError::Rejected(refused))
                if refused.reason() == DenialReason::ChallengeRequired =>
            {
                Ok(None)
            }
            Err(refused) => Err(refused),
        }
    }
}

human_check_guard::integration::checked_types! {
    /// A urlencoded form whose token was checked, without the token.
    ///
    /// `T` needs no field for it. A form that is no `T` is rejected as by [`Form`], and leaves
    /// the token unspent. `D` is what the handler demands: [`Human`], or [`MaybeHuman`] on routes
    /// that let some in without proof.
    HumanForm

    /// A JSON body whose token was checked, without the token.
    ///
    /// As [`HumanForm`] for [`Json`]. The token is a member at the top, or where the guard was told.
    HumanJson

    /// Any extractor of a whole body behind a check of the token in that body.
    ///
    /// The body is read into memory up to the guard's limits, the token is found in it (urlencoded,
    /// JSON or multipart, by content type), and the inner extractor gets every byte as it came. If it
    /// rejects the body, its own rejection is answered and the token is left unspent. One that reads
    /// only later, such as [`Multipart`](axum::extract::Multipart), sees the body after the check.
    ///
    /// For uploads that should not be held in memory send the token in the header and take a
    /// [`Human`].
    HumanBody
}

macro_rules! body {
    ($($name:ident($inner:ident))*) => {$(
        impl<S, T, D> FromRequest<S> for $name<T, D>
        where
            S: Send + Sync,
            Guard: FromRef<S>,
            T: DeserializeOwned + Send,
            D: FromDecision,
        {
            type Rejection = HumanError<<$inner<T> as FromRequest<S>>::Rejection>;

            async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
                let (parts, body) = request.into_parts();
                if !may_carry_a_body(&parts) {
                    return Err(HumanError::NoBody);
                }
                let guarded = GuardedRequest::new(guard_of(&parts, state), &Head(&parts));
                let limit = BodyKind::$inner.limit(guarded.guard().body_limits());
                let body = body::capped(&guarded, body, limit)?;
                let earlier = parts.extensions.get::<Decision>().cloned();
                let request = Request::from_parts(parts, body);
                let parsing =
                    guarded.extracting(|| $inner::<WithToken<T>>::from_request(request, state));
                let timeout = tokio::time::sleep(limit.timeout);
                let $inner(parsed) = guarded
                    .parse(timeout, parsing)
                    .await?
                    .map_err(HumanError::Inner)?;
                Ok(Self {
                    proof: guarded.require(parsed.tokens, earlier.as_ref()).await?,
                    value: parsed.inner,
                })
            }
        }
    )*};
}

body!(HumanForm(Form) HumanJson(Json));

/// A form on GET would be read from the query string, and with it a token that anybody can link to.
fn may_carry_a_body(parts: &Parts) -> bool {
    !matches!(parts.method, Method::GET | Method::HEAD)
}

/// A multipart form whose token was checked.
/// Its parts come after the check, the token's among them.
pub type HumanMultipart<D = Human> = HumanBody<axum::extract::Multipart, D>;

impl<S, E, D> FromRequest<S> for HumanBody<E, D>
where
    S: Send + Sync,
    Guard: FromRef<S>,
    E: FromRequest<S> + Send,
    D: FromDecision,
{
    type Rejection = HumanError<E::Rejection>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let earlier = parts.extensions.get::<Decision>().cloned();
        let guarded = GuardedRequest::new(guard_of(&parts, state), &Head(&parts));
        let (request, tokens) = body::buffered(&guarded, Request::from_parts(parts, body)).await?;
        let value = E::from_request(request, state)
            .await
            .map_err(HumanError::Inner)?;
        Ok(Self {
            proof: guarded.require(tokens, earlier.as_ref()).await?,
            value,
        })
    }
}
