use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use human_check_core::{ConfigError, Enforce, HumanCheck, Provider, Widget};

use crate::builder::Site;
use crate::response;
use crate::{
    BodyLimits, DenialReason, GuardBuilder, Html, Rejection, RequestHead, RoutePolicy, TokenFields,
    WidgetRenderer,
};

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
    inner: Arc<Inner>,
    /// Where its successors are found, if it may have any.
    live: Option<Arc<Live>>,
}

struct Live {
    now: RwLock<Arc<Inner>>,
    /// Guards for other policies, which follow this one.
    others: Mutex<Vec<(RoutePolicy, Weak<Live>)>>,
}

/// One change at a time, and no guard is made of another in the middle of one: it would be made of what
/// is being replaced, and miss that.
static CHANGING: Mutex<()> = Mutex::new(());

impl Live {
    fn new(inner: Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            now: RwLock::new(inner),
            others: Mutex::default(),
        })
    }

    fn now(&self) -> Arc<Inner> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn plan(
        self: &Arc<Self>,
        successor: Arc<Inner>,
        changes: &mut Vec<(Arc<Self>, Arc<Inner>)>,
    ) -> Result<(), ConfigError> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        for (policy, other) in others.iter() {
            let Some(other) = other.upgrade() else {
                continue;
            };
            let site = Arc::clone(&successor.site);
            other.plan(Guard::assemble(site, policy.clone())?.inner, changes)?;
        }
        changes.push((Arc::clone(self), successor));
        Ok(())
    }
}

struct Inner {
    site: Arc<Site>,
    policy: RoutePolicy,
    check: Arc<dyn HumanCheck>,
    /// The widgets with the route's action.
    widgets: Vec<Widget>,
    /// How a page shows a challenge, as JSON.
    options: String,
    /// The names of the providers, for a header.
    providers: String,
}

impl Guard {
    /// A guard with the defaults, for routes under `policy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy asks for a fact that the check does not report.
    pub fn new(check: impl HumanCheck, policy: RoutePolicy) -> Result<Self, ConfigError> {
        Self::builder(check).build(policy)
    }

    /// Sets up a guard in front of `check`.
    pub fn builder(check: impl HumanCheck) -> GuardBuilder {
        GuardBuilder::new(Arc::new(check))
    }

    /// The same site's guard for routes under another policy. If this one can be replaced, that one
    /// follows.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_policy(&self, policy: RoutePolicy) -> Result<Self, ConfigError> {
        let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = Self::assemble(Arc::clone(&self.snapshot().inner.site), policy.clone())?;
        let Some(live) = &self.live else {
            return Ok(guard);
        };
        let other = Live::new(Arc::clone(&guard.inner));
        let mut others = live.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.retain(|(_, other)| other.strong_count() > 0);
        others.push((policy, Arc::downgrade(&other)));
        Ok(Self {
            live: Some(other),
            ..guard
        })
    }

    pub(crate) fn assemble(site: Arc<Site>, policy: RoutePolicy) -> Result<Self, ConfigError> {
        policy.validate(site.check.capabilities())?;
        for provider in site.check.providers() {
            // It goes into a header.
            if provider.name().is_empty() || !provider.name().bytes().all(|b| b.is_ascii_graphic())
            {
                return Err(ConfigError::new(
                    "provider",
                    format!("is named {:?}", provider.name()),
                    "name it in printable ASCII without spaces",
                ));
            }
        }
        let check: Arc<dyn HumanCheck> = match &policy.requires {
            Some(required) => Arc::new(Enforce::new(Arc::clone(&site.check), required.clone())?),
            None => Arc::clone(&site.check),
        };
        let mut widgets = site.widgets.clone();
        if let Some(action) = &policy.action {
            for widget in &mut widgets {
                if widget.spec().action.is_some() {
                    *widget = widget.clone().with_action(action.clone())?;
                }
            }
        }
        let names: Vec<_> = site.check.providers().iter().map(Provider::name).collect();
        let providers = names.join(", ");
        let options = response::options(site.check.providers(), &widgets, &site.header);
        Ok(Self {
            inner: Arc::new(Inner {
                site,
                policy,
                check,
                widgets,
                options,
                providers,
            }),
            live: None,
        })
    }

    /// The same guard, which may be [replaced](Self::replace) while it is in use.
    #[must_use]
    pub fn into_replaceable(self) -> Self {
        let live = Live::new(Arc::clone(&self.inner));
        Self {
            live: Some(live),
            ..self
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
                    "call `replaceable` on it before it is cloned",
                ));
            };
            live.plan(successor.snapshot().inner, &mut changes)?;
        }
        for (live, inner) in changes {
            *live.now.write().unwrap_or_else(PoisonError::into_inner) = inner;
        }
        Ok(())
    }

    /// This guard as it is now, to stay so: what one request is decided by from beginning to end.
    ///
    /// The crates for the frameworks do this for each request. Call it where you show a page and keep
    /// what you get no longer than that.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let inner = match &self.live {
            None => Arc::clone(&self.inner),
            Some(live) => live.now(),
        };
        Self {
            inner,
            live: self.live.clone(),
        }
    }

    /// The route policy.
    pub fn policy(&self) -> &RoutePolicy {
        &self.inner.policy
    }

    /// The widgets to show on pages whose forms lead to these routes.
    pub fn widgets(&self) -> &[Widget] {
        &self.inner.widgets
    }

    /// The widgets as HTML, with their scripts, for inside a form that leads to these routes.
    ///
    /// For pages with one such form and without a content security policy; others use
    /// [`WidgetRenderer`](crate::Page).
    pub fn html(&self) -> Html {
        WidgetRenderer::new().html_of(self.snapshot().widgets())
    }

    /// How much of a body is read.
    pub fn body_limits(&self) -> BodyLimits {
        self.inner.site.limits
    }

    /// Where tokens stand in a body.
    pub fn fields(&self) -> &Arc<TokenFields> {
        &self.inner.site.fields
    }

    /// The visitor's address, as far as it is known.
    pub fn client_ip(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        self.inner.site.client.resolve(head)
    }

    /// Whether both are the same guard. Clones are, and what it was before and after it was replaced;
    /// guards for other policies are not, nor are two
    /// that were built alike.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        match (&self.live, &other.live) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => Arc::ptr_eq(&self.inner, &other.inner),
            _ => false,
        }
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

    pub(crate) fn site(&self) -> &Site {
        &self.inner.site
    }

    /// The check, held to the route's policy.
    pub(crate) fn check(&self) -> &dyn HumanCheck {
        &*self.inner.check
    }

    pub(crate) fn options(&self) -> &str {
        &self.inner.options
    }

    pub(crate) fn providers(&self) -> &str {
        &self.inner.providers
    }

    pub(crate) fn own_page(&self, denial: DenialReason) -> Option<String> {
        let page = self.inner.site.page.as_ref()?;
        page(&denial, &self.inner.widgets)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("check", &self.inner.check)
            .field("policy", &self.inner.policy)
            .finish_non_exhaustive()
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
            let check =
                Scripted::human().reporting(Capabilities::nothing().always(FactKind::Score));
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
