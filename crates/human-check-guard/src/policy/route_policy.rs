use std::borrow::Cow;

use human_check_core::{Capabilities, ConfigError, ErrorKind, FactKind, Policy, Support};

use crate::Trigger;

/// The policy of one kind of route: what it demands, and what happens when the check cannot reach a
/// verdict.
///
/// The constructor decides about outages, [`fail_closed`](Self::fail_closed) or
/// [`fail_open`](Self::fail_open). There is no default. See docs/failure-modes.md for how to
/// choose.
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
    pub(crate) fail_open: FailOpen,
    pub(crate) trigger: Trigger,
    pub(crate) observe_only: bool,
}

/// The kinds of errors on which a route fails open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FailOpen {
    unavailable: bool,
    declined: bool,
    store_unavailable: bool,
}

impl FailOpen {
    /// Returns whether the route fails open on an error of this kind.
    ///
    /// No route fails open on a wrong configuration, because that would stay unnoticed, or on an
    /// invalid reply, because a visitor may be able to provoke one.
    pub(crate) fn applies_to(self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Unavailable => self.unavailable,
            ErrorKind::Declined => self.declined,
            ErrorKind::StoreUnavailable => self.store_unavailable,
            _ => false,
        }
    }
}

impl RoutePolicy {
    fn new(name: impl Into<Cow<'static, str>>, fail_open: FailOpen) -> Self {
        Self {
            name: name.into(),
            action: None,
            requires: None,
            fail_open,
            trigger: Trigger::always(),
            observe_only: false,
        }
    }

    /// Creates a policy that refuses every request with 503 while the check cannot reach a verdict.
    ///
    /// `name` is the name of the route in logs and metrics. Use few names and fixed ones, and not a
    /// blank one. By default the policy demands a token with every request, and no action.
    pub fn fail_closed(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, FailOpen::default())
    }

    /// Creates a policy that lets requests with a well-formed token through while the provider is
    /// unavailable.
    ///
    /// The handler then gets a [`Visitor::Unverified`](crate::Visitor::Unverified). A handler that
    /// demands a [`Human`](crate::Human) still refuses, and so does the guard for a request without
    /// a token. For other errors see
    /// [`with_fail_open_when_declined`](Self::with_fail_open_when_declined) and
    /// [`with_fail_open_when_store_unavailable`](Self::with_fail_open_when_store_unavailable).
    pub fn fail_open(name: impl Into<Cow<'static, str>>) -> Self {
        let fail_open = FailOpen {
            unavailable: true,
            ..FailOpen::default()
        };
        Self::new(name, fail_open)
    }

    /// Makes the route fail open when the provider declines to verify, for example because the
    /// quota is exhausted. Default: fail closed, also for [`fail_open`](Self::fail_open).
    ///
    /// Risk: an attacker who exhausts the quota can cause this state.
    #[must_use]
    pub fn with_fail_open_when_declined(mut self) -> Self {
        self.fail_open.declined = true;
        self
    }

    /// Makes the route fail open when the provider returned a human verdict and the replay store
    /// could not claim the token. Default: fail closed, also for [`fail_open`](Self::fail_open).
    ///
    /// Risk: replays. Most providers accept a token once by themselves. A token of the others
    /// passes any number of times until the store works again.
    #[must_use]
    pub fn with_fail_open_when_store_unavailable(mut self) -> Self {
        self.fail_open.store_unavailable = true;
        self
    }

    /// Sets the action that the challenge must have been solved for. Default: any action.
    ///
    /// The widgets of the guard declare it. [`Guard::new`](crate::Guard::new) fails if the check
    /// never reports an action.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Sets the rules that a human verdict must satisfy, for example host names, a score or an age.
    /// Default: no rules beyond those of the check.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.requires = Some(policy);
        self
    }

    /// Sets when a request without a token is challenged. Default [`Trigger::always`].
    ///
    /// A token that the request has is verified anyway. The handler must take a
    /// [`Visitor`](crate::Visitor): one that demands a [`Human`](crate::Human) challenges every
    /// visitor.
    #[must_use]
    pub fn with_trigger(mut self, trigger: Trigger) -> Self {
        self.trigger = trigger;
        self
    }

    /// Makes the route decide, count and log as usual, and let requests through that it would have
    /// refused. Default: refusals have effect.
    ///
    /// Use it for the days before a check is enforced. A request that would have been refused
    /// reaches the handler as [`Unverified::Observed`](crate::Unverified::Observed). A handler that
    /// demands a [`Human`](crate::Human) still refuses, and so does the guard when the body is too
    /// large or too slow.
    #[must_use]
    pub fn with_observe_only(mut self) -> Self {
        self.observe_only = true;
        self
    }

    /// Returns the name of the route.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns an error for a policy that cannot work with a check of these `capabilities`.
    pub(crate) fn validate(&self, capabilities: Capabilities) -> Result<(), ConfigError> {
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
            if capabilities.of(FactKind::Action) == Support::Never {
                return Err(ConfigError::new(
                    "action",
                    "is demanded of a check that never reports one, so every request would be \
                     refused",
                    "leave the action out, or choose a provider that reports it",
                ));
            }
        }
        self.trigger.validate()
    }
}
