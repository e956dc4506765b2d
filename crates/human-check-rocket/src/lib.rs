//! Rocket guards and a fairing for human-check.
#![doc = include_str!("../README.md")]

mod catchers;
mod challenges;
mod data_guard;
mod error;
mod fairing;
mod head;
mod local;
mod request_guard;
mod routes;
mod tap_form;

human_check_guard::proof_types!();

pub use catchers::{catchers, refusal};
pub use challenges::challenges;
pub use data_guard::{HumanForm, HumanJson};
pub use error::HumanError;
pub use fairing::HumanFairing;
pub use head::Head;
pub use human_check_guard as guard;
pub use human_check_guard::{Guard, Rejection, RoutePolicy, Trigger, Unverified, Visitor};
pub use routes::GuardRoutes;
