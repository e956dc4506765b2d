use human_check_guard::Guard;
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::error::status;
use crate::local::Local;

/// Puts a guard around routes, by wrapping their handlers.
///
/// Rocket routes first, so no path is matched a second time and none can be spelt around it.
pub trait GuardRoutes {
    /// Runs the handlers of `routes` only for visitors whom this guard lets in by the token in
    /// the header.
    ///
    /// Guards of these routes ([`&Human`](crate::Human) and the like) ask this guard, and not a
    /// second time.
    fn routes(&self, routes: Vec<Route>) -> Vec<Route>;

    /// Makes this guard, instead of the managed one, the guard of `routes`.
    ///
    /// By itself it asks nobody: the routes' own guards do.
    fn scope(&self, routes: Vec<Route>) -> Vec<Route>;
}

impl GuardRoutes for Guard {
    fn routes(&self, routes: Vec<Route>) -> Vec<Route> {
        wrap(self, routes, true)
    }

    fn scope(&self, routes: Vec<Route>) -> Vec<Route> {
        wrap(self, routes, false)
    }
}

fn wrap(guard: &Guard, routes: Vec<Route>, screens: bool) -> Vec<Route> {
    let wrapped = routes.into_iter().map(|mut route| {
        route.handler = Box::new(Wrapped {
            inner: route.handler,
            guard: guard.clone(),
            screens,
        });
        route
    });
    wrapped.collect()
}

#[derive(Clone)]
struct Wrapped {
    inner: Box<dyn Handler>,
    guard: Guard,
    screens: bool,
}

#[rocket::async_trait]
impl Handler for Wrapped {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        let guard = self.guard.snapshot();
        if self.screens {
            let outcome = Local::by_header(request, &guard).await.clone();
            if let Err(refused) = outcome.require::<human_check_guard::Visitor>() {
                let status = status(&refused);
                Local::of(request).remember(refused);
                return Outcome::Error(status);
            }
        }
        let local = Local::of(request);
        let before = local.enter(Some(guard));
        let outcome = self.inner.handle(request, data).await;
        local.enter(before);
        outcome
    }
}
