use actix_web::{HttpRequest, Route, web};
use human_check_guard::Challenges;

use crate::Head;
use crate::error::send;

/// The endpoint that hands challenges to pages: GET, answered as [`Challenges`] says.
///
/// Make the [`Challenges`] outside of the closure of `HttpServer::new`, which runs once per worker.
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
/// use actix_web::App;
/// use human_check_actix_web::{challenges, guard::Challenges};
///
/// let signup = Challenges::new(issuer).for_action("signup");
/// let app = App::new().route("/human-check-altcha/challenge", challenges(signup.clone()));
/// ```
pub fn challenges(challenges: Challenges) -> Route {
    web::get().to(move |request: HttpRequest| {
        let heard = challenges.hear(&Head(&request));
        async move { send(&heard.answer().await) }
    })
}
