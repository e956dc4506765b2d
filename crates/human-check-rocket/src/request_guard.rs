use human_check_guard::Guard;
use rocket::request::{FromRequest, Outcome};
use rocket::{Ignite, Request, Rocket, Sentinel};

use crate::local::{CachedProof, Local};
use crate::{Human, HumanError, MaybeHuman};

/// Decides by the token in the header, and returns what the handler demands.
async fn by_header<'r, K: CachedProof>(request: &'r Request<'_>) -> Outcome<&'r K, HumanError> {
    let Some(guard) = Local::guard(request) else {
        return Outcome::Error(HumanError::unconfigured());
    };
    let decision = Local::by_header(request, &guard).await;
    let cell = K::cell(request, &guard);
    if let Some(proof) = cell.get() {
        return Outcome::Success(proof);
    }
    match decision.clone().require::<K>() {
        Ok(proof) => Outcome::Success(cell.get_or_init(|| proof)),
        Err(refused) => Outcome::Error(HumanError::refused(request, refused)),
    }
}

macro_rules! request_guards {
    ($($guard:ident)*) => {$(
        /// Verifies the token in the header. Several proofs of one request verify it once.
        #[rocket::async_trait]
        impl<'r> FromRequest<'r> for &'r $guard {
            type Error = HumanError;

            async fn from_request(request: &'r Request<'_>) -> Outcome<Self, HumanError> {
                by_header(request).await
            }
        }

        impl Sentinel for &$guard {
            fn abort(rocket: &Rocket<Ignite>) -> bool {
                has_no_guard(rocket)
            }
        }
    )*};
}

request_guards!(Human MaybeHuman);

/// Returns whether no guard is managed, although a route demands a human. Rocket then does not
/// launch.
pub(crate) fn has_no_guard(rocket: &Rocket<Ignite>) -> bool {
    let missing = rocket.state::<Guard>().is_none();
    if missing {
        rocket::error!("A route demands a human and no guard is managed.");
        rocket::info_!("Attach one: `rocket::build().attach(HumanFairing::new(guard))`.");
    }
    missing
}
