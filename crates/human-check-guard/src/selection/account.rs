use std::fmt;
use std::sync::Arc;

use human_check_core::{Capabilities, HumanCheck, Provider, Widget};

use super::health::{AccountHealth, Settings};
use super::offer::NameDigest;
use super::offer_keys::name_digest;
use super::script_watch::{ScriptProbe, ScriptWatch};

/// The default number of health probes a day.
const MAX_PROBES_PER_DAY: u32 = 1_000;

/// One set of keys with one provider: its name, its check, its widget and its health.
///
/// Clones share the health. Give clones of one account to all guards that use it, so that they learn
/// together that it is down.
///
/// ```
/// use human_check_guard::{Account, AccountList, Guard, RoutePolicy, Selection};
///
/// # use human_check_core::Provider;
/// # use human_check_testkit::Scripted;
/// # static OTHER: Provider = Provider::new("other", &["other-response"]);
/// # let turnstile = Scripted::human();
/// # let hcaptcha = Scripted::human().with_provider(&OTHER);
/// let main = Account::new("main", turnstile);
/// let spare = Account::new("spare", hcaptcha);
/// let selection = Selection::new(AccountList::new(main).with_fallback([spare]));
/// let guard = Guard::builder_for(selection).build(RoutePolicy::fail_closed("signup"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Account {
    name: Arc<str>,
    kind: Arc<str>,
    provider: Provider,
    check: Arc<dyn HumanCheck>,
    /// What its own verdicts carry, without those of a dual accept.
    own_capabilities: Capabilities,
    widget: Option<Widget>,
    interactive: bool,
    health: Arc<AccountHealth>,
    script: Option<Arc<ScriptWatch>>,
}

impl Account {
    /// Creates an account called `name`, whose tokens `check` verifies.
    ///
    /// The account belongs to the first provider of the check. The tokens of its further providers,
    /// such as those of a [`DualAccept`](human_check_core::DualAccept), are accepted where the account
    /// is the first of its list.
    pub fn new(name: impl Into<Arc<str>>, check: impl HumanCheck) -> Self {
        static NONE: Provider = Provider::new("none", &[]);
        let check: Arc<dyn HumanCheck> = Arc::new(check);
        let name = name.into();
        let provider = check.providers().first().unwrap_or(&NONE).clone();
        let settings = Settings {
            is_forced_down: false,
            max_probes_per_day: MAX_PROBES_PER_DAY,
        };
        Self {
            health: Arc::new(AccountHealth::new(
                name.to_string(),
                Arc::clone(&check),
                settings,
            )),
            kind: provider.name().into(),
            name,
            provider,
            own_capabilities: check.capabilities(),
            check,
            widget: None,
            interactive: true,
            script: None,
        }
    }

    /// Sets the kind of the account, such as `turnstile`. Default: the name of the provider.
    ///
    /// An offer names the account by its name, its kind and its site key.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<Arc<str>>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Sets the widget of the account. Default: pages show none.
    #[must_use]
    pub fn with_widget(mut self, widget: Widget) -> Self {
        self.widget = Some(widget);
        self
    }

    /// Sets the check, and keeps the health: health probes go on with the check of [`new`](Self::new).
    ///
    /// For an account that is the first of its list with further checks around it, such as a
    /// [`DualAccept`](human_check_core::DualAccept), and stands alone in other lists.
    #[must_use]
    pub fn with_check(mut self, check: impl HumanCheck) -> Self {
        self.check = Arc::new(check);
        self
    }

    /// Sets the check that health probes go on with, and keeps the one that judges.
    ///
    /// For an account with a [`Failover`](human_check_core::Failover) around it, which is down only if
    /// both of its checks are.
    #[must_use]
    pub fn with_health_check(mut self, check: impl HumanCheck) -> Self {
        self.health = Arc::new(self.health.with_check(Arc::new(check)));
        self
    }

    /// Sets that the account shows no challenge that a visitor can solve, as reCAPTCHA v3 does not.
    /// It can then not be the account of a step-up.
    #[must_use]
    pub fn without_interaction(mut self) -> Self {
        self.interactive = false;
        self
    }

    /// Sets that the account is down, whatever its health probes say. Default: they decide.
    ///
    /// For an outage that the probes do not see.
    #[must_use]
    pub fn with_forced_down(self) -> Self {
        let settings = Settings {
            is_forced_down: true,
            ..self.health.settings()
        };
        self.with_settings(settings)
    }

    /// Sets how many health probes this process sends a day. Default 1,000. Beyond them it sends two
    /// in five minutes.
    ///
    /// A provider that bills by the call bills probes, too.
    #[must_use]
    pub fn with_max_probes_per_day(self, probes: u32) -> Self {
        let settings = Settings {
            max_probes_per_day: probes,
            ..self.health.settings()
        };
        self.with_settings(settings)
    }

    /// Takes over what is known of the health of `other`, for an account that replaces it with other
    /// settings. Default: nothing is known, and the account counts as up.
    #[must_use]
    pub fn with_health_of(mut self, other: &Self) -> Self {
        self.health = Arc::new(self.health.with_memory_of(&other.health));
        self
    }

    /// Sets the probe that finds out whether the script of the widget can be loaded. Default: none,
    /// so that the script counts as up.
    ///
    /// It is called about every 30 seconds. After three failures in a row new pages show the next
    /// account, and after two successes this one again. Tokens of the account still count.
    #[must_use]
    pub fn with_script_probe(mut self, probe: impl ScriptProbe) -> Self {
        self.script = Some(Arc::new(ScriptWatch::new(Arc::new(probe))));
        self
    }

    fn with_settings(mut self, settings: Settings) -> Self {
        self.health = Arc::new(self.health.with_settings(settings));
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Returns the widget, if the account has one.
    pub fn widget(&self) -> Option<&Widget> {
        self.widget.as_ref()
    }

    /// Returns whether the account is down, by its health probes or by
    /// [`with_forced_down`](Self::with_forced_down).
    pub fn is_down(&self) -> bool {
        self.health.is_down()
    }

    pub(crate) fn check(&self) -> &Arc<dyn HumanCheck> {
        &self.check
    }

    /// Returns what the verdicts of the account itself carry.
    pub(crate) fn own_capabilities(&self) -> Capabilities {
        self.own_capabilities
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    pub(crate) fn health(&self) -> &Arc<AccountHealth> {
        &self.health
    }

    pub(crate) fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Returns whether the script of the widget cannot be loaded.
    pub(crate) fn is_script_down(&self) -> bool {
        // A probe that the next configuration takes out leaves nothing behind.
        self.script.is_some() && self.health.is_script_down()
    }

    /// Keeps watching whether the script of the widget can be loaded.
    pub(crate) fn watch_script(&self) {
        if let Some(script) = &self.script {
            script.keep_watching(&self.health);
        }
    }

    /// Returns what stands for the account in an offer.
    pub(crate) fn digest(&self) -> NameDigest {
        let site_key = self.widget.as_ref().map_or("", Widget::site_key);
        name_digest(&[&self.name, &self.kind, site_key])
    }

    /// Returns the account without its check, for getters.
    pub(crate) fn without_check(&self, check: Arc<dyn HumanCheck>) -> Self {
        Self {
            health: Arc::new(AccountHealth::new(
                self.name.to_string(),
                Arc::clone(&check),
                self.health.settings(),
            )),
            check,
            script: None,
            ..self.clone()
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}
