use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::header::SET_COOKIE;
use axum::http::{Extensions, HeaderValue};
use axum::response::{IntoResponse, Response};
use human_check_guard::integration::Decision;
use tower_layer::Layer;
use tower_service::Service;

/// Sends the clearance that an extractor issued, as a cookie of the response.
///
/// Add it to routes with the extractors of this crate whose policy [issues
/// clearances](crate::RoutePolicy::with_issued_clearance). A
/// [`HumanLayer`](crate::HumanLayer) sends the clearances of its own decisions by itself.
///
/// ```
/// use axum::{Router, routing::post};
/// use human_check_axum::{ClearanceLayer, Guard, Human, RoutePolicy};
/// use std::time::Duration;
///
/// async fn signup(_: Human) {}
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let policy = RoutePolicy::fail_closed("signup").with_issued_clearance(Duration::from_secs(600));
/// let app: Router = Router::new()
///     .route("/signup", post(signup))
///     .layer(ClearanceLayer::new())
///     .with_state(Guard::new(turnstile, policy)?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ClearanceLayer(());

impl ClearanceLayer {
    /// Creates the layer.
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for ClearanceLayer {
    type Service = ClearanceService<S>;

    fn layer(&self, inner: S) -> ClearanceService<S> {
        ClearanceService { inner }
    }
}

/// The service that [`ClearanceLayer`] wraps around another one.
#[derive(Clone, Debug)]
pub struct ClearanceService<S> {
    inner: S,
}

/// The place in which an extractor leaves the cookie for the layer around it.
#[derive(Clone, Default)]
pub(crate) struct IssuedCookie(Arc<OnceLock<String>>);

impl IssuedCookie {
    /// Returns the place that the layer made for this request, if there is one.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// Keeps the cookie that a decision issues.
    pub(crate) fn keep(place: Option<Self>, decision: &Decision) {
        if let (Some(Self(place)), Some(cookie)) = (place, decision.set_cookie()) {
            let _ = place.set(cookie.to_owned());
        }
    }
}

/// Adds a cookie to a response.
pub(crate) fn send_cookie(response: &mut Response, cookie: &str) {
    // Several layers of one request share its decision, and with it the cookie.
    let sent = response.headers().get_all(SET_COOKIE);
    if sent.iter().any(|sent| sent == cookie) {
        return;
    }
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

impl<S> Service<Request> for ClearanceService<S>
where
    S: Service<Request> + Send,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let place = IssuedCookie::default();
        request.extensions_mut().insert(place.clone());
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await?.into_response();
            if let Some(cookie) = place.0.get() {
                send_cookie(&mut response, cookie);
            }
            Ok(response)
        })
    }
}
