#![doc = include_str!("../README.md")]

mod site;
mod vendor;

pub use site::Site;
pub use vendor::{EnterpriseKey, Setup, Vendor, base_url};
