//! axum extractors and a tower layer for human-check.
#![doc = include_str!("../README.md")]

mod body;
mod challenges;
mod error;
mod extract;
mod head;
mod layer;

human_check_guard::proof_types!();

pub use challenges::challenges;
pub use error::{HumanError, respond};
pub use extract::{Guarded, HumanForm, HumanJson, HumanMultipart};
pub use head::Head;
pub use human_check_guard as guard;
pub use human_check_guard::{Guard, Rejection, RoutePolicy, Trigger, Unverified, Visitor};
pub use layer::{HumanLayer, HumanService};
