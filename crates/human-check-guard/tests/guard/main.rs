//! The decisions and the responses of a guard, without a framework.
#![allow(clippy::unwrap_used)]

mod clearance;
mod decision;
mod every_option_passes;
mod experiment;
mod fake_account;
mod health_endpoint;
mod kept_form;
mod monthly_quota;
mod options;
mod page;
mod selection;
mod streaks;
mod support;
mod twins;
mod with_token;
