use axum::extract::Request;
use axum::routing::{MethodRouter, get};
use human_check_guard::ChallengeEndpoint;

use crate::Head;
use crate::error::send;

/// Creates the route from which pages fetch challenges. It handles GET, and responds as
/// [`ChallengeEndpoint`] describes.
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
/// use axum::Router;
/// use human_check_axum::{challenge_route, guard::ChallengeEndpoint};
///
/// let endpoint = challenge_route(ChallengeEndpoint::new(issuer).with_action("signup"));
/// let app: Router = Router::new().route("/human-check-altcha/challenge", endpoint);
/// ```
pub fn challenge_route<S: Clone + Send + Sync + 'static>(
    endpoint: ChallengeEndpoint,
) -> MethodRouter<S> {
    get(async move |request: Request| {
        let (parts, _) = request.into_parts();
        let pending = endpoint.prepare(&Head(&parts));
        send(pending.respond().await)
    })
}
