//! What every web guard of human-check does, minus the framework.
#![doc = include_str!("../README.md")]

mod accept;
mod attempts;
mod builder;
mod challenge_endpoint;
mod client_address;
mod csp;
mod decision;
mod denial_reason;
mod fields;
mod guard;
mod head;
mod human;
mod inspect;
mod observer;
mod proof_types;
mod response;
mod route_policy;
pub mod scan;
mod trigger;
mod widget;
mod with_token;

pub use accept::prefers_html;
pub use attempts::{AttemptKey, AttemptStore, AttemptStoreError, MemoryAttemptStore};
pub use builder::{BodyLimits, GuardBuilder};
pub use challenge_endpoint::{ChallengeEndpoint, PendingChallenge};
pub use client_address::ClientAddress;
pub use csp::CspSources;
pub use decision::{Decision, Pending};
pub use denial_reason::DenialReason;
pub use fields::{FieldId, SubmittedTokens, TokenFields};
pub use guard::Guard;
pub use head::RequestHead;
pub use human::{FromDecision, Human, Unverified, Visitor};
pub use inspect::Inspected;
#[cfg(feature = "metrics")]
pub use observer::MetricsObserver;
pub use observer::{DecisionEvent, Observer};
pub use response::{GuardResponse, Rejection};
pub use route_policy::RoutePolicy;
pub use trigger::{Signals, Trigger};
pub use widget::{Html, WidgetRenderer};
pub use with_token::{FieldsScope, WithToken, current_fields, extracting};
