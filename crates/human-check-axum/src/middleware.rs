use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use human_check_guard::integration::{Decision, GuardedRequest, SubmittedTokens};
use human_check_guard::{Guard, Rejection, Visitor};
use tower_layer::Layer;
use tower_service::Service;

use crate::clearance_layer::send_cookie;
use crate::error::respond;
use crate::{Head, body};

type ErrorHandler = Arc<dyn Fn(Rejection) -> Response + Send + Sync>;

/// Guards routes whose handlers stay as they are.
///
/// It lets a request through if the guard's policy does, and refuses all others. Add it with
/// [`route_layer`](axum::Router::route_layer), after the routes: `layer` would also verify requests
/// that match no route. A fallback is not guarded, nor is a route that is added later. All methods
/// of a route are guarded, GET and OPTIONS too. By default the layer reads the token from the
/// header and does not touch the body; see [`with_body_reading`](Self::with_body_reading).
///
/// Handlers behind it can take a [`Human`](crate::Human); the token is not verified a second time.
/// The extractors behind it use its guard instead of the guard of the state.
///
/// ```
/// use axum::{Router, routing::post};
/// use human_check_axum::{Guard, HumanLayer, RoutePolicy};
///
/// async fn comment() -> &'static str {
///     "posted"
/// }
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let guard = Guard::new(turnstile, RoutePolicy::fail_closed("comments"))?;
/// let app: Router = Router::new()
///     .route("/comments", post(comment))
///     .route_layer(HumanLayer::new(guard).with_body_reading());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HumanLayer {
    guard: Guard,
    reads_bodies: bool,
    error_handler: ErrorHandler,
}

impl HumanLayer {
    /// Creates a layer for the routes of `guard`.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            reads_bodies: false,
            error_handler: Arc::new(respond),
        }
    }

    /// Makes the layer find the token in forms, JSON and multipart bodies, too. Default: header
    /// only.
    ///
    /// The layer holds the body in memory, up to the guard's limits, and passes every byte on. A body
    /// that cannot be read as its content type has no tokens, so a token in the header decides alone.
    /// Use
    /// it for handlers that cannot be changed: [`HumanForm`](crate::HumanForm) parses the body
    /// once, and leaves the token of an invalid form unused.
    #[must_use]
    pub fn with_body_reading(mut self) -> Self {
        self.reads_bodies = true;
        self
    }

    /// Sets the function that makes the response to a refusal. Default:
    /// [`respond`].
    #[must_use]
    pub fn with_error_handler(
        mut self,
        handler: impl Fn(Rejection) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.error_handler = Arc::new(handler);
        self
    }
}

impl fmt::Debug for HumanLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HumanLayer")
            .field("guard", &self.guard)
            .field("reads_bodies", &self.reads_bodies)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for HumanLayer {
    type Service = HumanService<S>;

    fn layer(&self, inner: S) -> HumanService<S> {
        HumanService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`HumanLayer`] wraps around another one.
#[derive(Clone, Debug)]
pub struct HumanService<S> {
    inner: S,
    layer: HumanLayer,
}

impl<S> Service<Request> for HumanService<S>
where
    S: Service<Request, Error = Infallible> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let layer = self.layer.clone();
        // The service that reported to be ready must be the one that is called, and not its clone.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            match screen(&layer, request).await {
                Ok((request, cookie)) => {
                    let mut response = inner.call(request).await?.into_response();
                    if let Some(cookie) = cookie {
                        send_cookie(&mut response, &cookie);
                    }
                    Ok(response)
                }
                Err(refused) => Ok((layer.error_handler)(refused)),
            }
        })
    }
}

/// Decides about a request, and keeps the decision and the guard with it for the extractors behind
/// the layer. Returns the cookie for the response, too, if the decision issues one.
async fn screen(
    layer: &HumanLayer,
    request: Request,
) -> Result<(Request, Option<String>), Rejection> {
    let (parts, body) = request.into_parts();
    let mut guarded = GuardedRequest::new(layer.guard.snapshot(), &Head(&parts));
    let guard = guarded.guard().clone();
    let earlier = parts.extensions.get::<Decision>().cloned();
    let mut request = Request::from_parts(parts, body);
    let mut tokens = SubmittedTokens::none();
    if layer.reads_bodies {
        (request, tokens) = body::buffered(&mut guarded, request, earlier.as_ref()).await?;
    }
    let decision = guarded.decide(tokens, earlier.as_ref()).await;
    let _visitor: Visitor = decision.clone().require()?;
    let cookie = decision.set_cookie().map(str::to_owned);
    request.extensions_mut().insert(decision);
    request.extensions_mut().insert(guard);
    Ok((request, cookie))
}
