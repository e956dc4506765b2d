#![doc = include_str!("../README.md")]

mod account;
mod compose;
mod deployment;
mod document;
mod model;
mod schema;
mod secrets;
mod site;
mod stores;
mod summary;
mod vendor;

pub use account::{Account, accounts};
pub use deployment::{Deployment, Watch};
pub use schema::schema;
pub use site::Site;
pub use vendor::{EnterpriseKey, Setup, Vendor, base_url};
