use std::borrow::Cow;

use human_check_core::{Capabilities, ConfigError, ErrorKind, FactKind, Policy, Support};

use crate::Trigger;

/// What one kind of route asks for, and what it does when nobody can tell.
///
/// The outage decision has no default: it is in the constructor's name.
///
/// ```
/// use human_check_core::Policy;
/// use human_check_guard::RoutePolicy;
///
/// let payment = RoutePolicy::fail_closed("payment")
///     .with_action("pay")
///     .with_policy(Policy::new().with_hostnames(["shop.example"])?);
/// let newsletter = RoutePolicy::fail_open("newsletter");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RoutePolicy {
    pub(crate) name: Cow<'static, str>,
    pub(crate) action: Option<Cow<'static, str>>,
    pub(crate) requires: Option<Policy>,
    pub(crate) opens: Opens,
    pub(crate) trigger: Trigger,
    pub(crate) observe_only: bool,
}

/// Which failures let an undecided visitor in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opens {
    unavailable: bool,
    declined: bool,
    unclaimed: bool,
}

impl Opens {
    /// A wrong configuration and an answer without sense never open: the one would stay open
    /// unnoticed, the other a visitor can provoke.
    pub(crate) fn on(self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Unavailable => self.unavailable,
            ErrorKind::Declined => self.declined,
            ErrorKind::StoreUnavailable => self.unclaimed,
            _ => false,
        }
    }
}

impl RoutePolicy {
    fn new(name: impl Into<Cow<'static, str>>, opens: Opens) -> Self {
        Self {
            name: name.into(),
            action: None,
            requires: None,
            opens,
            trigger: Trigger::always(),
            observe_only: false,
        }
    }

    /// Refuses everybody with 503 while the provider is down.
    ///
    /// `name` stands for the route in logs and metrics; use few and fixed ones.
    pub fn fail_closed(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, Opens::default())
    }

    /// Lets everybody with a well-formed token in while the provider is down.
    ///
    /// The handler gets [`Visitor::Unverified`](crate::Visitor::Unverified); one that demands a
    /// [`Human`](crate::Human) still refuses.
    pub fn fail_open(name: impl Into<Cow<'static, str>>) -> Self {
        let opens = Opens {
            unavailable: true,
            ..Opens::default()
        };
        Self::new(name, opens)
    }

    /// Lets visitors in, too, when the provider tokens but will not judge.
    ///
    /// Think twice: whoever burns your quota decides when that is.
    #[must_use]
    pub fn with_fail_open_when_declined(mut self) -> Self {
        self.opens.declined = true;
        self
    }

    /// Lets visitors in, too, whose token a provider called human's and the store of spent tokens could
    /// not claim.
    ///
    /// Most providers spend tokens themselves; for those that do not, each is as good as any number
    /// of visitors until the store is back.
    #[must_use]
    pub fn with_fail_open_when_store_unavailable(mut self) -> Self {
        self.opens.unclaimed = true;
        self
    }

    /// The action that the challenge must have been solved for. Widgets declare it.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Holds human verdicts to `policy`: host names, score, age.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.requires = Some(policy);
        self
    }

    /// Asks for a challenge only when `trigger` says so. A token that is there is checked anyway.
    #[must_use]
    pub fn with_trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = trigger;
        self
    }

    /// Decides, counts and logs as usual, and lets everybody in but those whose body is too large or
    /// too slow to be read.
    ///
    /// For the days before a check is enforced. Whoever would have been refused is
    /// [`Visitor::Unverified`](crate::Visitor::Unverified), so that a handler that demands a
    /// [`Human`](crate::Human) refuses even now.
    #[must_use]
    pub fn with_observe_only(mut self) -> Self {
        self.observe_only = true;
        self
    }

    /// The name of the route.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Refuses a policy that could not mean what it says in front of a check with these `reports`.
    pub(crate) fn validate(&self, reports: Capabilities) -> Result<(), ConfigError> {
        if self.name.trim().is_empty() {
            return Err(ConfigError::new(
                "name",
                "of a route policy is empty",
                "name the kind of route, for example `signup`: logs and metrics show it",
            ));
        }
        if let Some(action) = &self.action {
            if action.trim().is_empty() {
                return Err(ConfigError::new(
                    "action",
                    "of a route policy is empty",
                    "name the action, or leave the rule out",
                ));
            }
            if reports.of(FactKind::Action) == Support::Never {
                return Err(ConfigError::new(
                    "action",
                    "is demanded of a check that never reports one, so everybody would be refused",
                    "leave the action out, or choose a provider that reports it",
                ));
            }
        }
        self.trigger.validate()
    }
}
