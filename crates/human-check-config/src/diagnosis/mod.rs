//! What a deployment depends on, examined from this machine.

mod accounts;
mod calls;
mod files;
mod quotas;
mod stores;

use std::fmt;

use human_check_core::ConfigError;
use serde::Serialize;

pub(crate) use accounts::AccountExamination;
pub(crate) use calls::Calls;
pub(crate) use files::{WrittenFile, examine_files};
pub use quotas::AccountUse;
pub(crate) use quotas::examine_quota;
#[cfg(feature = "postgres")]
pub(crate) use stores::examine_postgres;
pub(crate) use stores::{examine_claim, examine_count, examine_memory};
#[cfg(feature = "redis")]
pub(crate) use stores::{examine_redis, missing_replicas};

/// What [`Deployment::diagnose`](crate::Deployment::diagnose) found out.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The findings, in the order of the parts: configuration, accounts, stores, files.
    pub findings: Vec<Finding>,
    /// The calls of this month of each account with `monthly_quota`, in the order of their names.
    pub quotas: Vec<AccountUse>,
}

/// One finding about one part of a deployment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The part, by the table that configures it, such as `providers.turnstile`.
    pub part: String,
    /// What was examined: `settings`, `dns`, `reachable`, `secret`, `previous-secret`, `site-key`,
    /// `clock`, `script`, `quota`, `server`, `replicas`, `memory`, `claim` or `writable`.
    pub check: &'static str,
    /// How grave it is.
    pub level: Level,
    /// What was found, in one sentence without a secret.
    pub text: String,
    /// What to do about it. Empty for what is fine.
    pub remedy: String,
}

/// How grave a [`Finding`] is. Each level is graver than those before it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Level {
    /// It works.
    Fine,
    /// It cannot be told from outside.
    Unknown,
    /// It works, and may fail or be wrong.
    Warning,
    /// It does not work.
    Wrong,
}

impl Level {
    /// Returns the name: `fine`, `unknown`, `warning` or `wrong`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

impl Diagnosis {
    /// Returns the gravest level of all findings.
    pub fn level(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Fine)
    }
}

impl Finding {
    pub(crate) fn fine(part: &str, check: &'static str, text: impl Into<String>) -> Self {
        Self::new(part, check, Level::Fine, text, "")
    }

    /// Returns the finding of a warning about the configuration, such as `routes.login: any host may show
    /// the challenge; list yours`.
    pub(crate) fn of_warning(warning: &str) -> Self {
        let (part, text) = warning
            .split_once(": ")
            .unwrap_or(("configuration", warning));
        let (text, remedy) = text.split_once("; ").unwrap_or((text, ""));
        Self::new(part, "settings", Level::Warning, text, remedy)
    }

    /// Returns the finding of a setting that cannot be used.
    pub(crate) fn of_error(part: &str, error: &ConfigError) -> Self {
        let text = format!("{} {}", error.field(), error.problem());
        Self::new(part, "settings", Level::Wrong, text, error.remedy())
    }

    pub(crate) fn unknown(part: &str, check: &'static str, text: impl Into<String>) -> Self {
        Self::new(part, check, Level::Unknown, text, "")
    }

    pub(crate) fn warning(
        part: &str,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(part, check, Level::Warning, text, remedy)
    }

    pub(crate) fn wrong(
        part: &str,
        check: &'static str,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(part, check, Level::Wrong, text, remedy)
    }

    fn new(
        part: &str,
        check: &'static str,
        level: Level,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            part: part.to_owned(),
            check,
            level,
            text: text.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    /// Writes the text, and the remedy behind a semicolon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.remedy.as_str() {
            "" => Ok(()),
            remedy => write!(f, "; {remedy}"),
        }
    }
}
