//! axum extractors and a tower layer for human-check.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod challenge_route;
mod clearance_layer;
mod error;
mod extract;
mod head;
mod health_routes;
mod middleware;
mod page_routes;

human_check_guard::integration::proof_types!();

pub use challenge_route::challenge_route;
pub use clearance_layer::{ClearanceLayer, ClearanceService};
pub use error::{HumanError, respond};
pub use extract::{HumanBody, HumanForm, HumanJson, HumanMultipart, HumanQuery};
pub use head::Head;
pub use health_routes::health_routes;
pub use human_check_guard as guard;
pub use human_check_guard::{
    Guard, HealthEndpoint, OptionsEndpoint, Rejection, RoutePolicy, Selected, Trigger, Unverified,
    Visitor,
};
pub use middleware::{HumanLayer, HumanService};
pub use page_routes::page_routes;
