//! Rocket guards and a fairing for human-check.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod catchers;
mod challenge_route;
mod error;
mod extract;
mod form_with_token;
mod head;
mod health_routes;
mod local;
mod middleware;
mod page_head;
mod page_routes;
mod request_guard;
mod routes;

human_check_guard::integration::proof_types!();

pub use catchers::{catchers, refusal};
pub use challenge_route::challenge_route;
pub use error::HumanError;
pub use extract::{HumanForm, HumanJson, HumanQuery};
pub use head::Head;
pub use health_routes::health_routes;
pub use human_check_guard as guard;
pub use human_check_guard::{
    Guard, HealthEndpoint, OptionsEndpoint, Rejection, RoutePolicy, Selected, Trigger, Unverified,
    Visitor,
};
pub use middleware::HumanFairing;
pub use page_head::PageHead;
pub use page_routes::page_routes;
pub use routes::GuardRoutes;
