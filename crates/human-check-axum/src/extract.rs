use axum::extract::{
    FromRef, FromRequest, FromRequestParts, OptionalFromRequestParts, Query, Request,
};
use axum::http::Method;
use axum::http::request::Parts;
use axum::{Form, Json};
use human_check_guard::integration::{
    BodyKind, Decision, FormWithToken, FromDecision, GuardedRequest, SubmittedTokens, WithToken,
};
use human_check_guard::{DenialReason, Guard};
use serde::de::DeserializeOwned;

use crate::body;
use crate::clearance_layer::IssuedCookie;
use crate::{Head, Human, HumanError, MaybeHuman};

/// Returns the guard for this request: the nearest `Extension<Guard>`, or else the guard of the
/// state.
fn guard_of<S>(parts: &Parts, state: &S) -> Guard
where
    Guard: FromRef<S>,
{
    let nearest = parts.extensions.get::<Guard>();
    nearest.map_or_else(|| Guard::from_ref(state).snapshot(), Guard::snapshot)
}

/// Decides by the token in the header, and returns what the handler demands.
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
    IssuedCookie::keep(IssuedCookie::of(&parts.extensions), &decision);
    parts.extensions.insert(decision.clone());
    Ok(decision.require()?)
}

macro_rules! from_parts {
    ($($extractor:ident)*) => {$(
        /// Verifies the token in the header. Several proofs in one handler verify it once.
        ///
        /// It needs a guard: the state must be a [`Guard`], or `Guard` must implement `FromRef` for
        /// the type of the state.
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

/// Verifies the token in the header, if there is one. `None` if the request has no token of an
/// accepted provider. An invalid token is refused.
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
    /// A urlencoded form, without the token, and the proof that the token was verified.
    ///
    /// It parses as [`Form`] first and verifies last: a form that is not a `T` is rejected as by
    /// [`Form`], and the token stays unused. `T` needs no field for the token, and may refuse
    /// unknown fields. A token in the header is accepted, too. It derefs to `T`.
    ///
    /// `D` is what the handler demands: [`Human`] by default, or [`Visitor`](crate::Visitor) or
    /// [`MaybeHuman`] on routes that let unverified visitors through.
    ///
    /// ```
    /// use human_check_axum::HumanForm;
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
    HumanForm

    /// A JSON body, without the token, and the proof that the token was verified.
    ///
    /// It works as [`HumanForm`], and parses as [`Json`]. The token is a member at the top of the
    /// object, under the name of the provider's form field.
    /// [`GuardBuilder::with_json_member`](crate::guard::GuardBuilder::with_json_member) adds
    /// another place.
    ///
    /// ```
    /// use human_check_axum::HumanJson;
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
    HumanJson

    /// The query of a GET, without the token, and the proof that the token in it was verified.
    ///
    /// It parses as [`Query`] first and verifies last. Use it for requests that can have neither a
    /// body nor a header, such as those of web sockets and event streams: a token in a URL ends up in
    /// logs. The token and the offer are under the names of their form fields.
    ///
    /// ```
    /// use human_check_axum::HumanQuery;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Topic {
    ///     topic: String,
    /// }
    ///
    /// // GET /news?topic=rust&cf-turnstile-response=TOKEN
    /// async fn news(topic: HumanQuery<Topic>) -> String {
    ///     format!("news about {}", topic.topic)
    /// }
    /// ```
    HumanQuery

    /// Any extractor of a whole body, and the proof that the token in the body was verified.
    ///
    /// The guard reads the body into memory, up to its limits, and finds the token in it: in a
    /// urlencoded form, JSON or multipart, by the content type. The inner extractor gets every byte
    /// unchanged. If it rejects the body, its own rejection is the response, and the token stays
    /// unused. A token in the header of a multipart request is verified before the body is read. A
    /// body that cannot be read as its content type has no tokens, so a token in the header decides
    /// alone. An inner extractor that reads the body later, such as
    /// [`Multipart`](axum::extract::Multipart), reads it after the token was verified.
    ///
    /// For uploads that should not be in memory send the token in the header, and take a [`Human`].
    ///
    /// ```
    /// use axum::body::Bytes;
    /// use human_check_axum::HumanBody;
    ///
    /// async fn size(body: HumanBody<Bytes>) -> String {
    ///     format!("{} bytes", body.len())
    /// }
    /// ```
    HumanBody
}

macro_rules! body {
    ($($name:ident($inner:ident $with_token:ident))*) => {$(
        impl<S, T, D> FromRequest<S> for $name<T, D>
        where
            S: Send + Sync,
            Guard: FromRef<S>,
            T: DeserializeOwned + Send,
            D: FromDecision,
        {
            type Rejection = HumanError<<$inner<T> as FromRequest<S>>::Rejection>;

            async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
                let (mut parts, body) = request.into_parts();
                if BodyKind::$inner == BodyKind::Form {
                    body::normalize_content_type(&mut parts);
                }
                if !may_carry_a_body(&parts) {
                    return Err(HumanError::MethodNotAllowed);
                }
                let mut guarded = GuardedRequest::new(guard_of(&parts, state), &Head(&parts));
                let limit = BodyKind::$inner.limit(guarded.guard().body_limits());
                let mut body = body::limited(&guarded, body, limit)?;
                if BodyKind::$inner == BodyKind::Form {
                    body = body::keep_form(&mut guarded, body, limit).await?;
                }
                let cookie = IssuedCookie::of(&parts.extensions);
                let earlier = parts.extensions.get::<Decision>().cloned();
                let request = Request::from_parts(parts, body);
                let parsing =
                    guarded.extracting(|| $inner::<$with_token<T>>::from_request(request, state));
                let parsing = tokio::time::timeout(limit.timeout, parsing);
                let $inner(parsed) = match guarded.in_time(parsing.await)? {
                    Ok(parsed) => parsed,
                    Err(_) if guarded.held_body().is_refused() => {
                        return Err(guarded.refuse(DenialReason::TooManyUploads).into());
                    }
                    Err(error) => return Err(HumanError::Inner(error)),
                };
                let decision = guarded.decide(parsed.tokens, earlier.as_ref()).await;
                IssuedCookie::keep(cookie, &decision);
                Ok(Self {
                    proof: decision.require()?,
                    value: parsed.inner,
                })
            }
        }
    )*};
}

body!(HumanForm(Form FormWithToken) HumanJson(Json WithToken));

impl<S, T, D> FromRequestParts<S> for HumanQuery<T, D>
where
    S: Send + Sync,
    Guard: FromRef<S>,
    T: DeserializeOwned + Send,
    D: FromDecision,
{
    type Rejection = HumanError<<Query<T> as FromRequestParts<S>>::Rejection>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let guarded = GuardedRequest::new(guard_of(parts, state), &Head(parts));
        let parsing =
            guarded.extracting(|| Query::<FormWithToken<T>>::from_request_parts(parts, state));
        let Query(parsed) = parsing.await.map_err(HumanError::Inner)?;
        let earlier = parts.extensions.get::<Decision>().cloned();
        let decision = guarded.decide(parsed.tokens, earlier.as_ref()).await;
        IssuedCookie::keep(IssuedCookie::of(&parts.extensions), &decision);
        Ok(Self {
            proof: decision.require()?,
            value: parsed.inner,
        })
    }
}

/// Returns whether a request may have a body. On GET and HEAD axum reads a form from the query
/// string, and a link could hold a token.
fn may_carry_a_body(parts: &Parts) -> bool {
    !matches!(parts.method, Method::GET | Method::HEAD)
}

/// A multipart form whose token was verified. The handler then reads its parts, which include the
/// token's.
///
/// ```
/// use axum::extract::multipart::MultipartError;
/// use human_check_axum::HumanMultipart;
///
/// async fn count(form: HumanMultipart) -> Result<String, (axum::http::StatusCode, String)> {
///     let error = |error: MultipartError| (error.status(), error.body_text());
///     let mut parts = form.into_inner();
///     let mut count = 0;
///     while let Some(_part) = parts.next_field().await.map_err(error)? {
///         count += 1;
///     }
///     Ok(format!("{count} parts"))
/// }
/// ```
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
        let (mut parts, body) = request.into_parts();
        body::normalize_content_type(&mut parts);
        let cookie = IssuedCookie::of(&parts.extensions);
        let earlier = parts.extensions.get::<Decision>().cloned();
        let mut guarded = GuardedRequest::new(guard_of(&parts, state), &Head(&parts));
        let request = Request::from_parts(parts, body);
        let (request, tokens) = body::buffered(&mut guarded, request, earlier.as_ref()).await?;
        let value = E::from_request(request, state)
            .await
            .map_err(HumanError::Inner)?;
        let decision = guarded.decide(tokens, earlier.as_ref()).await;
        IssuedCookie::keep(cookie, &decision);
        Ok(Self {
            proof: decision.require()?,
            value,
        })
    }
}
