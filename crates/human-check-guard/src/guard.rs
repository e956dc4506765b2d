use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use human_check_core::{ConfigError, FunnelStep, Receipt, ReceiptError, Widget};

use crate::decision::Inspected;
use crate::integration::BodyBudget;
use crate::page::LanguageIndex;
use crate::snapshot::{Identity, Snapshot};
use crate::tokens::TokenFields;
use crate::{
    BodyLimits, CspSources, DenialReason, ExperimentReceipt, Html, Rejection, RequestHead,
    RoutePolicy, Selected, WidgetRenderer,
};

/// Guards routes with a check: finds the token of a request, calls the check, and decides.
///
/// A guard holds the check, the policy of the routes, the widgets and all other settings. Build it
/// once at start and clone it; a clone is cheap and shares everything. The guard knows no
/// framework. The crates for actix-web, axum and Rocket pass requests to it.
///
/// One site has one guard for each policy. [`with_policy`](Self::with_policy) creates further
/// guards from the first:
///
/// ```
/// use human_check_guard::{Guard, RoutePolicy};
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let newsletter = signup.with_policy(RoutePolicy::fail_open("newsletter"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// # Replacing a guard
///
/// A guard is fixed when it is built. To change its settings while the server runs, build it with
/// [`into_replaceable`](Self::into_replaceable) and call [`replace`](Self::replace) later:
///
/// ```
/// use human_check_guard::{Guard, RoutePolicy};
/// # let old_check = human_check_testkit::Scripted::human();
/// # let new_check = human_check_testkit::Scripted::human();
/// let guard = Guard::new(old_check, RoutePolicy::fail_closed("signup"))?.into_replaceable();
/// let in_use = guard.clone();
/// let successor = Guard::new(new_check, RoutePolicy::fail_closed("signup"))?;
/// Guard::replace(&[(&guard, &successor)])?; // `in_use` now calls the new check
/// # assert!(in_use.ptr_eq(&guard));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Guard {
    /// What decides. For a replaceable guard that is no snapshot: what its getters return.
    current: Snapshot,
    /// The cell that holds the latest snapshot, if the guard is replaceable.
    live: Option<Arc<Live>>,
    /// Whether this is a [`snapshot`](Guard::snapshot), or cannot be replaced.
    decides: bool,
}

struct Live {
    current: RwLock<Snapshot>,
    /// Guards that `with_policy` derived from this one. They are replaced with it.
    derived: Mutex<Vec<(RoutePolicy, Weak<Live>)>>,
    /// The guard that this one was derived from. It must live as long, because a replacement reaches
    /// this one through it.
    _parent: Option<Arc<Live>>,
}

/// Serializes `replace` and `with_policy`. Without it, a guard that is derived during a replacement
/// would be made from the old settings and miss the new ones.
static REPLACEMENT: Mutex<()> = Mutex::new(());

impl Live {
    fn new(snapshot: Snapshot, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            current: RwLock::new(snapshot),
            derived: Mutex::default(),
            _parent: parent,
        })
    }

    fn current(&self) -> Snapshot {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds the change of this guard, and of all guards derived from it, to `changes`.
    fn plan(
        self: &Arc<Self>,
        successor: Snapshot,
        changes: &mut Vec<(Arc<Self>, Snapshot)>,
    ) -> Result<(), ConfigError> {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        for (policy, other) in derived.iter() {
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
    /// Creates a guard with the same settings for routes under another policy.
    ///
    /// If this guard is [replaceable](Self::into_replaceable), the new one is replaced with it and
    /// keeps its policy.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_policy(&self, policy: RoutePolicy) -> Result<Self, ConfigError> {
        let _replacement = REPLACEMENT.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = Self::fixed(Snapshot::new(
            Arc::clone(self.latest().site()),
            policy.clone(),
        )?);
        let Some(live) = &self.live else {
            return Ok(guard);
        };
        let other = Live::new(guard.current, Some(Arc::clone(live)));
        let mut derived = live.derived.lock().unwrap_or_else(PoisonError::into_inner);
        derived.retain(|(_, other)| other.strong_count() > 0);
        derived.push((policy, Arc::downgrade(&other)));
        Ok(Self::live(other))
    }

    /// Creates the form of a guard that follows its replacements.
    fn live(live: Arc<Live>) -> Self {
        Self {
            current: live.current().without_check(),
            live: Some(live),
            decides: false,
        }
    }

    /// Returns the same guard in a form that [`replace`](Self::replace) can replace while it is in
    /// use.
    ///
    /// Call it before the guard is cloned: clones that exist already stay as they are.
    #[must_use]
    pub fn into_replaceable(self) -> Self {
        // Clones of the fixed guard do not follow a replacement, so the replaceable guard must not
        // count as the same guard.
        let current = self.latest().with_identity(Identity::default());
        Self::live(Live::new(current, None))
    }

    /// Replaces the first guard of each pair by the second, in all clones of the first and in the
    /// guards that [`with_policy`](Self::with_policy) created from it.
    ///
    /// All pairs are replaced, or none. Requests in flight finish with the old guards.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a first guard is not [replaceable](Self::into_replaceable), or when the
    /// policy of a guard created from it demands a fact that its new check never reports. Then
    /// nothing changes.
    pub fn replace(pairs: &[(&Self, &Self)]) -> Result<(), ConfigError> {
        let _replacement = REPLACEMENT.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for (guard, successor) in pairs {
            let Some(live) = &guard.live else {
                return Err(ConfigError::new(
                    "guard",
                    "is not replaceable",
                    "call `into_replaceable` on it before it is cloned",
                ));
            };
            live.plan(successor.snapshot().current, &mut changes)?;
        }
        for (live, successor) in changes {
            let mut current = live.current.write().unwrap_or_else(PoisonError::into_inner);
            let identity: Identity = current.identity().clone();
            let (before, after) = (&current.site().streaks, &successor.site().streaks);
            if !Arc::ptr_eq(before, after) {
                before.end();
            }
            *current = successor.with_identity(identity);
        }
        Ok(())
    }

    /// Returns the guard as it is now. The result keeps its settings when the guard is
    /// [replaced](Self::replace).
    ///
    /// One request must be decided by one snapshot from beginning to end; the crates for the
    /// frameworks take one for each request. Take one where you render a page, too, and do not keep
    /// it longer than that.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        match self.decides {
            true => self.clone(),
            false => Self {
                current: self.latest(),
                live: self.live.clone(),
                decides: true,
            },
        }
    }

    /// Does the same as [`snapshot`](Self::snapshot), without a clone of what is one already.
    pub(crate) fn into_snapshot(self) -> Self {
        match self.decides {
            true => self,
            false => self.snapshot(),
        }
    }

    /// Returns what decides now, also for a snapshot of earlier.
    fn latest(&self) -> Snapshot {
        match &self.live {
            None => self.current.clone(),
            Some(live) => live.current(),
        }
    }

    /// Returns the policy of the routes.
    ///
    /// A replaceable guard returns what it had when it was built. Call this method on a
    /// [`snapshot`](Self::snapshot) to get what is in force now. The same holds for the other
    /// getters and for [`client_ip`](Self::client_ip).
    pub fn policy(&self) -> &RoutePolicy {
        self.current.policy()
    }

    /// Returns the widgets for pages whose forms lead to these routes.
    ///
    /// They have the action of the [policy](RoutePolicy::with_action), if their provider supports
    /// actions.
    pub fn widgets(&self) -> &[Widget] {
        self.current.widgets()
    }

    /// Returns the widgets as HTML with their scripts, to be placed inside a form that leads to
    /// these routes.
    ///
    /// It suits pages with one guarded form and without a content security policy. For other pages
    /// use [`WidgetRenderer`] and [`CspSources`](crate::CspSources).
    pub fn html(&self) -> Html {
        WidgetRenderer::new().html_of(self.snapshot().widgets())
    }

    /// Returns the place at which the page script shows the account that the visitor meets. The script
    /// asks the options endpoint for it, so that caches can keep the page.
    ///
    /// [`Selected::place`] saves that request.
    pub fn place(&self) -> Html {
        let page = self.snapshot();
        page.current.page().place(None, LanguageIndex::default())
    }

    /// Returns the sources that a content security policy must allow for a page with these widgets:
    /// those of every account that the routes can select.
    pub fn csp_sources(&self) -> CspSources {
        self.snapshot().current.csp_sources()
    }

    /// Returns the limits on the bodies that the guard reads.
    pub fn body_limits(&self) -> BodyLimits {
        self.current.site().limits
    }

    /// Returns the budget of the bytes that all large bodies may hold together.
    pub(crate) fn body_budget(&self) -> BodyBudget {
        self.current.site().bodies.clone()
    }

    /// Returns the fields and members of a body that hold tokens.
    pub fn fields(&self) -> &Arc<TokenFields> {
        self.current.fields()
    }

    /// Returns the client's address. `None` if it is unknown, see
    /// [`ClientAddress`](crate::ClientAddress).
    pub fn client_ip(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        self.current.client_ip(head)
    }

    /// Returns whether both are the same guard.
    ///
    /// True for clones of one guard, and for one replaceable guard before and after a replacement.
    /// False for guards with different policies, and for two guards that were built separately,
    /// even from equal settings.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.current.identity() == other.current.identity()
    }

    /// Selects the account that the visitor of a page meets, whose form leads to these routes.
    ///
    /// `head` is that of the request for the page: its host and country select the list of accounts.
    /// The first account of the list that is not down is selected, or the primary if none works.
    ///
    /// ```
    /// use human_check_guard::{Guard, RequestHead};
    ///
    /// fn page(guard: &Guard, head: &dyn RequestHead) -> String {
    ///     let captcha = guard.select(head).html();
    ///     format!("<form method=\"post\">{captcha}<button>Sign up</button></form>")
    /// }
    /// ```
    pub fn select(&self, head: &dyn RequestHead) -> Selected {
        let guard = self.snapshot();
        let snapshot = &guard.current;
        let selection = &snapshot.site().selection;
        let list = match selection.by_host.is_empty() && selection.by_country.is_empty() {
            // Most routes have one list, which no head changes.
            true => selection.list_for(None, None),
            false => guard.inspect(head).list(),
        };
        let experiment = snapshot.read_experiment(head);
        let mut selected = snapshot.select_any(list, &experiment);
        head.header("accept-language", &mut |line| {
            selected.language = snapshot.site().texts.preferred(line);
        });
        selected
    }

    /// Returns whether an account of the default list works: whether not all of them are down, by health
    /// probes or by force. It has the accounts that are down probed, as a request would.
    pub fn has_working_account(&self) -> bool {
        let guard = self.snapshot();
        let judges = guard.current.judges();
        let are_down = judges.are_all_down(0);
        if are_down {
            // A process without requests would never find out that one works again.
            judges.recover(0);
        }
        !are_down
    }

    /// Records that a visitor of an experiment has done what they came for, such as a sign-up. The first
    /// call for a receipt counts.
    ///
    /// ```
    /// use human_check_guard::{Guard, Human};
    ///
    /// fn signed_up(guard: &Guard, human: &Human) {
    ///     if let Some(receipt) = human.receipt() {
    ///         guard.completed(receipt);
    ///     }
    /// }
    /// ```
    pub fn completed(&self, receipt: &ExperimentReceipt) {
        let guard = self.snapshot();
        if let Some(experiment) = guard.current.experiment() {
            experiment.record(receipt, FunnelStep::Completed, guard.current.now());
        }
    }

    /// Records the same as [`completed`](Self::completed), for an application that has kept the text of
    /// the receipt, for example until a mail was confirmed.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`] when the text is no receipt.
    pub fn completed_later(&self, receipt: &str) -> Result<(), ReceiptError> {
        let guard = self.snapshot();
        let current = &guard.current;
        let Some(experiment) = current.experiment() else {
            return receipt
                .split('.')
                .next()
                .unwrap_or_default()
                .parse::<Receipt>()
                .map(drop);
        };
        let (bare, known) = experiment.parse(&current.policy().name, receipt)?;
        match known {
            Some(receipt) => experiment.record(&receipt, FunnelStep::Completed, current.now()),
            None => experiment.record_receipt(bare, FunnelStep::Completed, current.now()),
        }
        Ok(())
    }

    /// Reads the head of a request. It does not call the check.
    ///
    /// It is the first step of a decision. [`Inspected::with_tokens`] adds the tokens of the body.
    /// Call it on a [`snapshot`](Self::snapshot).
    pub fn inspect(&self, head: &dyn RequestHead) -> Inspected {
        match self.decides {
            true => Inspected::new(&self.current, head),
            false => Inspected::new(&self.snapshot().current, head),
        }
    }

    /// Refuses a request without a call of the check. The refusal is logged and passed to the
    /// observers.
    pub fn refuse(&self, head: &dyn RequestHead, denial: DenialReason) -> Rejection {
        self.snapshot().inspect(head).refuse(denial)
    }

    /// Refuses a request with [`DenialReason::ChallengeRequired`], whatever the triggers say.
    ///
    /// Use it in handlers that find out themselves that a challenge is needed, such as a login that
    /// counts the failed attempts on an account.
    ///
    /// ```
    /// use human_check_guard::{Guard, Human, Rejection, RequestHead};
    ///
    /// fn before_login(
    ///     guard: &Guard,
    ///     head: &dyn RequestHead,
    ///     human: Option<&Human>,
    ///     failed_logins: u32,
    /// ) -> Result<(), Rejection> {
    ///     if human.is_none() && failed_logins >= 3 {
    ///         return Err(guard.require_challenge(head));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn require_challenge(&self, head: &dyn RequestHead) -> Rejection {
        self.refuse(head, DenialReason::ChallengeRequired)
    }

    /// Returns what decides, of a [`snapshot`](Self::snapshot).
    pub(crate) fn decided_by(&self) -> &Snapshot {
        &self.current
    }

    /// Creates a guard that cannot be replaced.
    pub(crate) fn fixed(current: Snapshot) -> Self {
        Self {
            current,
            live: None,
            decides: true,
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().current.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use human_check_core::{
        Capabilities, CheckError, FactKind, HumanCheck, Provider, Score, Submission, Verdict,
    };
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
    fn a_snapshot_stays_as_it_is_and_what_is_made_of_it_follows_replacements() {
        let guard_one = guard("one").into_replaceable();
        let snapshot = guard_one.snapshot();
        Guard::replace(&[(&guard_one, &guard("two"))]).unwrap();
        assert_eq!(
            (name(&snapshot), name(&guard_one)),
            ("one".into(), "two".into())
        );
        assert_eq!(name(&snapshot.snapshot()), "one");
        // The policy is its own, and the check is the new one.
        let secret = Arc::new("a secret".to_owned());
        let next = Guard::new(
            Holding(Arc::clone(&secret)),
            RoutePolicy::fail_closed("two"),
        );
        Guard::replace(&[(&guard_one, &next.unwrap())]).unwrap();
        let derived = snapshot
            .with_policy(RoutePolicy::fail_closed("three"))
            .unwrap();
        assert!(format!("{derived:?}").contains("Holding"), "{derived:?}");
    }

    #[test]
    fn a_guard_that_is_made_replaceable_twice_decides() {
        let once = guard("one").into_replaceable();
        let derived = once.with_policy(RoutePolicy::fail_closed("two")).unwrap();
        for twice in [once.into_replaceable(), derived.into_replaceable()] {
            let shown = format!("{twice:?}");
            assert!(
                shown.contains("Scripted") && !shown.contains("Replaced"),
                "{shown}"
            );
        }
    }

    /// A check with something of which the test sees whether it is still in memory.
    #[derive(Debug)]
    #[allow(dead_code, reason = "only whether it is in memory counts")]
    struct Holding(Arc<String>);

    #[async_trait::async_trait]
    impl HumanCheck for Holding {
        fn providers(&self) -> &[Provider] {
            &[]
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::nothing()
        }

        async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
            std::future::pending().await
        }
    }

    #[test]
    fn nothing_of_a_replaced_check_stays_in_memory() {
        let secret = Arc::new("a secret".to_owned());
        let policy = || RoutePolicy::fail_closed("one");
        let first = Guard::new(Holding(Arc::clone(&secret)), policy()).unwrap();
        let replaceable = first.clone().into_replaceable();
        let derived = replaceable.with_policy(RoutePolicy::fail_closed("two"));
        let (derived, clone) = (derived.unwrap(), replaceable.clone());
        let in_use = replaceable.snapshot();
        drop(first);
        for _ in 0..3 {
            let next = Guard::new(Holding(Arc::clone(&secret)), policy()).unwrap();
            Guard::replace(&[(&replaceable, &next)]).unwrap();
        }
        // The test, the latest check, and the request that goes on with the first one.
        assert_eq!(Arc::strong_count(&secret), 3);
        drop(in_use);
        assert_eq!(Arc::strong_count(&secret), 2);
        assert_eq!((name(&derived), name(&clone)), ("two".into(), "one".into()));
        assert!(format!("{clone:?}").contains("Holding"), "{clone:?}");
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
        assert_eq!(
            before.policy().name(),
            "one",
            "a snapshot keeps its settings"
        );
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
        // The successor of `second` reports no score, which the policy of `derived` demands.
        let pairs = [(&first, &scoring("x")), (&second, &guard("y"))];
        let error = Guard::replace(&pairs).unwrap_err();
        assert!(error.to_string().contains("score"), "{error}");
        assert_eq!([&first, &second, &derived].map(name), ["a", "b", "c"]);
        assert!(Guard::replace(&[(&guard("fixed"), &first)]).is_err());
    }

    #[test]
    fn a_guard_derived_in_two_steps_follows_although_the_middle_one_is_gone() {
        let first = guard("a").into_replaceable();
        let policy = |name: &'static str| RoutePolicy::fail_closed(name);
        let last = first
            .with_policy(policy("b"))
            .unwrap()
            .with_policy(policy("c"))
            .unwrap();
        let before = last.snapshot();
        Guard::replace(&[(&first, &guard("new"))]).unwrap();
        assert_eq!([&first, &last].map(name), ["new", "c"]);
        let site = |guard: &Guard| Arc::clone(guard.snapshot().current.site());
        assert!(
            Arc::ptr_eq(&site(&first), &site(&last)),
            "both have the new settings"
        );
        assert!(!Arc::ptr_eq(before.current.site(), &site(&last)));
    }
}
