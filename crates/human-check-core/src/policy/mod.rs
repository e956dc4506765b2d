mod rules;

use std::time::Duration;

use crate::verdict::HostPattern;
use crate::{Capabilities, ConfigError, FactKind, Score, Support, TestKeyPolicy};

/// What a human verdict must satisfy beyond the provider's yes.
///
/// Pure: it reads a verdict, a submission and a time. Each rule can only refuse, so adding one
/// never lets anybody in; a fact that a rule needs and the verdict lacks refuses. A new policy
/// has one rule, that answers to a provider's testing keys are refused.
///
/// ```
/// use human_check_core::{Policy, Score};
///
/// let policy = Policy::new()
///     .with_hostnames(["www.example.com", "*.shop.example.com"])?
///     .with_action("signup")
///     .with_min_score(Score::humanity(0.5)?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    origins: Option<Origins>,
    action: Option<String>,
    binding: bool,
    min_score: Option<Score>,
    max_age: Option<Duration>,
    clock_skew: Duration,
    test_keys: TestKeyPolicy,
}

#[derive(Clone, Debug, Default)]
struct Origins {
    hostnames: Vec<HostPattern>,
    apps: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// Only refuses testing credentials.
    pub fn new() -> Self {
        Self {
            origins: None,
            action: None,
            binding: false,
            min_score: None,
            max_age: None,
            clock_skew: Duration::from_secs(60),
            test_keys: TestKeyPolicy::Refused,
        }
    }

    /// Requires the challenge to have been shown on one of these hosts.
    ///
    /// Names are compared without case, port and trailing dot. `*.example.com` stands for every
    /// host under example.com, at any depth, and not for example.com itself.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the list is empty or an entry is not a host name.
    pub fn with_hostnames<S: AsRef<str>>(
        self,
        hostnames: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        self.with_hostnames_or_apps(hostnames, [] as [&str; 0])
    }

    /// Requires the challenge to have been shown on one of these hosts or in one of these apps.
    ///
    /// Apps are Android package names or iOS bundle ids, compared exactly. One rule for both, so
    /// that a site with a web page and an app has one policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both lists are empty or an entry cannot be a name.
    pub fn with_hostnames_or_apps<H: AsRef<str>, A: AsRef<str>>(
        mut self,
        hostnames: impl IntoIterator<Item = H>,
        apps: impl IntoIterator<Item = A>,
    ) -> Result<Self, ConfigError> {
        let origins = Origins {
            hostnames: hostnames
                .into_iter()
                .map(|h| HostPattern::parse(h.as_ref()))
                .collect::<Result<_, _>>()?,
            apps: apps.into_iter().map(|a| a.as_ref().to_owned()).collect(),
        };
        if origins.apps.iter().any(|app| app.trim().is_empty()) {
            return Err(ConfigError::new(
                "apps",
                "holds an empty name",
                "write the package name or bundle id, like `com.example.shop`",
            ));
        }
        if origins.hostnames.is_empty() && origins.apps.is_empty() {
            return Err(ConfigError::new(
                "hostnames",
                "is empty",
                "list the hosts that show the challenge, or leave the rule out",
            ));
        }
        self.origins = Some(origins);
        Ok(self)
    }

    /// Requires the challenge to have been solved for this action, in addition to what a
    /// submission expects.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Requires every submission to expect a binding, and the verdict to carry it.
    #[must_use]
    pub fn with_binding_required(mut self) -> Self {
        self.binding = true;
        self
    }

    /// Requires a score as good as this one. Equal passes.
    #[must_use]
    pub fn with_min_score(mut self, score: Score) -> Self {
        self.min_score = Some(score);
        self
    }

    /// Requires the challenge to have been solved no longer ago than this, and not in the future.
    ///
    /// Providers end their tokens by themselves; this is for routes that want less. Some providers
    /// report when the challenge was loaded, so a visitor who ponders looks old.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// How far the provider's clock and ours may differ when an age is judged. Default 60 seconds.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// Sets whether replies to a provider's published test keys may pass. Default
    /// [`TestKeyPolicy::Refused`]; allow them in tests only.
    #[must_use]
    pub fn with_test_keys(mut self, policy: TestKeyPolicy) -> Self {
        self.test_keys = policy;
        self
    }

    /// Whether a check that reports `reports` can ever satisfy this policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the first rule whose fact the check does not report, or an action
    /// without a name, which providers report as none.
    pub fn validate_for(&self, reports: Capabilities) -> Result<(), ConfigError> {
        if self.action.as_ref().is_some_and(|a| a.trim().is_empty()) {
            return Err(ConfigError::new(
                "action",
                "is empty, so it would refuse everybody",
                "write the action that the page gives the widget, or leave the rule out",
            ));
        }
        let rules = [
            ("hostnames", self.origins.is_some(), FactKind::Hostname),
            ("action", self.action.is_some(), FactKind::Action),
            ("binding", self.binding, FactKind::Binding),
            ("min_score", self.min_score.is_some(), FactKind::Score),
            ("max_age", self.max_age.is_some(), FactKind::SolvedAt),
        ];
        for (rule, asked, fact) in rules {
            if asked && reports.of(fact) == Support::Never {
                return Err(ConfigError::new(
                    rule,
                    format!(
                        "asks for the {fact}, which this check does not report, so it would refuse everybody"
                    ),
                    "leave the rule out, or use a provider or plan that reports it",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
