use human_check_guard::Challenges;
use rocket::http::Method;
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::Head;
use crate::catchers::send;

/// The endpoint that hands challenges to pages: GET where it is mounted, answered as [`Challenges`]
/// says.
///
/// ```
/// # use human_check_core::{Challenge, ChallengeIssuer, ChallengeRequest, CheckError, Provider};
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # #[derive(Debug)] struct Issuer;
/// # #[human_check_core::async_trait] impl ChallengeIssuer for Issuer {
/// #     fn provider(&self) -> &Provider { &ACME }
/// #     async fn issue(&self, _: &ChallengeRequest) -> Result<Challenge, CheckError> {
/// #         Ok(Challenge::new("{}"))
/// #     }
/// # }
/// # let issuer = Issuer;
/// use human_check_rocket::{challenges, guard::Challenges};
///
/// let endpoint = challenges(Challenges::new(issuer).for_action("signup"));
/// let rocket = rocket::build().mount("/human-check-altcha/challenge", endpoint);
/// ```
pub fn challenges(challenges: Challenges) -> Vec<Route> {
    vec![Route::new(Method::Get, "/", Endpoint(challenges))]
}

#[derive(Clone)]
struct Endpoint(Challenges);

#[rocket::async_trait]
impl Handler for Endpoint {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let heard = self.0.hear(&Head(request));
        Outcome::Success(send(heard.answer().await))
    }
}
