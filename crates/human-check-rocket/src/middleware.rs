use human_check_guard::Guard;
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::{Build, Request, Response, Rocket};

use crate::error::status;
use crate::local::Local;

/// A fairing that manages the guard of the application, for all routes without a guard of their
/// own.
///
/// Attach one. A second one replaces the first. It adds to each response what the guard needs:
///
/// - If the policy issues clearances, the cookie with the clearance.
/// - If a guard refused the request, the headers of the refusal that the catcher has not written.
/// - If the response is an HTML page with a content security policy, the sources of the widgets in
///   this policy.
///
/// ```
/// use human_check_rocket::{Guard, HumanFairing, RoutePolicy, catchers};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let guard = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let rocket = rocket::build()
///     .attach(HumanFairing::new(guard))
///     .register("/", catchers());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HumanFairing {
    guard: Guard,
}

impl HumanFairing {
    /// Creates a fairing that manages `guard`.
    pub fn new(guard: Guard) -> Self {
        Self { guard }
    }
}

#[rocket::async_trait]
impl Fairing for HumanFairing {
    fn info(&self) -> Info {
        Info {
            name: "human-check",
            kind: Kind::Ignite | Kind::Response | Kind::Singleton,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        Ok(rocket.manage(self.guard.clone()))
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        if let Some(refused) = Local::of(request).refusal() {
            // A handler that takes a `Result` may have made a response of its own.
            if status(&refused) == response.status() {
                for (name, value) in refused.into_response().headers {
                    if name != "content-type" && response.headers().get_one(name).is_none() {
                        response.set_raw_header(name, value);
                    }
                }
            }
        }
        if let Some(cookie) = Local::of(request).take_cookie() {
            response.adjoin_raw_header("set-cookie", cookie);
        }
        // Only HTML pages show widgets.
        if !response.content_type().is_some_and(|kind| kind.is_html()) {
            return;
        }
        let name = "content-security-policy";
        let policies: Vec<_> = response.headers().get(name).map(str::to_owned).collect();
        if policies.is_empty() {
            return;
        }
        if let Some(guard) = request.rocket().state::<Guard>() {
            let sources = guard.csp_sources();
            response.remove_header(name);
            for policy in policies {
                response.adjoin_raw_header(name, sources.merge_into(&policy));
            }
        }
    }
}
