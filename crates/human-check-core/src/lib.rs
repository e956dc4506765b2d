#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod check;
mod clock;
mod combinators;
mod config_error;
mod counter;
mod experiment;
mod in_flight;
mod policy;
mod random;
mod report;
mod retry_budget;
#[cfg(feature = "replay")]
mod stores;
mod sync;
mod verdict;
mod widget;

pub mod adapter {
    //! What the author of an adapter needs besides the trait. Applications do not need these names.
    //!
    //! [`async_trait`](macro@async_trait) for the implementation of
    //! [`HumanCheck`](crate::HumanCheck), [`RetryBudget`] for an adapter that repeats requests
    //! itself, [`junk_submission`] for its health probe, [`InFlightLimit`] and [`report_check`] for
    //! one that makes its calls without `human-check-http`, [`Shares`] and [`client_network`] for a
    //! limit of another kind, and the `Widget…` and `…Attribute` types to describe the provider's
    //! widget. docs/how-to/writing-an-adapter.md in the repository shows a complete adapter.

    pub use async_trait::async_trait;

    pub use crate::check::junk_submission;
    pub use crate::in_flight::{InFlightLimit, Place, Shares, client_network};
    pub use crate::report::report_check;
    pub use crate::retry_budget::RetryBudget;
    pub use crate::widget::{ChoiceAttribute, TextAttribute, WidgetApi, WidgetSources, WidgetSpec};
}

pub use check::{
    Challenge, ChallengeIssuer, ChallengeRequest, Health, HumanCheck, MAX_TOKEN_BYTES, Provider,
    Secret, Submission, TestKeyPolicy,
};
pub use clock::{Clock, SteadyClock, SystemClock};
#[cfg(feature = "replay")]
pub use combinators::ReplayGuard;
pub use combinators::{
    CircuitBreaker, CircuitBreakerPolicy, Comparison, ComparisonSink, ConcurrencyLimit, DualAccept,
    DualAcceptCounts, Enforce, Failover, HumanCheckExt, Observation, ObservedOutcome,
};
#[cfg(feature = "tokio")]
pub use combinators::{RetryUnsent, Shadow, Timeout};
pub use config_error::ConfigError;
pub use experiment::{Assignment, EventSink, ExperimentEvent, FunnelStep, Receipt, ReceiptError};
pub use policy::Policy;
#[cfg(all(feature = "replay", feature = "tokio"))]
pub use stores::TimeoutStore;
#[cfg(feature = "replay")]
pub use stores::{
    ClaimError, Claimed, DigestKey, MemoryReplayStore, ReplayStore, TokenId, probe_replay_store,
};
pub use verdict::{
    Capabilities, CheckError, DetailValue, ErrorKind, EvidenceKind, FactKind, Facts, Hostname,
    Reason, Refusal, ReplayProtection, ReportedAction, Score, Support, Verdict,
};
pub use widget::Widget;
