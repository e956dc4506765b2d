use human_check_guard::{CspSources, Guard};
use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::{Build, Request, Response, Rocket};

use crate::error::status;
use crate::local::Local;

/// Manages the guard of an application.
///
/// On each response it adds the headers of a refusal that its catcher did not write. Into the
/// content security policy of a page, if there is one, it lets the widgets' sources.
///
/// At most one is attached: a second replaces the first.
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
        if let Some(refused) = Local::of(request).refused() {
            // A handler may have taken the refusal and answered in its own way.
            if status(&refused) == response.status() {
                for (name, value) in refused.into_response().headers {
                    if name != "content-type" && response.headers().get_one(name).is_none() {
                        response.set_raw_header(name, value);
                    }
                }
            }
        }
        // Nothing but a page shows a widget.
        if !response.content_type().is_some_and(|kind| kind.is_html()) {
            return;
        }
        let name = "content-security-policy";
        let policies: Vec<_> = response.headers().get(name).map(str::to_owned).collect();
        if policies.is_empty() {
            return;
        }
        if let Some(guard) = request.rocket().state::<Guard>() {
            let sources = CspSources::of(guard.snapshot().widgets());
            response.remove_header(name);
            for policy in policies {
                response.adjoin_raw_header(name, sources.merge_into(&policy));
            }
        }
    }
}
