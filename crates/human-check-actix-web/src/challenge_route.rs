use actix_web::{HttpRequest, Route, web};
use human_check_guard::ChallengeEndpoint;

use crate::Head;
use crate::error::send;

/// Creates the route from which pages fetch challenges. It handles GET, and responds as
/// [`ChallengeEndpoint`] describes.
///
/// Create the [`ChallengeEndpoint`] outside of the closure of `HttpServer::new`, which runs once
/// for each worker. Otherwise each worker counts challenges on its own.
///
/// ```
/// # use human_check_core::{Challenge, ChallengeIssuer, ChallengeRequest, CheckError, Provider};
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # #[derive(Debug)] struct Issuer;
/// # #[human_check_core::adapter::async_trait] impl ChallengeIssuer for Issuer {
/// #     fn provider(&self) -> &Provider { &ACME }
/// #     async fn issue(&self, _: &ChallengeRequest) -> Result<Challenge, CheckError> {
/// #         Ok(Challenge::new("{}"))
/// #     }
/// # }
/// # let issuer = Issuer;
/// use actix_web::App;
/// use human_check_actix_web::{challenge_route, guard::ChallengeEndpoint};
///
/// let signup = ChallengeEndpoint::new(issuer).with_action("signup");
/// let app = App::new().route("/human-check-altcha/challenge", challenge_route(signup.clone()));
/// ```
pub fn challenge_route(endpoint: ChallengeEndpoint) -> Route {
    web::get().to(move |request: HttpRequest| {
        let pending = endpoint.prepare(&Head(&request));
        async move { send(&pending.respond().await) }
    })
}
