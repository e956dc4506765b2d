#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod breaker;
mod breaker_state;
mod challenge;
mod check;
mod clock;
mod comparison;
mod config_error;
mod counter;
#[cfg(feature = "tokio")]
mod deadline;
mod enforce;
mod error;
mod facts;
mod failover;
mod hostname;
mod limit;
#[cfg(feature = "single-use")]
mod memory_spent;
mod policy;
mod provider;
mod random;
mod refusal;
#[cfg(feature = "single-use")]
mod replay_guard;
mod reports;
#[cfg(feature = "tokio")]
mod retry;
mod score;
mod secret;
#[cfg(feature = "tokio")]
mod shadow;
#[cfg(feature = "single-use")]
mod spent_tokens;
mod submission;
mod sync;
mod verdict;
mod widget;
mod widget_facts;

pub use accept::{Accept, Shares};
pub use async_trait::async_trait;
pub use breaker::{Breaker, BreakerPolicy};
pub use challenge::{Challenge, ChallengeIssuer, ChallengeRequest};
pub use check::{HumanCheck, HumanCheckExt};
pub use clock::{Clock, SystemClock};
pub use comparison::{Comparison, ComparisonSink, Opinion, Outcome};
pub use config_error::ConfigError;
#[cfg(feature = "tokio")]
pub use deadline::Deadline;
pub use enforce::Enforce;
pub use error::{CheckError, ErrorKind};
pub use facts::{Action, Assurance, Detail, Facts, SingleUse};
pub use failover::Failover;
pub use hostname::Hostname;
pub use limit::Limit;
#[cfg(feature = "single-use")]
pub use memory_spent::MemorySpent;
pub use policy::Policy;
pub use provider::Provider;
pub use refusal::{Reason, Refusal};
#[cfg(feature = "single-use")]
pub use replay_guard::ReplayGuard;
pub use reports::{Fact, Presence, Reports};
#[cfg(feature = "tokio")]
pub use retry::Retry;
pub use score::Score;
pub use secret::{Secret, TestingCredentials};
#[cfg(feature = "tokio")]
pub use shadow::Shadow;
#[cfg(feature = "single-use")]
pub use spent_tokens::{Claim, ClaimError, Claimed, DigestKey, SpentTokens};
pub use submission::{Submission, TOKEN_CAP};
pub use verdict::Verdict;
pub use widget::Widget;
pub use widget_facts::{WidgetChoice, WidgetFacts, WidgetSources, WidgetText};
