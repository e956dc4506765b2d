use std::fmt;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use futures_core::future::LocalBoxFuture;
use human_check_guard::integration::{BodyKind, GuardedRequest, SubmittedTokens, scan};
use human_check_guard::{Guard, Rejection, Visitor};

use crate::body::{buffered, drain, is_encoded, limited};
use crate::clearance_middleware::{keep_cookie, send_cookie};
use crate::extract::earlier;
use crate::{Head, HumanError};

type ErrorHandler = Arc<dyn Fn(Rejection, &HttpRequest) -> HttpResponse + Send + Sync>;

/// Guards a scope, a resource or a route whose handlers stay as they are.
///
/// It lets a request through if the guard's policy does, and refuses all others. It guards every
/// method, GET and OPTIONS too. By default it reads the token from the header and does not touch
/// the body; see [`with_body_reading`](Self::with_body_reading). On a scope it also runs for paths
/// that do not exist, on a `Route` for matching requests only.
///
/// Handlers behind it can take a [`Human`](crate::Human). The token is not verified a second time
/// if `app_data` holds the same guard or none. With another guard in `app_data` the token is
/// verified again, and most providers accept a token once.
///
/// ```
/// use actix_web::{App, web};
/// use human_check_actix_web::{Guard, HumanMiddleware, RoutePolicy};
///
/// async fn comment() -> &'static str {
///     "posted"
/// }
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// // Outside of the closure of `HttpServer::new`, which runs once for each worker.
/// let guard = Guard::new(turnstile, RoutePolicy::fail_closed("comments"))?;
/// let app = App::new().service(
///     web::scope("/api")
///         .wrap(HumanMiddleware::new(guard).with_body_reading())
///         .route("/comments", web::post().to(comment)),
/// );
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct HumanMiddleware {
    guard: Guard,
    reads_bodies: bool,
    error_handler: Option<ErrorHandler>,
}

impl HumanMiddleware {
    /// Creates a middleware for the routes of `guard`.
    ///
    /// Build the guard outside of the closure of `HttpServer::new`, which runs once for each
    /// worker.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            reads_bodies: false,
            error_handler: None,
        }
    }

    /// Makes the middleware find the token in urlencoded forms and JSON, too. Default: header only.
    ///
    /// The middleware holds such a body in memory, up to the guard's limit, and passes every byte
    /// on. It does not search compressed and multipart bodies. Use it for handlers that cannot be
    /// changed: [`HumanForm`](crate::HumanForm) parses the body once, and leaves the token of an
    /// invalid form unused.
    #[must_use]
    pub fn with_body_reading(mut self) -> Self {
        self.reads_bodies = true;
        self
    }

    /// Sets the function that makes the response to a refusal. Default: the guard's own response,
    /// see [`Rejection::response`].
    #[must_use]
    pub fn with_error_handler(
        mut self,
        handler: impl Fn(Rejection, &HttpRequest) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.error_handler = Some(Arc::new(handler));
        self
    }

    fn respond(&self, refused: Rejection, request: &HttpRequest) -> HttpResponse {
        match &self.error_handler {
            Some(handler) => handler(refused, request),
            None => HttpResponse::from_error(HumanError::Rejected(refused)),
        }
    }
}

impl fmt::Debug for HumanMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HumanMiddleware")
            .field("guard", &self.guard)
            .field("reads_bodies", &self.reads_bodies)
            .finish_non_exhaustive()
    }
}

impl<S, B> Transform<S, ServiceRequest> for HumanMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = HumanService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(HumanService {
            service: Rc::new(service),
            middleware: self.clone(),
        }))
    }
}

/// The service that [`HumanMiddleware`] wraps around another one.
#[derive(Debug)]
pub struct HumanService<S> {
    service: Rc<S>,
    middleware: HumanMiddleware,
}

impl<S, B> Service<ServiceRequest> for HumanService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let service = Rc::clone(&self.service);
        let middleware = self.middleware.clone();
        Box::pin(async move {
            let guard = middleware.guard.snapshot();
            match screen(&middleware, &guard, &mut request).await {
                Ok(()) => {
                    request.extensions_mut().insert(guard);
                    let mut response = service.call(request).await?;
                    send_cookie(&mut response);
                    Ok(response.map_into_left_body())
                }
                // Not `Err`, because middleware around this one would not see a response then.
                Err(refused) => {
                    let response = middleware.respond(refused, request.request());
                    Ok(request.into_response(response).map_into_right_body())
                }
            }
        })
    }
}

/// Decides about a request, and keeps the decision with it for the extractors behind the
/// middleware.
async fn screen(
    middleware: &HumanMiddleware,
    guard: &Guard,
    request: &mut ServiceRequest,
) -> Result<(), Rejection> {
    let mut guarded = GuardedRequest::new(guard.clone(), &Head(request.request()));
    let tokens = match middleware.reads_bodies {
        true => scan_body(&mut guarded, request).await?,
        false => SubmittedTokens::none(),
    };
    let earlier = earlier(request.request());
    let decision = guarded.decide(tokens, earlier.as_ref()).await;
    keep_cookie(request.request(), &decision);
    request.extensions_mut().insert(decision.clone());
    let visitor: Result<Visitor, _> = decision.require();
    if let Err(refused) = visitor {
        let body = request.take_payload();
        let limit = BodyKind::Unknown.limit(guard.body_limits());
        drain(request.request(), body, limit).await;
        return Err(refused);
    }
    Ok(())
}

/// Reads a form or JSON body, puts it back, and returns its tokens.
async fn scan_body(
    guarded: &mut GuardedRequest,
    request: &mut ServiceRequest,
) -> Result<SubmittedTokens, Rejection> {
    let kind = BodyKind::of(request.content_type());
    let scan = match kind {
        _ if is_encoded(request.request()) => return Ok(SubmittedTokens::none()),
        BodyKind::Form => scan::form,
        BodyKind::Json => scan::json,
        _ => return Ok(SubmittedTokens::none()),
    };
    let limit = kind.limit(guarded.guard().body_limits());
    let (head, payload) = request.parts_mut();
    let (payload, _) = limited(head, guarded, payload, limit)?;
    let body = buffered(payload, guarded, limit).await?;
    if kind == BodyKind::Form {
        guarded.keep_form_body(&body);
    }
    let tokens = scan(guarded.guard().fields(), &body);
    request.set_payload(Payload::from(body));
    Ok(tokens)
}
