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

use crate::body::{buffered, capped, drain, is_encoded};
use crate::extract::earlier;
use crate::{Head, HumanError};

type ErrorHandler = Arc<dyn Fn(Rejection, &HttpRequest) -> HttpResponse + Send + Sync>;

/// Lets a request through to a scope, resource or route only if the guard's policy does.
///
/// Guards every method. By itself it reads the token from the header and never touches the body.
/// On a scope it also runs for paths in it that do not exist; on a `Route` only for what matches.
///
/// Handlers behind it can take [`Human`](crate::Human) without asking a second time if the same
/// guard is registered with `app_data`, or none. Another one there is asked, too, and most providers
/// take a token only once.
#[derive(Clone)]
pub struct HumanMiddleware {
    guard: Guard,
    reads_bodies: bool,
    error_handler: Option<ErrorHandler>,
}

impl HumanMiddleware {
    /// A middleware for the routes of `guard`.
    ///
    /// Build the guard outside of the closure of `HttpServer::new`, which runs once per worker.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            reads_bodies: false,
            error_handler: None,
        }
    }

    /// Finds the token in urlencoded forms and JSON, too.
    ///
    /// Bodies are then held in memory, up to the guard's limit, and handed on byte for byte. A
    /// compressed or multipart one is not looked into. For handlers that cannot be changed;
    /// [`HumanForm`](crate::HumanForm) parses once and leaves the token of a bad form unspent.
    #[must_use]
    pub fn with_body_reading(mut self) -> Self {
        self.reads_bodies = true;
        self
    }

    /// Sets how a refusal is turned into a response.
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

/// What [`HumanMiddleware`] makes of a service.
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
                    Ok(service.call(request).await?.map_into_left_body())
                }
                // Not `Err`: middleware around this one would then not see a response.
                Err(refused) => {
                    let response = middleware.respond(refused, request.request());
                    Ok(request.into_response(response).map_into_right_body())
                }
            }
        })
    }
}

async fn screen(
    middleware: &HumanMiddleware,
    guard: &Guard,
    request: &mut ServiceRequest,
) -> Result<(), Rejection> {
    let guarded = GuardedRequest::new(guard.clone(), &Head(request.request()));
    let tokens = match middleware.reads_bodies {
        true => scan_body(&guarded, request).await?,
        false => SubmittedTokens::none(),
    };
    let earlier = earlier(request.request());
    let decision = guarded.decide(tokens, earlier.as_ref()).await;
    request.extensions_mut().insert(decision.clone());
    let let_in: Result<Visitor, _> = decision.require();
    if let Err(refused) = let_in {
        let body = request.take_payload();
        let limit = BodyKind::Unknown.limit(guard.body_limits());
        drain(request.request(), body, limit).await;
        return Err(refused);
    }
    Ok(())
}

async fn scan_body(
    guarded: &GuardedRequest,
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
    let (payload, _) = capped(head, guarded, payload, limit)?;
    let body = buffered(payload, guarded, limit).await?;
    let tokens = scan(guarded.guard().fields(), &body);
    request.set_payload(Payload::from(body));
    Ok(tokens)
}
