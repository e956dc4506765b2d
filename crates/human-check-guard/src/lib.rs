//! What every web guard of human-check does, minus the framework.
#![doc = include_str!("../README.md")]

mod accept;
mod answer;
mod attempts;
mod builder;
mod challenges;
mod client_address;
mod csp;
mod decision;
mod denial;
mod fields;
mod guard;
mod head;
mod human;
mod look;
mod observer;
mod proof_types;
mod route_policy;
pub mod scan;
mod settings;
mod tap;
mod trigger;
mod widget;

pub use accept::prefers_html;
pub use answer::{Answer, Refused};
pub use attempts::{AttemptKey, AttemptStore, MemoryAttempts, StoreError};
pub use builder::{BodyLimits, GuardBuilder};
pub use challenges::{Challenges, Heard};
pub use client_address::ClientAddress;
pub use csp::CspSources;
pub use decision::{Examined, Outcome};
pub use denial::Denial;
pub use fields::{Answers, FieldId, Fields};
pub use guard::Guard;
pub use head::RequestHead;
pub use human::{Demand, Human, Unproven, Visitor};
pub use look::Seen;
#[cfg(feature = "metrics")]
pub use observer::Metrics;
pub use observer::{DecisionEvent, Observer};
pub use route_policy::RoutePolicy;
pub use settings::{OnOutage, Settings};
pub use tap::{Tapped, Tapping, tapped_fields, tapping};
pub use trigger::{Signals, Trigger};
pub use widget::{Html, Page};
