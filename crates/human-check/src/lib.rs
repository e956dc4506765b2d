#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod check;
mod clock;
mod config_error;
mod counter;
mod enforce;
mod error;
mod facts;
mod hostname;
#[cfg(feature = "single-use")]
mod memory_spent;
mod policy;
mod provider;
mod random;
mod refusal;
#[cfg(feature = "single-use")]
mod replay_guard;
mod reports;
mod score;
mod secret;
#[cfg(feature = "single-use")]
mod spent_tokens;
mod submission;
mod sync;
mod verdict;
mod widget;
mod widget_facts;

pub use async_trait::async_trait;
pub use check::{HumanCheck, HumanCheckExt};
pub use clock::{Clock, SystemClock};
pub use config_error::ConfigError;
pub use enforce::Enforce;
pub use error::{CheckError, ErrorKind};
pub use facts::{Action, Assurance, Detail, Facts, SingleUse};
pub use hostname::Hostname;
#[cfg(feature = "single-use")]
pub use memory_spent::MemorySpent;
pub use policy::Policy;
pub use provider::Provider;
pub use refusal::{Reason, Refusal};
#[cfg(feature = "single-use")]
pub use replay_guard::ReplayGuard;
pub use reports::{Fact, Presence, Reports};
pub use score::Score;
pub use secret::{Secret, TestingCredentials};
#[cfg(feature = "single-use")]
pub use spent_tokens::{Claim, ClaimError, Claimed, DigestKey, SpentTokens};
pub use submission::{Submission, TOKEN_CAP};
pub use verdict::Verdict;
pub use widget::Widget;
pub use widget_facts::{WidgetChoice, WidgetFacts, WidgetSources, WidgetText};
