#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod capabilities;
mod challenge;
mod check;
mod check_ext;
mod clock;
mod combinators;
mod config_error;
mod counter;
mod error;
mod facts;
mod hostname;
mod policy;
mod provider;
mod random;
mod refusal;
mod retry_budget;
mod score;
mod secret;
#[cfg(feature = "replay")]
mod stores;
mod submission;
mod sync;
mod verdict;
mod widget;

pub mod adapter {
    //! What an adapter needs besides the trait.
    //!
    //! An application does not need these names.

    pub use async_trait::async_trait;

    pub use crate::retry_budget::RetryBudget;
    pub use crate::widget::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};
}

pub use capabilities::{Capabilities, FactKind, Support};
pub use challenge::{Challenge, ChallengeIssuer, ChallengeRequest};
pub use check::HumanCheck;
pub use check_ext::HumanCheckExt;
pub use clock::{Clock, SystemClock};
#[cfg(feature = "replay")]
pub use combinators::ReplayGuard;
pub use combinators::{
    CircuitBreaker, CircuitBreakerPolicy, Comparison, ComparisonSink, ConcurrencyLimit, DualAccept,
    DualAcceptCounts, Enforce, Failover, Observation, ObservedOutcome,
};
#[cfg(feature = "tokio")]
pub use combinators::{RetryUnsent, Shadow, Timeout};
pub use config_error::ConfigError;
pub use error::{CheckError, ErrorKind};
pub use facts::{DetailValue, EvidenceKind, Facts, ReplayProtection, ReportedAction};
pub use hostname::Hostname;
pub use policy::Policy;
pub use provider::Provider;
pub use refusal::{Reason, Refusal};
pub use score::Score;
pub use secret::{Secret, TestKeyPolicy};
#[cfg(all(feature = "replay", feature = "tokio"))]
pub use stores::TimeoutStore;
#[cfg(feature = "replay")]
pub use stores::{ClaimError, Claimed, DigestKey, MemoryReplayStore, ReplayStore, TokenId};
pub use submission::{MAX_TOKEN_BYTES, Submission};
pub use verdict::Verdict;
pub use widget::Widget;
