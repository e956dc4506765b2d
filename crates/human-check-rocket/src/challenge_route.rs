use human_check_guard::ChallengeEndpoint;
use rocket::http::Method;
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::Head;
use crate::catchers::send;

/// Creates the route from which pages fetch challenges. It handles GET at the path where it is
/// mounted, and responds as [`ChallengeEndpoint`] describes.
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
/// use human_check_rocket::{challenge_route, guard::ChallengeEndpoint};
///
/// let endpoint = challenge_route(ChallengeEndpoint::new(issuer).with_action("signup"));
/// let rocket = rocket::build().mount("/human-check-altcha/challenge", endpoint);
/// ```
pub fn challenge_route(endpoint: ChallengeEndpoint) -> Vec<Route> {
    vec![Route::new(Method::Get, "/", Endpoint(endpoint))]
}

#[derive(Clone)]
struct Endpoint(ChallengeEndpoint);

#[rocket::async_trait]
impl Handler for Endpoint {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let pending = self.0.prepare(&Head(request));
        Outcome::Success(send(pending.respond().await))
    }
}
