//! The rules that a human verdict must satisfy.

mod rules;

use std::time::Duration;

use crate::verdict::HostPattern;
use crate::{Capabilities, ConfigError, FactKind, Score, Support, TestKeyPolicy};

/// The rules that a human verdict must satisfy, in addition to the provider's own decision.
///
/// Attach it with [`HumanCheckExt::enforce`](crate::HumanCheckExt::enforce), or call
/// [`judge`](Self::judge). A rule can only refuse: adding one never lets a further request through.
/// A verdict that lacks a fact which a rule needs is refused. A new policy has one rule: it refuses
/// replies to a provider's test keys.
///
/// A policy has no side effects. It reads a verdict, a submission and a time.
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

/// The hosts and apps that may show the challenge.
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
    /// Creates a policy whose only rule is that it refuses test keys.
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

    /// Sets the hosts that may show the challenge. Default any host.
    ///
    /// Names are compared without case, port and trailing dot. `*.example.com` stands for all hosts
    /// below example.com, at any depth, and not for example.com itself. A later call replaces the
    /// list, and the list of apps.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the list is empty or an entry is not a host name.
    pub fn with_hostnames<S: AsRef<str>>(
        self,
        hostnames: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        self.with_hostnames_or_apps(hostnames, [] as [&str; 0])
    }

    /// Sets the hosts and the apps that may show the challenge. Default any.
    ///
    /// Apps are Android package names or iOS bundle ids, and are compared exactly. One list is
    /// enough: a verdict passes if its host or its app is listed. So a site with a web page and an
    /// app needs one policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both lists are empty, a host is not a host name, or an app is blank.
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
                "contains an empty name",
                "write the package name or bundle id, such as `com.example.shop`",
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

    /// Sets the action that the challenge must have been solved for. Default any action.
    ///
    /// An action that the submission expects must match as well.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Requires that the submission expects a binding and that the verdict carries the same one.
    ///
    /// Default not required. A submission without
    /// [`with_expected_binding`](crate::Submission::with_expected_binding) is refused then.
    #[must_use]
    pub fn with_binding_required(mut self) -> Self {
        self.binding = true;
        self
    }

    /// Sets the lowest score that passes. An equal score passes. Default no minimum.
    #[must_use]
    pub fn with_min_score(mut self, score: Score) -> Self {
        self.min_score = Some(score);
        self
    }

    /// Sets how old a solved challenge may be, and requires that it was not solved in the future.
    /// Default no limit.
    ///
    /// The [clock skew](Self::with_clock_skew) is added to the age. Providers limit the age of
    /// their tokens themselves; the rule is for routes that need a shorter limit. Some providers
    /// report when the challenge was loaded instead, so the limit must include the time to solve it
    /// and fill in the form.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets how far the clocks of the provider and of this server may differ, for
    /// [`with_max_age`](Self::with_max_age). Default 60 seconds.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// Sets whether replies to a provider's published test keys may pass. Default
    /// [`TestKeyPolicy::Refused`]. Allow them in tests only.
    #[must_use]
    pub fn with_test_keys(mut self, policy: TestKeyPolicy) -> Self {
        self.test_keys = policy;
        self
    }

    /// Removes the rule that requires this fact, if there is one.
    ///
    /// For an account that never reports the fact and judges only in place of another. The check is
    /// weaker then.
    #[must_use]
    pub fn without(mut self, fact: FactKind) -> Self {
        match fact {
            FactKind::Action => self.action = None,
            FactKind::Binding => self.binding = false,
            FactKind::Hostname => self.origins = None,
            FactKind::Score => self.min_score = None,
            FactKind::SolvedAt => self.max_age = None,
        }
        self
    }

    /// Checks that a check with these `capabilities` can satisfy this policy at all.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the first rule whose fact the check never reports, or the action
    /// if it is blank. Providers report a blank action as none.
    ///
    /// ```
    /// use human_check_core::{Capabilities, Policy, Score};
    ///
    /// let policy = Policy::new().with_min_score(Score::humanity(0.5)?);
    /// let error = policy.validate_for(Capabilities::nothing()).unwrap_err();
    /// assert_eq!(error.field(), "min_score");
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    pub fn validate_for(&self, capabilities: Capabilities) -> Result<(), ConfigError> {
        if self.action.as_ref().is_some_and(|a| a.trim().is_empty()) {
            return Err(ConfigError::new(
                "action",
                "is empty, so it would refuse every visitor",
                "write the action that the page sets on the widget, or leave the rule out",
            ));
        }
        let rules = [
            ("hostnames", self.origins.is_some(), FactKind::Hostname),
            ("action", self.action.is_some(), FactKind::Action),
            ("binding", self.binding, FactKind::Binding),
            ("min_score", self.min_score.is_some(), FactKind::Score),
            ("max_age", self.max_age.is_some(), FactKind::SolvedAt),
        ];
        for (rule, is_set, fact) in rules {
            if is_set && capabilities.of(fact) == Support::Never {
                return Err(ConfigError::new(
                    rule,
                    format!(
                        "requires the {fact}, which this check never reports, so it would refuse every visitor"
                    ),
                    "leave the rule out, or use a provider or a plan that reports it",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
