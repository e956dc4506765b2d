use human_check_guard::Guard;
use rocket::request::{FromRequest, Outcome};
use rocket::{Ignite, Request, Rocket, Sentinel};

use crate::local::{Kept, Local};
use crate::{Human, HumanError, MaybeHuman};

async fn by_header<'r, K: Kept>(request: &'r Request<'_>) -> Outcome<&'r K, HumanError> {
    let Some(guard) = Local::guard(request) else {
        return Outcome::Error(HumanError::unconfigured());
    };
    let outcome = Local::by_header(request, &guard).await;
    let kept = K::kept(request, &guard);
    if let Some(kept) = kept.get() {
        return Outcome::Success(kept);
    }
    match outcome.clone().require::<K>() {
        Ok(demanded) => Outcome::Success(kept.get_or_init(|| demanded)),
        Err(refused) => Outcome::Error(HumanError::refused(request, refused)),
    }
}

macro_rules! request_guards {
    ($($guard:ident)*) => {$(
        /// By the token in the header. Several guards of one request ask once.
        #[rocket::async_trait]
        impl<'r> FromRequest<'r> for &'r $guard {
            type Error = HumanError;

            async fn from_request(request: &'r Request<'_>) -> Outcome<Self, HumanError> {
                by_header(request).await
            }
        }

        impl Sentinel for &$guard {
            fn abort(rocket: &Rocket<Ignite>) -> bool {
                is_forgotten(rocket)
            }
        }
    )*};
}

request_guards!(Human MaybeHuman);

/// Whether a route wants a human of a Rocket that knows no guard. Stops the launch.
pub(crate) fn is_forgotten(rocket: &Rocket<Ignite>) -> bool {
    let forgotten = rocket.state::<Guard>().is_none();
    if forgotten {
        rocket::error!("A route wants a human and no guard is managed.");
        rocket::info_!("Attach one: `rocket::build().attach(HumanFairing::new(guard))`.");
    }
    forgotten
}
