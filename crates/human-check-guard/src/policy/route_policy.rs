use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

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
    pub(crate) name: Arc<str>,
    pub(crate) action: Option<Cow<'static, str>>,
    pub(crate) requires: Option<Policy>,
    pub(crate) fail_open: FailOpen,
    pub(crate) trigger: Trigger,
    pub(crate) observe_only: bool,
    pub(crate) issues_clearance: Option<Duration>,
    pub(crate) accepts_clearance: Option<AcceptedClearance>,
}

/// Which clearances a route accepts, and for how much.
#[derive(Clone, Debug)]
pub(crate) struct AcceptedClearance {
    /// The names of the routes that issue them.
    pub(crate) from: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) max_requests: u32,
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
            name: name.into().into(),
            action: None,
            requires: None,
            fail_open,
            trigger: Trigger::always(),
            observe_only: false,
            issues_clearance: None,
            accepts_clearance: None,
        }
    }

    /// Creates a policy that refuses every request with 503 while the check cannot reach a verdict.
    ///
    /// `name` is the name of the route in logs and metrics. Use few names and fixed ones, and not a
    /// blank one. By default the policy demands a token with every request, and no action.
    pub fn fail_closed(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, FailOpen::default())
    }

    /// Creates a policy that lets requests through while all accounts of the route are down.
    ///
    /// An account is down when the server's own health probes fail. A single verification that fails,
    /// which a client may provoke, opens no route. The handler then gets a
    /// [`Visitor::Unverified`](crate::Visitor::Unverified), also for a request without a token. A
    /// handler that demands a [`Human`](crate::Human) still refuses. For other errors see
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

    /// Makes the route issue a clearance for `ttl` with each human verdict, as a cookie that routes
    /// with [`with_accepted_clearance`](Self::with_accepted_clearance) accept. Default: it issues
    /// none.
    ///
    /// The middleware or the fairing of the framework's crate sets the cookie.
    #[must_use]
    pub fn with_issued_clearance(mut self, ttl: Duration) -> Self {
        self.issues_clearance = Some(ttl);
        self
    }

    /// Makes a clearance count that one of the routes `from` issued less than `ttl` ago, for up to
    /// `max_requests` requests without a token. Default: none counts.
    ///
    /// The handler then gets a [`Visitor::Cleared`](crate::Visitor::Cleared). A handler that demands a
    /// [`Human`](crate::Human) challenges the visitor. The guard needs a store that counts the
    /// requests, see
    /// [`GuardBuilder::with_attempt_store`](crate::GuardBuilder::with_attempt_store). While the store
    /// fails, no clearance counts.
    #[must_use]
    pub fn with_accepted_clearance<N: Into<String>>(
        mut self,
        from: impl IntoIterator<Item = N>,
        ttl: Duration,
        max_requests: u32,
    ) -> Self {
        self.accepts_clearance = Some(AcceptedClearance {
            from: from.into_iter().map(Into::into).collect(),
            ttl,
            max_requests,
        });
        self
    }

    /// Returns the name of the route.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns an error for a policy that cannot work with a check of these `capabilities`.
    /// `expects_action` is whether the action is demanded of this check.
    pub(crate) fn validate(
        &self,
        capabilities: Capabilities,
        expects_action: bool,
    ) -> Result<(), ConfigError> {
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
            if expects_action && capabilities.of(FactKind::Action) == Support::Never {
                return Err(ConfigError::new(
                    "action",
                    "is demanded of a check that never reports one, so every request would be \
                     refused",
                    "leave the action out, or choose a provider that reports it",
                ));
            }
        }
        if let Some(accepted) = &self.accepts_clearance {
            let is_empty = accepted.from.is_empty()
                || accepted.ttl < Duration::from_secs(1)
                || accepted.max_requests == 0;
            if is_empty {
                return Err(ConfigError::new(
                    "accept_clearance",
                    "names no route, or allows no time or no request",
                    "name the routes that issue it, a time of a second or more, and at least one \
                     request",
                ));
            }
        }
        self.trigger.validate()
    }
}
