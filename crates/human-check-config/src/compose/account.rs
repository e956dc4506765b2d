//! Builds one account: the adapter inside of the account's own rules and circuit breaker.

use std::sync::Arc;
use std::time::Duration;

use human_check_core::{
    CircuitBreaker, CircuitBreakerPolicy, ConfigError, Enforce, TestKeyPolicy, Widget,
};
use human_check_guard::{MonthlyQuota, ScriptProbe};
use human_check_http::{Endpoint, Limits, ProviderClient};

use super::composer::{Composer, Shared};
use super::named_provider::NamedProvider;
use super::roles::Role;
use super::script_url::ScriptUrl;
use crate::diagnosis::{AccountExamination, Calls};
use crate::issuer::Issuer;
use crate::model::{CircuitBreakerTable, Model, ProviderTable};
use crate::registered::AdapterSettings;
use crate::source::KeyPath;
use crate::{duration, transport};

/// How long a call of an examination may take.
const EXAMINATION: Duration = Duration::from_secs(5);

/// One composed account.
pub(super) struct Account {
    /// The adapter with its rules and limits.
    pub(super) check: Shared,
    /// The widget that pages show for it, unless they write it themselves.
    pub(super) widget: Option<Widget>,
    /// The issuer of challenges or server tokens, for kinds that have one.
    pub(super) issuer: Option<Issuer>,
    /// Whether replies to the provider's test keys are accepted.
    pub(super) test_keys: TestKeyPolicy,
}

impl Composer<'_> {
    /// Composes the account called `name` for `role`. Each of its checks may take `total`.
    pub(super) fn account(
        &self,
        model: &Model,
        role: &Role,
        name: &str,
        total: Duration,
    ) -> Result<Account, ConfigError> {
        let account = self.adapter(model, role, name, total)?;
        let table = &model.providers[name];
        Ok(match table.kind.is_self_hosted() {
            // It makes no call, so it needs no circuit breaker.
            true => account,
            false => {
                let check = self.counted(name, table, account.check)?;
                Account {
                    check: self.breaking(name, table, check, total)?,
                    ..account
                }
            }
        })
    }

    /// Counts the calls of an account by month, if it has a quota.
    fn counted(
        &self,
        name: &str,
        table: &ProviderTable,
        check: Shared,
    ) -> Result<Shared, ConfigError> {
        let path = KeyPath::provider(name);
        let placed = |error: ConfigError| {
            let key = error.field().to_owned();
            self.context.placed(&path.join(key), error)
        };
        let Some(calls) = table.monthly_quota else {
            return match table.quota_stop_at {
                None => Ok(check),
                Some(_) => Err(self.context.wrong(
                    &path.join("quota_stop_at"),
                    "is given without monthly_quota",
                    "write how many calls of a month the account has, or leave it out",
                )),
            };
        };
        let (store, _) = self.stores.counts();
        let quota = MonthlyQuota::new(check, name, Arc::clone(store), calls).map_err(placed)?;
        Ok(match table.quota_stop_at {
            None => Arc::new(quota),
            Some(share) => Arc::new(quota.with_stop_at(share).map_err(placed)?),
        })
    }

    /// Composes the adapter of an account inside of the account's rules, without a circuit breaker.
    fn adapter(
        &self,
        model: &Model,
        role: &Role,
        name: &str,
        total: Duration,
    ) -> Result<Account, ConfigError> {
        let Some(table) = model.providers.get(name) else {
            let known: Vec<_> = model.providers.keys().map(String::as_str).collect();
            let remedy = match known.as_slice() {
                [] => format!("add a table [providers.{name}]"),
                known => format!(
                    "name one of {}, or add [providers.{name}]",
                    known.join(", ")
                ),
            };
            let problem = format!("names {name:?}, which is no account");
            return Err(self.context.wrong(&role.path(), problem, remedy));
        };
        #[cfg_attr(not(feature = "altcha"), allow(unused_mut))]
        let mut account = self.context.named_provider(name, table, true)?;
        #[cfg(feature = "altcha")]
        if table.kind.is_self_hosted() {
            account.config.altcha.replay_store = Some(self.altcha_store(role, name, table, total)?);
        }
        let widget = account.config.has_widget().then(|| account.config.widget());
        let widget = widget.transpose();
        let widget = widget.map_err(|error| self.context.in_account(name, error))?;
        let test_keys = account.config.test_keys;
        let mut limits = limits(self.client, total);
        limits.max_in_flight = table.max_in_flight.unwrap_or(limits.max_in_flight);
        let client = self.client.clone().with_limits(limits);
        if let Some(kind) = &table.registered_kind {
            return self.registered(kind, account, table, client);
        }
        let enforced = account.build_both(&client);
        let (enforced, issuer) = enforced.map_err(|error| self.context.in_account(name, error))?;
        Ok(Account {
            check: Arc::new(enforced),
            widget,
            issuer,
            test_keys,
        })
    }

    /// Returns the probe of the account's script, if `probe_script` is set.
    pub(super) fn script_probe(
        &self,
        name: &str,
        table: &ProviderTable,
        widget: Option<&Widget>,
    ) -> Result<Option<ScriptUrl>, ConfigError> {
        if !table.probe_script {
            return Ok(None);
        }
        match self.script_url(widget) {
            Some(script) => Ok(Some(script)),
            None => Err(self.context.wrong(
                &KeyPath::provider(name).join("probe_script"),
                "is set, and the account has no widget with a script on another host",
                "leave it out",
            )),
        }
    }

    /// Returns the script of a widget, if it is on another host.
    fn script_url(&self, widget: Option<&Widget>) -> Option<ScriptUrl> {
        let endpoint = Endpoint::parse(widget?.script_url()).ok()?;
        Some(ScriptUrl {
            client: self.client.clone(),
            endpoint,
        })
    }

    /// Prepares the examination of an account, whose calls `calls` notes.
    pub(crate) fn examination(
        &self,
        model: &Model,
        name: &str,
        calls: &Calls,
    ) -> Result<AccountExamination, ConfigError> {
        let table = &model.providers[name];
        let with_secret = |of: &dyn Fn(&mut ProviderTable)| {
            let mut model = model.clone();
            model.providers.entry(name.to_owned()).and_modify(of);
            self.adapter(&model, &Role::Primary, name, EXAMINATION)
        };
        let has_previous = table.previous_secret.is_some() && !table.kind.is_self_hosted();
        let previous =
            has_previous.then(|| with_secret(&|table| table.secret = table.previous_secret.take()));
        let account = with_secret(&|table| {
            if has_previous {
                table.previous_secret = None;
            }
        })?;
        let script = self.script_url(account.widget.as_ref());
        Ok(AccountExamination {
            name: name.to_owned(),
            kind: table.kind,
            check: account.check,
            previous: previous.transpose()?.map(|account| account.check),
            script: script.map(|script| Box::new(script) as Box<dyn ScriptProbe>),
            calls: calls.clone(),
            has_proxy: model.check.proxy.is_some(),
        })
    }

    /// Composes an account whose adapter the program registered in code.
    fn registered(
        &self,
        kind: &str,
        account: NamedProvider,
        table: &ProviderTable,
        client: ProviderClient,
    ) -> Result<Account, ConfigError> {
        let name = account.name.clone();
        let placed = |error| self.context.in_account(&name, error);
        let policy = account.policy().map_err(placed)?;
        let test_keys = account.config.test_keys;
        let settings = table.settings.iter();
        let settings = AdapterSettings {
            name: account.name.clone(),
            client,
            site_key: account.config.site_key,
            secret: account.config.secret,
            fields: account.config.fields,
            settings: settings
                .map(|(key, value)| (key.clone(), value.to_string()))
                .collect(),
        };
        let built = self.registered.build(kind, settings).unwrap_or_else(|| {
            Err(ConfigError::new(
                "kind",
                "is not registered",
                "register it before the configuration is read",
            ))
        });
        let built = built.map_err(placed)?;
        let enforced = Enforce::new(built.check, policy).map_err(placed)?;
        Ok(Account {
            check: Arc::new(enforced),
            widget: built.widget,
            issuer: None,
            test_keys,
        })
    }

    /// Puts the circuit breaker of the account `name` around `check`.
    fn breaking(
        &self,
        name: &str,
        table: &ProviderTable,
        check: Shared,
        total: Duration,
    ) -> Result<Shared, ConfigError> {
        let account = KeyPath::provider(name);
        if !transport::HAS_TLS && table.registered_kind.is_none() {
            return Err(self.context.wrong(
                &account.join("kind"),
                "needs a network, and this program was built without TLS",
                "build it with the feature `rustls` or `native-tls`",
            ));
        }
        if table.max_in_flight == Some(0) {
            return Err(self.context.wrong(
                &account.join("max_in_flight"),
                "is zero, so no token would ever be verified",
                "write how many checks may be in flight, such as 512",
            ));
        }
        let breaker = account.join("circuit_breaker");
        let configured = table.circuit_breaker.unwrap_or_default();
        let mut policy = circuit_breaker(configured);
        if policy.slow_call >= total {
            // A call that times out before it counts as slow would never open the circuit as slow.
            if configured.slow_call.is_some() {
                return Err(self.context.wrong(
                    &breaker.join("slow_call"),
                    format!(
                        "is not below the {} that a call may take",
                        duration::shown(total)
                    ),
                    "write less, or raise check.timeout",
                ));
            }
            policy.slow_call = total * 9 / 10;
        }
        let breaking = CircuitBreaker::new(check, policy);
        let breaking = breaking.map_err(|error| match error.field() {
            "circuit_breaker" => self.context.placed(&breaker, error),
            key => self.context.placed(&breaker.join(key), error),
        })?;
        Ok(Arc::new(breaking))
    }

    /// Returns the store that claims altcha's tokens: that of the deployment, or a separate one for
    /// a shadow. So a shadow claims no token of a decision and does not fill the store that
    /// decisions need.
    #[cfg(feature = "altcha")]
    fn altcha_store(
        &self,
        role: &Role,
        name: &str,
        table: &ProviderTable,
        total: Duration,
    ) -> Result<Arc<dyn human_check_core::ReplayStore>, ConfigError> {
        use human_check_altcha::CLOCK_TOLERANCE;
        use human_check_core::{MemoryReplayStore, TimeoutStore};

        /// How many tokens of a shadow the separate store can hold.
        const SHADOW_CAPACITY: usize = 100_000;

        let Some(store) = &self.stores.replay else {
            return Err(self.context.wrong(
                &KeyPath::provider(name).join("kind"),
                "is altcha, whose tokens can be used repeatedly without a replay store",
                "add a table [replay_store], for example with kind = \"memory\"",
            ));
        };
        let ttl = table.challenge_ttl.unwrap_or(Duration::from_secs(300));
        let max_ttl = store.max_ttl().saturating_sub(CLOCK_TOLERANCE);
        let max_ttl = max_ttl.min(Duration::from_secs(86_400));
        if !(Duration::from_secs(10)..=max_ttl).contains(&ttl) {
            let [ttl, max_ttl] = [ttl, max_ttl].map(duration::shown);
            return Err(self.context.wrong(
                &KeyPath::provider(name).join("challenge_ttl"),
                format!("is {ttl}, and this store allows challenges of 10s to {max_ttl}"),
                format!("write \"10s\" to \"{max_ttl}\", or leave it out for \"5m\""),
            ));
        }
        if *role == Role::Shadow {
            let ttl = ttl + CLOCK_TOLERANCE;
            return Ok(Arc::new(
                MemoryReplayStore::new(SHADOW_CAPACITY).with_ttl(ttl),
            ));
        }
        let timeout = super::composer::STORE_TIMEOUT.min(total / 3);
        Ok(Arc::new(TimeoutStore::new(Arc::clone(store), timeout)))
    }
}

/// Returns the limits of the client, with timeouts of at most `total`.
fn limits(client: &ProviderClient, total: Duration) -> Limits {
    let mut limits = *client.limits();
    limits.total_timeout = total;
    limits.attempt_timeout = limits.attempt_timeout.min(total);
    limits
}

/// Returns the default policy with the values of the table in their places.
fn circuit_breaker(table: CircuitBreakerTable) -> CircuitBreakerPolicy {
    let mut policy = CircuitBreakerPolicy::default();
    let consecutive_failures = table.consecutive_failures;
    policy.consecutive_failures = consecutive_failures.unwrap_or(policy.consecutive_failures);
    policy.failure_ratio = table.failure_ratio.unwrap_or(policy.failure_ratio);
    policy.min_calls = table.min_calls.unwrap_or(policy.min_calls);
    policy.window = table.window.unwrap_or(policy.window);
    policy.slow_call = table.slow_call.unwrap_or(policy.slow_call);
    policy.open_for = table.open_for.unwrap_or(policy.open_for);
    policy.max_open_for = table.max_open_for.unwrap_or(policy.max_open_for);
    policy
}
