#![doc = include_str!("../README.md")]

mod account;
mod challenges;
mod compose;
mod deployment;
mod document;
mod in_time;
mod model;
mod proof_of_work;
mod schema;
mod secrets;
mod site;
mod stores;
mod summary;
mod vendor;

pub use account::{Account, accounts};
pub use deployment::{Deployment, Watch};
pub use proof_of_work::ProofOfWork;
pub use schema::schema;
pub use site::Site;
pub use vendor::{EnterpriseKey, Setup, Vendor, base_url};
