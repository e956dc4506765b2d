//! actix-web extractors and middleware for human-check.
#![doc = include_str!("../README.md")]

mod challenges;
mod error;
mod extract;
mod head;
mod middleware;
mod multipart;
mod payload;

human_check_guard::proof_types!();

pub use challenges::challenges;
pub use error::{ErrorHandler, HumanError};
pub use extract::{Carrier, Guarded, HumanForm, HumanJson, HumanMultipart, HumanQuery};
pub use head::Head;
pub use human_check_guard as guard;
pub use human_check_guard::{Guard, Rejection, RoutePolicy, Trigger, Unverified, Visitor};
pub use middleware::{HumanMiddleware, HumanService};
pub use multipart::MultipartWithToken;
