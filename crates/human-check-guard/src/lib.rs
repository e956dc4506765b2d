//! The web guard of human-check without a framework.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body_limits;
mod builder;
mod challenge_endpoint;
mod clearance;
mod client_address;
mod counter;
mod decision;
mod experiment;
mod guard;
mod header_name;
mod health_endpoint;
pub mod integration;
mod judges;
mod monthly_quota;
mod options_endpoint;
mod page;
mod page_script;
mod policy;
mod request_head;
mod selected;
mod selection;
mod snapshot;
mod tokens;

pub use body_limits::BodyLimits;
pub use builder::GuardBuilder;
pub use challenge_endpoint::ChallengeEndpoint;
pub use client_address::ClientAddress;
pub use decision::{
    Cleared, DecisionEvent, DenialReason, GuardResponse, Human, Observer, RefusalView, Rejection,
    Unverified, Visitor,
};
pub use experiment::{Experiment, ExperimentArm, ExperimentReceipt, ExperimentSwitch, RampStep};
pub use guard::Guard;
pub use health_endpoint::HealthEndpoint;
pub use monthly_quota::{MonthlyQuota, QuotaState, QuotaUse};
pub use options_endpoint::OptionsEndpoint;
pub use page::{CspSources, Html, Text, Texts, WidgetRenderer, page_script_file_name};
pub use page_script::page_script_response;
pub use policy::{
    AttemptKey, AttemptStore, AttemptStoreError, MemoryAttemptStore, RoutePolicy, Signals, Trigger,
    probe_attempt_store,
};
pub use request_head::RequestHead;
pub use selected::Selected;
pub use selection::{
    Account, AccountList, FallbackOn, OfferKeys, ReportLimit, ScriptProbe, Selection, Why,
};
