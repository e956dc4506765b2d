//! axum extractors and a tower layer for human-check.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod challenge_route;
mod error;
mod extract;
mod head;
mod middleware;

human_check_guard::integration::proof_types!();

pub use challenge_route::challenge_route;
pub use error::{HumanError, respond};
pub use extract::{HumanBody, HumanForm, HumanJson, HumanMultipart};
pub use head::Head;
pub use human_check_guard as guard;
pub use human_check_guard::{Guard, Rejection, RoutePolicy, Trigger, Unverified, Visitor};
pub use middleware::{HumanLayer, HumanService};
