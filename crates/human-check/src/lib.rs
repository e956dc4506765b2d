#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod check;
mod clock;
mod config_error;
mod enforce;
mod error;
mod facts;
mod hostname;
mod policy;
mod provider;
mod refusal;
mod reports;
mod score;
mod secret;
mod submission;
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
pub use policy::Policy;
pub use provider::Provider;
pub use refusal::{Reason, Refusal};
pub use reports::{Fact, Presence, Reports};
pub use score::Score;
pub use secret::{Secret, TestingCredentials};
pub use submission::{Submission, TOKEN_CAP};
pub use verdict::Verdict;
pub use widget::Widget;
pub use widget_facts::{WidgetChoice, WidgetFacts, WidgetSources, WidgetText};
