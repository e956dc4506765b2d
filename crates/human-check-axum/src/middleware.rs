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

use crate::error::respond;
use crate::{Head, body};

type ErrorHandler = Arc<dyn Fn(Rejection) -> Response + Send + Sync>;

/// Lets a request through to routes only if their policy does.
///
/// Put it on with [`route_layer`](axum::Router::route_layer) after the routes: `layer` would also ask
/// about requests that match no route. A fallback is no route, and neither it nor a route that is
/// added afterwards is guarded. All methods are. By itself it reads the token from the header and
/// never touches the body.
///
/// Handlers behind it can take [`Human`](crate::Human) without asking a second time, and the
/// extractors behind it use its guard instead of the state's.
#[derive(Clone)]
pub struct HumanLayer {
    guard: Guard,
    reads_bodies: bool,
    error_handler: ErrorHandler,
}

impl HumanLayer {
    /// A layer for the routes of `guard`.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            reads_bodies: false,
            error_handler: Arc::new(respond),
        }
    }

    /// Finds the token in forms, JSON and multipart bodies, too.
    ///
    /// Bodies are then held in memory, up to the guard's limits, and handed on byte for byte. For
    /// handlers that cannot be changed; [`HumanForm`](crate::HumanForm) parses once and leaves the
    /// token of a bad form unspent.
    #[must_use]
    pub fn with_body_reading(mut self) -> Self {
        self.reads_bodies = true;
        self
    }

    /// Sets how a refusal is turned into a response.
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

/// What [`HumanLayer`] makes of a service.
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
        // The one that was polled ready is the one to call.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            match screen(&layer, request).await {
                Ok(request) => Ok(inner.call(request).await?.into_response()),
                Err(refused) => Ok((layer.error_handler)(refused)),
            }
        })
    }
}

async fn screen(layer: &HumanLayer, request: Request) -> Result<Request, Rejection> {
    let (parts, body) = request.into_parts();
    let guarded = GuardedRequest::new(layer.guard.snapshot(), &Head(&parts));
    let guard = guarded.guard().clone();
    let earlier = parts.extensions.get::<Decision>().cloned();
    let mut request = Request::from_parts(parts, body);
    let mut tokens = SubmittedTokens::none();
    if layer.reads_bodies {
        (request, tokens) = body::buffered(&guarded, request).await?;
    }
    let decision = guarded.decide(tokens, earlier.as_ref()).await;
    let _let_in: Visitor = decision.clone().require()?;
    request.extensions_mut().insert(decision);
    request.extensions_mut().insert(guard);
    Ok(request)
}
