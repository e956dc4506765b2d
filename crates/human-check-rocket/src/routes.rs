use human_check_guard::Guard;
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::error::status;
use crate::local::Local;

/// Sets the guard of routes by wrapping their handlers.
///
/// Rocket has chosen the route when the wrapper runs. So no spelling of a path avoids the guard.
///
/// ```
/// use human_check_rocket::{Guard, GuardRoutes};
/// use rocket::{Build, Rocket, post, routes};
///
/// #[post("/comments")]
/// fn comment() {}
///
/// fn mount(rocket: Rocket<Build>, guard: &Guard) -> Rocket<Build> {
///     rocket.mount("/api", guard.routes(routes![comment]))
/// }
/// # fn main() {}
/// ```
pub trait GuardRoutes {
    /// Returns the routes with this guard in front of their handlers. It verifies the token in the
    /// header, and refuses requests that its policy does not let through.
    ///
    /// Guards of these routes, such as [`&Human`](crate::Human), use the same guard. They do not
    /// verify the token a second time. The body is not read.
    fn routes(&self, routes: Vec<Route>) -> Vec<Route>;

    /// Returns the routes with this guard instead of the managed one.
    ///
    /// It does not verify a token by itself: the routes' own guards do, such as
    /// [`&Human`](crate::Human) or [`HumanForm`](crate::HumanForm).
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

/// A handler with its guard. If `screens` is set, the guard verifies the token before the handler
/// runs.
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
            let decision = Local::by_header(request, &guard).await.clone();
            if let Err(refused) = decision.require::<human_check_guard::Visitor>() {
                let status = status(&refused);
                Local::of(request).set_refusal(refused);
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
