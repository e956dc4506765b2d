//! axum extractors and a tower layer for human-check.
#![doc = include_str!("../README.md")]

mod body;
mod challenges;
mod extract;
mod head;
mod layer;
mod rejection;

human_check_guard::proof_types!();

pub use challenges::challenges;
pub use extract::{Guarded, HumanForm, HumanJson, HumanMultipart};
pub use head::Head;
pub use human_check_guard as guard;
pub use human_check_guard::{Guard, Refused, RoutePolicy, Trigger, Unproven, Visitor};
pub use layer::{HumanLayer, HumanService};
pub use rejection::{Rejection, respond};
