//! Composes the check that a model describes, from the inside to the outside: accounts, failover,
//! dual accept, timeout, replay guard, shadow.

mod account;
mod composer;
mod experiment;
mod named_provider;
mod roles;
mod script_url;
mod sunset;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::{
    ConfigError, DualAccept, Failover, ReplayGuard, ReplayStore, Shadow, TestKeyPolicy, Timeout,
    Widget,
};
use human_check_guard::integration::BodyBudget;
use human_check_guard::{self as guard, AttemptStore, BodyLimits, OfferKeys, OptionsEndpoint};

use crate::issuer::Issuer;
use crate::model::{CheckTable, Model, ProviderTable, ShadowTable, StoreKind};
use crate::source::KeyPath;
use crate::{EnterpriseKeyKind, duration};
use account::Account;

pub(crate) use composer::{Before, Composer};
use composer::{STORE_TIMEOUT, Shared};
pub(crate) use experiment::ComposedExperiment;
pub(crate) use named_provider::with_origins;
pub use named_provider::{NamedProvider, load_account, load_accounts};
use roles::Role;
use sunset::{Sunset, sunset};

/// The check of a deployment, and what its guards need beside it.
pub(crate) struct Composed {
    /// The check of all routes without accounts of their own, without the rules of any route.
    pub(crate) check: Shared,
    /// All accounts that visitors may meet, by name. That of `check.use` has the checks of the other
    /// roles around it.
    pub(crate) accounts: BTreeMap<String, guard::Account>,
    /// The account of a dual accept whose kind is that of `check.use`, and its sunset.
    pub(crate) old: Option<(guard::Account, Option<SystemTime>)>,
    /// The keys that sign offers and clearances.
    pub(crate) offer_keys: OfferKeys,
    /// The limit on reports of failed widgets, which all routes share.
    pub(crate) report_limit: guard::ReportLimit,
    /// The store that offers which count once are claimed in.
    pub(crate) offers: Option<Arc<dyn ReplayStore>>,
    /// The widgets that pages show.
    pub(crate) widgets: Vec<Widget>,
    /// The issuers of challenges or server tokens of the accounts that have a role.
    pub(crate) issuers: Vec<Issuer>,
    /// Whether an account accepts replies to its provider's test keys.
    pub(crate) test_keys: TestKeyPolicy,
    /// The bytes that the large bodies of all routes may hold together.
    pub(crate) bodies: BodyBudget,
    /// The experiment, if there is one.
    pub(crate) experiment: Option<ComposedExperiment>,
    /// The store that triggers count requests in.
    pub(crate) attempts: Arc<dyn AttemptStore>,
}

/// The default of `check.timeout`.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The minimum of `check.timeout`. In less time no provider can reply.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

impl Composer<'_> {
    /// Composes the check of the model.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the key at fault.
    pub(crate) fn compose(&self, model: &Model) -> Result<Composed, ConfigError> {
        let table = &model.check;
        let total = table.timeout.unwrap_or(TIMEOUT);
        if total < MIN_TIMEOUT {
            return Err(self.context.wrong(
                &"check.timeout".into(),
                format!(
                    "is {}, in which no provider can reply",
                    duration::shown(total)
                ),
                "write \"100ms\" or more",
            ));
        }
        let mut accounts = Accounts {
            composer: self,
            model,
            // With a failover, the second account needs time after the first.
            timeout: match &table.failover {
                Some(_) => total * 2 / 3,
                None => total,
            },
            total,
            roles: Vec::new(),
            widgets: Vec::new(),
            issuers: Vec::new(),
            test_keys: TestKeyPolicy::Refused,
            met: BTreeMap::new(),
        };
        self.fallback_has_no_failover(model)?;
        let origins = OptionsEndpoint::new([]).with_origins(table.origins.iter().cloned());
        origins.map_err(|error| self.context.placed(&"check.origins".into(), error))?;
        let check = accounts.take(Role::Primary, &table.account, true)?;
        let both = self.with_failover(check, table, &mut accounts)?;
        let check = Arc::clone(&both);
        let (mut check, old) = self.with_dual_accept(check, table, total, &mut accounts)?;
        if let Some(store) = &self.stores.replay {
            let guard = ReplayGuard::new(check, Arc::clone(store));
            check = Arc::new(guard.with_store_timeout(STORE_TIMEOUT));
        }
        if let Some(shadow) = &table.shadow {
            check = self.with_shadow(check, shadow, &mut accounts)?;
        }
        let main = accounts.met(&"check.use".into(), &table.account)?;
        let main = main.with_check(Arc::clone(&check));
        let main = match table.failover {
            None => main,
            // It is down only if both accounts are, because one of them can still decide.
            Some(_) => main.with_health_check(both),
        };
        accounts.met.insert(table.account.clone(), main);
        accounts.meet_all()?;
        self.fallback_on_has_fallback(model)?;
        let experiment = self.experiment(model, &accounts.met)?;
        Ok(Composed {
            check,
            experiment,
            accounts: accounts.met,
            old,
            offer_keys: self.offer_keys(model)?,
            offers: self.stores.offers.clone(),
            report_limit: self.stores.report_limit.clone(),
            widgets: accounts.widgets,
            issuers: accounts.issuers,
            test_keys: accounts.test_keys,
            bodies: BodyBudget::new(
                model
                    .site
                    .max_held_bytes
                    .unwrap_or(BodyLimits::default().max_held_bytes),
            ),
            attempts: Arc::clone(&self.stores.attempts),
        })
    }

    /// Refuses a failover by two tokens beside a fallback by one widget at a time.
    fn fallback_has_no_failover(&self, model: &Model) -> Result<(), ConfigError> {
        match model.check.failover.is_some() && model.has_fallback() {
            false => Ok(()),
            true => Err(self.context.wrong(
                &Role::Failover.path(),
                "is given beside a fallback",
                "leave it out: a fallback needs no second widget on the page",
            )),
        }
    }

    /// Refuses troubles that lead to a fallback where no route has one.
    fn fallback_on_has_fallback(&self, model: &Model) -> Result<(), ConfigError> {
        match model.check.fallback_on.is_empty() || model.has_fallback() {
            true => Ok(()),
            false => Err(self.context.wrong(
                &"check.fallback_on".into(),
                "is set, and no route has a fallback",
                "name the accounts to fall back to with fallback, or leave it out",
            )),
        }
    }

    /// Reads the keys that sign offers and clearances.
    fn offer_keys(&self, model: &Model) -> Result<OfferKeys, ConfigError> {
        let path = KeyPath::from("check.offer_keys");
        if model.check.offer_keys.is_empty() {
            let is_shared = [&model.replay_store, &model.attempt_store]
                .into_iter()
                .flatten()
                .any(|store| store.kind != StoreKind::Memory);
            if is_shared && model.needs_offer_keys() {
                return Err(self.context.wrong(
                    &path,
                    "is missing, and a store is shared with other machines, which could not read \
                     the offers of this one",
                    "put 32 random bytes into a file, the same on all machines, and write \
                     offer_keys = [{ file = \"/path\" }]",
                ));
            }
            return Ok(self.stores.random_keys.clone());
        }
        let secrets = model.check.offer_keys.iter();
        let secrets = secrets.map(|key| self.context.secret(&path, Some(key), ""));
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        for (key, secret) in model.check.offer_keys.iter().zip(&secrets) {
            OfferKeys::new([secret.clone()]).map_err(|error| {
                let problem = format!("{}, from {key}", error.problem());
                self.context.wrong(&path, problem, error.remedy())
            })?;
        }
        let keys = OfferKeys::new(secrets);
        keys.map_err(|error| self.context.placed(&path, error))
    }

    /// Adds `check.failover`, if there is one.
    fn with_failover(
        &self,
        check: Shared,
        table: &CheckTable,
        accounts: &mut Accounts<'_>,
    ) -> Result<Shared, ConfigError> {
        let Some(name) = &table.failover else {
            return match table.failover_when_declined {
                false => Ok(check),
                true => Err(self.context.wrong(
                    &"check.failover_when_declined".into(),
                    "is given without a failover",
                    "name the account to fail over to with check.failover, or leave this out",
                )),
            };
        };
        let second = accounts.take(Role::Failover, name, true)?;
        let failover = Failover::new(check, second);
        let failover = failover.map_err(|e| self.context.placed(&Role::Failover.path(), e))?;
        Ok(match table.failover_when_declined {
            true => Arc::new(failover.with_failover_when_declined()),
            false => Arc::new(failover),
        })
    }

    /// Adds `check.dual_accept`, if there is one, and limits a decision to `total`.
    fn with_dual_accept(
        &self,
        check: Shared,
        table: &CheckTable,
        total: Duration,
        accounts: &mut Accounts<'_>,
    ) -> Result<(Shared, Old), ConfigError> {
        let Some(accept) = &table.dual_accept else {
            return Ok((Arc::new(Timeout::new(check, total)), None));
        };
        let sunset = sunset(self.context, accept, self.now)?;
        if let Sunset::Over(error) = sunset {
            if self.dry_run {
                return Err(error);
            }
            tracing::error!(
                target: "human_check_config",
                error = error.to_string(),
                "the old account is no longer accepted, and the program runs without it"
            );
            return Ok((Arc::new(Timeout::new(check, total)), None));
        }
        if accounts.model.has_dual_accept_of_one_kind() {
            if accept.show {
                return Err(self.context.wrong(
                    &"check.dual_accept.show".into(),
                    "is given for two accounts of one kind, whose tokens arrive in one field",
                    "leave it out",
                ));
            }
            let old = accounts.met(&Role::DualAccept.path(), &accept.account)?;
            let sunset = match sunset {
                Sunset::At(moment) => Some(moment),
                _ => None,
            };
            return Ok((Arc::new(Timeout::new(check, total)), Some((old, sunset))));
        }
        let old = accounts.take(Role::DualAccept, &accept.account, accept.show)?;
        let both = DualAccept::new(check, old);
        let both = both.map_err(|e| self.context.placed(&Role::DualAccept.path(), e))?;
        let both = both.with_timeout(total);
        Ok(match sunset {
            Sunset::At(moment) => (Arc::new(both.with_sunset(moment)), None),
            _ => (Arc::new(both), None),
        })
    }

    /// Adds the account and the file of `check.shadow`.
    fn with_shadow(
        &self,
        check: Shared,
        shadow: &ShadowTable,
        accounts: &mut Accounts<'_>,
    ) -> Result<Shared, ConfigError> {
        let second = accounts.take(Role::Shadow, &shadow.account, true)?;
        let path = KeyPath::from("check.shadow");
        let sink = self
            .sinks
            .open(&self.context.directory.join(&shadow.file))
            .map_err(|e| self.context.placed(&path.join("file"), e))?;
        let mut compared = Shadow::new(check, second, sink)
            .and_then(|compared| compared.with_sample(shadow.sample.unwrap_or(1.0)))
            .map_err(|e| match e.field() {
                "sample" => self.context.placed(&path.join("sample"), e),
                _ => self.context.placed(&Role::Shadow.path(), e),
            })?;
        let no_time = shadow.timeout.is_some_and(|timeout| timeout.is_zero());
        if no_time || shadow.max_in_flight == Some(0) {
            return Err(self.context.wrong(
                &path,
                "has a timeout or a max_in_flight of zero, so no visitor would be compared",
                "write a timeout and a max_in_flight above zero, or leave them out",
            ));
        }
        if let Some(max_in_flight) = shadow.max_in_flight {
            compared = compared.with_max_in_flight(max_in_flight);
        }
        if let Some(timeout) = shadow.timeout {
            compared = compared.with_timeout(timeout);
        }
        Ok(Arc::new(compared))
    }
}

/// The accounts that have a role. Each is built when it is given its role.
struct Accounts<'a> {
    composer: &'a Composer<'a>,
    model: &'a Model,
    /// How long a check of one account may take.
    timeout: Duration,
    roles: Vec<(Role, String)>,
    widgets: Vec<Widget>,
    issuers: Vec<Issuer>,
    test_keys: TestKeyPolicy,
    /// How long a decision may take.
    total: Duration,
    /// The accounts that visitors may meet.
    met: BTreeMap<String, guard::Account>,
}

/// The account of a dual accept whose kind is that of `check.use`, and its sunset.
type Old = Option<(guard::Account, Option<SystemTime>)>;

impl Accounts<'_> {
    /// Builds the account called `name` for `role`. An account with two roles is an error, because
    /// its provider would be called twice about one token.
    fn take(&mut self, role: Role, name: &str, show: bool) -> Result<Shared, ConfigError> {
        if let Some((other, _)) = self.roles.iter().find(|(_, known)| known == name) {
            let problem = format!("is {name:?}, which is {} already", other.path());
            let remedy = "name another account, or leave it out";
            return Err(self.composer.context.wrong(&role.path(), problem, remedy));
        }
        let composed = self
            .composer
            .account(self.model, &role, name, self.timeout)?;
        if role == Role::Primary {
            let account = self.guard_account(name, &composed)?;
            self.met.insert(name.to_owned(), account);
        }
        self.roles.push((role, name.to_owned()));
        if show {
            self.widgets.extend(composed.widget.clone());
        }
        Ok(self.adopt(composed))
    }

    /// Keeps what the guards need beside the check of an account.
    fn adopt(&mut self, composed: Account) -> Shared {
        if composed.test_keys == TestKeyPolicy::Allowed {
            self.test_keys = TestKeyPolicy::Allowed;
        }
        self.issuers.extend(composed.issuer);
        composed.check
    }

    /// Builds all accounts that the lists name.
    fn meet_all(&mut self) -> Result<(), ConfigError> {
        let model = self.model;
        for (place, name) in model.check.fallback.iter().enumerate() {
            let path = KeyPath::from("check.fallback");
            if model.check.fallback[..place].contains(name) || *name == model.check.account {
                return Err(self.composer.context.wrong(
                    &path,
                    format!("leads to {name:?} again"),
                    "name each account once, and not the one that judges",
                ));
            }
            self.met(&path, name)?;
        }
        for name in model.experiment.iter().flat_map(|table| table.arms.keys()) {
            self.met(&KeyPath::from("experiment.arms"), name)?;
        }
        for (route, table) in &model.routes {
            let path = KeyPath::route(route);
            if let Some(name) = &table.account {
                self.met(&path.join("use"), name)?;
            }
            for name in table.fallback.iter().flatten() {
                self.met(&path.join("fallback"), name)?;
            }
            for (key, lists) in [
                ("by_host", &table.by_host),
                ("by_country", &table.by_country),
            ] {
                for (of, list) in lists {
                    let path = path.join(key).join(of);
                    self.met(&path.join("use"), &list.account)?;
                    for name in &list.fallback {
                        self.met(&path.join("fallback"), name)?;
                    }
                }
            }
            if let Some(step_up) = &table.step_up {
                self.met(&path.join("step_up").join("to"), &step_up.to)?;
            }
        }
        Ok(())
    }

    /// Returns the account called `name`, which visitors may meet, and builds it if it is new. `path`
    /// is that of the key which names it.
    fn met(&mut self, path: &KeyPath, name: &str) -> Result<guard::Account, ConfigError> {
        if let Some(known) = self.met.get(name) {
            return Ok(known.clone());
        }
        let is_shadow = |(role, known): &(Role, String)| *role == Role::Shadow && known == name;
        if self.roles.iter().any(is_shadow) {
            return Err(self.composer.context.wrong(
                path,
                format!("is {name:?}, which is {} already", Role::Shadow.path()),
                "name another account, or leave it out",
            ));
        }
        let role = Role::Route(path.clone());
        let composer = self.composer;
        let composed = composer.account(self.model, &role, name, self.total)?;
        let account = self.guard_account(name, &composed)?;
        self.met.insert(name.to_owned(), account.clone());
        self.adopt(composed);
        Ok(account)
    }

    /// Returns an account as the guards use it: with the timeout of a decision, and with the store
    /// that claims its tokens.
    fn guard_account(&self, name: &str, composed: &Account) -> Result<guard::Account, ConfigError> {
        let table = &self.model.providers[name];
        let check: Shared = Arc::new(Timeout::new(Arc::clone(&composed.check), self.total));
        let check: Shared = match &self.composer.stores.replay {
            Some(store) => {
                let guard = ReplayGuard::new(check, Arc::clone(store));
                Arc::new(guard.with_store_timeout(STORE_TIMEOUT))
            }
            None => check,
        };
        let kind = table.registered_kind.as_deref();
        let mut account =
            guard::Account::new(name, check).with_kind(kind.unwrap_or(table.kind.as_str()));
        if let Some(before) = self
            .composer
            .before
            .as_ref()
            .and_then(|before| before.account(name, self.model))
        {
            account = account.with_health_of(before);
        }
        if table.force_down {
            account = account.with_forced_down();
        }
        let default = match table.kind.as_str() {
            "recaptcha-enterprise" => Some(ENTERPRISE_PROBES_PER_DAY),
            _ => None,
        };
        if let Some(probes) = table.max_probes_per_day.or(default) {
            account = account.with_max_probes_per_day(probes);
        }
        let widget = composed.widget.as_ref();
        if let Some(probe) = self.composer.script_probe(name, table, widget)? {
            account = account.with_script_probe(probe);
        }
        if let Some(widget) = widget {
            account = account.with_widget(widget.clone());
        }
        if !is_interactive(table) {
            account = account.without_interaction();
        }
        Ok(account)
    }
}

/// The default number of health probes a day for reCAPTCHA Enterprise, which bills assessments.
const ENTERPRISE_PROBES_PER_DAY: u32 = 100;

/// Returns whether the account shows a challenge that a visitor can solve.
fn is_interactive(table: &ProviderTable) -> bool {
    match table.kind.as_str() {
        // A proof of work that the browser solves by itself tells nothing about the visitor.
        "altcha" | "cap" | "mcaptcha" | "recaptcha-v3" => false,
        "recaptcha-enterprise" => {
            !matches!(table.enterprise_key, None | Some(EnterpriseKeyKind::Score))
        }
        _ => true,
    }
}
