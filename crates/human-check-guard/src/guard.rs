use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use human_check_core::{ConfigError, Widget};

use crate::decision::Inspected;
use crate::snapshot::{Identity, Snapshot};
use crate::tokens::TokenFields;
use crate::{BodyLimits, DenialReason, Html, Rejection, RequestHead, RoutePolicy, WidgetRenderer};

/// A check in front of routes, with everything they need to decide and to answer.
///
/// Build it once and clone it: clones share everything. It knows no framework; the crates for
/// actix-web, Rocket and axum hand it requests.
///
/// ```
/// use human_check_guard::{Guard, RoutePolicy};
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let newsletter = signup.with_policy(RoutePolicy::fail_open("newsletter"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Guard {
    now: Snapshot,
    /// Where its successors are found, if it may have any.
    live: Option<Arc<Live>>,
}

struct Live {
    now: RwLock<Snapshot>,
    /// Guards for other policies, which follow this one.
    others: Mutex<Vec<(RoutePolicy, Weak<Live>)>>,
}

/// One change at a time, and no guard is made of another in the middle of one: it would be made of what
/// is being replaced, and miss that.
static CHANGING: Mutex<()> = Mutex::new(());

impl Live {
    fn new(snapshot: Snapshot) -> Arc<Self> {
        Arc::new(Self {
            now: RwLock::new(snapshot),
            others: Mutex::default(),
        })
    }

    fn now(&self) -> Snapshot {
        self.now
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn plan(
        self: &Arc<Self>,
        successor: Snapshot,
        changes: &mut Vec<(Arc<Self>, Snapshot)>,
    ) -> Result<(), ConfigError> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        for (policy, other) in others.iter() {
            let Some(other) = other.upgrade() else {
                continue;
            };
            let site = Arc::clone(successor.site());
            other.plan(Snapshot::new(site, policy.clone())?, changes)?;
        }
        changes.push((Arc::clone(self), successor));
        Ok(())
    }
}

impl Guard {
    /// The same site's guard for routes under another policy. If this one can be replaced, that one
    /// follows.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_policy(&self, policy: RoutePolicy) -> Result<Self, ConfigError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = Self::fixed(Snapshot::new(
            Arc::clone(self.snapshot().now.site()),
            policy.clone(),
        )?);
        let Some(live) = &self.live else {
            return Ok(guard);
        };
        let other = Live::new(guard.now.clone());
        let mut others = live.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.retain(|(_, other)| other.strong_count() > 0);
        others.push((policy, Arc::downgrade(&other)));
        Ok(Self {
            live: Some(other),
            ..guard
        })
    }

    /// The same guard, which may be [replaced](Self::replace) while it is in use.
    #[must_use]
    pub fn into_replaceable(self) -> Self {
        // A guard that can be replaced is another one than the guard it was made of.
        let now = self.now.with_identity(Identity::default());
        Self {
            live: Some(Live::new(now.clone())),
            now,
        }
    }

    /// Puts each second guard in the place of the first, in all its clones and in the guards made of it
    /// [with another policy](Self::with_policy). Requests that are under way are finished by the old
    /// ones.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when one of the first is not [replaceable](Self::into_replaceable), or the policy of a
    /// guard made of it does not fit its successor. Then all stay as they are.
    pub fn replace(pairs: &[(&Self, &Self)]) -> Result<(), ConfigError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for (guard, successor) in pairs {
            let Some(live) = &guard.live else {
                return Err(ConfigError::new(
                    "guard",
                    "was not built to be replaced",
                    "call `into_replaceable` on it before it is cloned",
                ));
            };
            live.plan(successor.snapshot().now, &mut changes)?;
        }
        for (live, successor) in changes {
            let mut now = live.now.write().unwrap_or_else(PoisonError::into_inner);
            let identity: Identity = now.identity().clone();
            *now = successor.with_identity(identity);
        }
        Ok(())
    }

    /// This guard as it is now, to stay so: what one request is decided by from beginning to end.
    ///
    /// The crates for the frameworks do this for each request. Call it where you show a page and keep
    /// what you get no longer than that.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let now = match &self.live {
            None => self.now.clone(),
            Some(live) => live.now(),
        };
        Self {
            now,
            live: self.live.clone(),
        }
    }

    /// The route policy.
    pub fn policy(&self) -> &RoutePolicy {
        self.now.policy()
    }

    /// The widgets to show on pages whose forms lead to these routes.
    pub fn widgets(&self) -> &[Widget] {
        self.now.widgets()
    }

    /// The widgets as HTML, with their scripts, for inside a form that leads to these routes.
    ///
    /// For pages with one such form and without a content security policy; others use
    /// [`WidgetRenderer`](crate::WidgetRenderer).
    pub fn html(&self) -> Html {
        WidgetRenderer::new().html_of(self.snapshot().widgets())
    }

    /// How much of a body is read.
    pub fn body_limits(&self) -> BodyLimits {
        self.now.site().limits
    }

    /// Where tokens stand in a body.
    pub fn fields(&self) -> &Arc<TokenFields> {
        self.now.fields()
    }

    /// The visitor's address, as far as it is known.
    pub fn client_ip(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        self.now.client_ip(head)
    }

    /// Whether both are the same guard. Clones are, and what it was before and after it was replaced;
    /// guards for other policies are not, nor are two
    /// that were built alike.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.now.identity() == other.now.identity()
    }

    /// Reads the head of a request. The check is not called yet.
    pub fn inspect(&self, head: &dyn RequestHead) -> Inspected {
        Inspected::new(&self.now, head)
    }

    /// Refuses a request for a reason that needs no check, and counts that.
    pub fn refuse(&self, head: &dyn RequestHead, denial: DenialReason) -> Rejection {
        self.snapshot().inspect(head).refuse(denial)
    }

    /// Asks this visitor for a challenge, whatever the triggers say.
    ///
    /// For handlers that find out by themselves that one is due, such as a login that knows how
    /// often its account was tried.
    pub fn require_challenge(&self, head: &dyn RequestHead) -> Rejection {
        self.refuse(head, DenialReason::ChallengeRequired)
    }

    /// A guard that cannot be replaced.
    pub(crate) fn fixed(now: Snapshot) -> Self {
        Self { now, live: None }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use human_check_core::{Capabilities, FactKind, Score};
    use human_check_testkit::Scripted;

    use super::*;

    fn guard(name: &'static str) -> Guard {
        let policy = RoutePolicy::fail_closed(name);
        Guard::new(Scripted::human(), policy).unwrap()
    }

    fn name(guard: &Guard) -> String {
        guard.snapshot().policy().name().to_owned()
    }

    #[test]
    fn a_replaced_guard_is_the_same_one_in_all_its_clones() {
        let guard_one = guard("one").into_replaceable();
        let clone = guard_one.clone();
        let before = clone.snapshot();
        let other = clone.with_policy(RoutePolicy::fail_open("login")).unwrap();
        Guard::replace(&[(&guard_one, &guard("two"))]).unwrap();
        assert_eq!((name(&clone), name(&other)), ("two".into(), "login".into()));
        assert!(clone.ptr_eq(&guard_one) && before.ptr_eq(&clone.snapshot()));
        assert_eq!(before.policy().name(), "one", "a request ends as it began");
        assert!(!clone.ptr_eq(&other) && !clone.ptr_eq(&guard("two")));
    }

    #[test]
    fn when_one_cannot_be_replaced_none_is() {
        let scoring = |name| {
            let check = Scripted::human()
                .with_capabilities(Capabilities::nothing().always(FactKind::Score));
            Guard::new(check, RoutePolicy::fail_closed(name)).unwrap()
        };
        let (first, second) = (
            scoring("a").into_replaceable(),
            scoring("b").into_replaceable(),
        );
        let floor = human_check_core::Policy::new().with_min_score(Score::humanity(0.5).unwrap());
        let policy = RoutePolicy::fail_closed("c").with_policy(floor);
        let derived = second.with_policy(policy).unwrap();
        // The successor of the second reports no score, which the derived one demands.
        let pairs = [(&first, &scoring("x")), (&second, &guard("y"))];
        let error = Guard::replace(&pairs).unwrap_err();
        assert!(error.to_string().contains("score"), "{error}");
        assert_eq!([&first, &second, &derived].map(name), ["a", "b", "c"]);
        assert!(Guard::replace(&[(&guard("fixed"), &first)]).is_err());
    }
}
