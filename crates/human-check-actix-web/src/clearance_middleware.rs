use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::{Error, HttpMessage, HttpRequest};
use futures_core::future::LocalBoxFuture;
use human_check_guard::integration::Decision;

/// Sends the clearance that an extractor issued, as a cookie of the response.
///
/// Wrap it around routes with the extractors of this crate whose policy [issues
/// clearances](crate::RoutePolicy::with_issued_clearance). A
/// [`HumanMiddleware`](crate::HumanMiddleware) sends the clearances of its own decisions by itself.
///
/// ```
/// use actix_web::{App, web};
/// use human_check_actix_web::{ClearanceMiddleware, Guard, Human, RoutePolicy};
/// use std::time::Duration;
///
/// async fn signup(_: Human) -> &'static str {
///     "welcome"
/// }
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let policy = RoutePolicy::fail_closed("signup").with_issued_clearance(Duration::from_secs(600));
/// let guard = Guard::new(turnstile, policy)?;
/// let app = App::new()
///     .wrap(ClearanceMiddleware::new())
///     .app_data(guard)
///     .route("/signup", web::post().to(signup));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ClearanceMiddleware(());

impl ClearanceMiddleware {
    /// Creates the middleware.
    pub fn new() -> Self {
        Self(())
    }
}

/// The cookie that an extractor left for the middleware around it.
struct IssuedCookie(String);

/// Keeps the cookie that a decision issues, for the middleware around the route.
pub(crate) fn keep_cookie(request: &HttpRequest, decision: &Decision) {
    if let Some(cookie) = decision.set_cookie() {
        request
            .extensions_mut()
            .insert(IssuedCookie(cookie.to_owned()));
    }
}

/// Adds the cookie that was kept with the request of a response, once.
pub(crate) fn send_cookie<B>(response: &mut ServiceResponse<B>) {
    let kept = response.request().extensions_mut().remove::<IssuedCookie>();
    if let Some(IssuedCookie(cookie)) = kept
        && let Ok(cookie) = HeaderValue::from_str(&cookie)
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

impl<S, B> Transform<S, ServiceRequest> for ClearanceMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = ClearanceService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(ClearanceService { service }))
    }
}

/// The service that [`ClearanceMiddleware`] wraps around another one.
#[derive(Debug)]
pub struct ClearanceService<S> {
    service: S,
}

impl<S, B> Service<ServiceRequest> for ClearanceService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let response = self.service.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            send_cookie(&mut response);
            Ok(response)
        })
    }
}
