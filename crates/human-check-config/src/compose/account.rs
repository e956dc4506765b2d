//! One account: the adapter behind the account's own rules, limits and circuit breaker.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::{
    CircuitBreaker, CircuitBreakerPolicy, ConcurrencyLimit, ConfigError, Enforce, HumanCheck,
    Policy, Secret, TestKeyPolicy, Widget,
};
use human_check_http::adapter::TEST_SECRET_REMEDY;
use human_check_http::{Limits, ProviderClient};

use super::{Context, Issuer, Role, Shared};
use crate::model::{CircuitBreakerTable, Model, ProviderTable, ProviderTables};
use crate::source::{Document, KeyPath, SecretFiles, read};
use crate::stores::{Sinks, Stores};
use crate::{ProviderConfig, duration, parse_base_url, transport};

/// An account with one provider, as a table `[providers.NAME]` describes it.
#[derive(Debug)]
#[non_exhaustive]
pub struct NamedProvider {
    /// The name of the table.
    pub name: String,
    /// What its adapter needs.
    pub config: ProviderConfig,
    /// The hosts that may show its challenge.
    pub hostnames: Option<Vec<String>>,
}

impl NamedProvider {
    /// Creates an account without rules.
    pub fn new(name: impl Into<String>, config: ProviderConfig) -> Self {
        Self {
            name: name.into(),
            config,
            hostnames: None,
        }
    }

    /// Builds the adapter behind the account's own rules: hosts, score, test keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when something is missing, wrong, or does not fit the kind of provider.
    pub fn build(
        self,
        client: &ProviderClient,
    ) -> Result<Enforce<Box<dyn HumanCheck>>, ConfigError> {
        Ok(self.build_both(client)?.0)
    }

    /// Builds the adapter, and what issues challenges for it, where the application has to.
    fn build_both(
        self,
        client: &ProviderClient,
    ) -> Result<(Enforce<Box<dyn HumanCheck>>, Option<Issuer>), ConfigError> {
        let mut policy = Policy::new().with_test_keys(self.config.test_keys);
        if let Some(score) = self.config.policy_score()? {
            policy = policy.with_min_score(score);
        }
        if let Some(hostnames) = &self.hostnames {
            policy = policy.with_hostnames(hostnames)?;
        }
        let (check, issuer) = self.config.build_both(client)?;
        Ok((Enforce::new(check, policy)?, issuer))
    }
}

/// Reads all accounts of the file at `path`, which may hold nothing but `[providers]`, or a whole
/// deployment.
///
/// `with_secrets` reads the secrets as well; without, the accounts have none, for use against an emulator
/// with keys of its own.
///
/// # Errors
///
/// [`ConfigError`] that names file, line and key, what is wrong, and what to write instead.
pub fn load_accounts(path: &Path, with_secrets: bool) -> Result<Vec<NamedProvider>, ConfigError> {
    let name = path.display().to_string();
    let document = Document::from_toml(name.clone(), &read(path)?)?;
    let tables: ProviderTables = document.read_as()?;
    if tables.providers.is_empty() {
        let remedy = "add a table [providers.NAME]";
        return Err(ConfigError::new(name, "names no account", remedy));
    }
    let context = Context {
        document: &document,
        directory: path.parent().unwrap_or(Path::new(".")),
        variable: &|name| std::env::var(name).ok(),
        client: &transport::client()?,
        stores: &Stores::none(),
        sinks: &Sinks::dry(),
        secrets: &SecretFiles::default(),
        now: SystemTime::now(),
    };
    let tables = tables.providers.iter();
    tables
        .map(|(name, table)| context.named_provider(name, table, with_secrets))
        .collect()
}

/// One account, composed.
pub(super) struct Account {
    pub(super) check: Shared,
    pub(super) widget: Widget,
    pub(super) issuer: Option<Issuer>,
    pub(super) test_keys: TestKeyPolicy,
}

/// How many checks of one account may be in flight where nothing else is said.
const MAX_IN_FLIGHT: usize = 512;

impl Context<'_> {
    pub(super) fn account(
        &self,
        model: &Model,
        role: Role,
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
            return Err(self.wrong(&role.path(), problem, remedy));
        };
        #[cfg_attr(not(feature = "altcha"), allow(unused_mut))]
        let mut account = self.named_provider(name, table, true)?;
        #[cfg(feature = "altcha")]
        if table.kind.is_self_hosted() {
            account.config.altcha.replay_store = Some(self.altcha_store(role, name, table, total)?);
        }
        let widget = account.config.widget();
        let widget = widget.map_err(|error| self.in_account(name, error))?;
        let test_keys = account.config.test_keys;
        let client = self.client.clone().with_limits(limits(self.client, total));
        let enforced = account.build_both(&client);
        let (enforced, issuer) = enforced.map_err(|error| self.in_account(name, error))?;
        let check: Shared = match table.kind.is_self_hosted() {
            // No network is used, so there is nothing to limit and no circuit to open.
            true => Arc::new(enforced),
            false => self.limited(name, table, enforced, total)?,
        };
        Ok(Account {
            check,
            widget,
            issuer,
            test_keys,
        })
    }

    fn limited(
        &self,
        name: &str,
        table: &ProviderTable,
        check: impl HumanCheck,
        total: Duration,
    ) -> Result<Shared, ConfigError> {
        let account = KeyPath::provider(name);
        if !transport::HAS_TLS {
            return Err(self.wrong(
                &account.join("kind"),
                "needs a network, and this program was built without TLS",
                "build it with the feature `rustls` or `native-tls`",
            ));
        }
        if table.max_in_flight == Some(0) {
            return Err(self.wrong(
                &account.join("max_in_flight"),
                "is zero, so no token would ever be verified",
                "write how many checks may be in flight, such as 512",
            ));
        }
        let limited = ConcurrencyLimit::new(check, table.max_in_flight.unwrap_or(MAX_IN_FLIGHT));
        let breaker = account.join("circuit_breaker");
        let given = table.circuit_breaker.unwrap_or_default();
        let mut policy = circuit_breaker(given);
        if policy.slow_call >= total {
            // A provider that is given up before it counts as slow would never open the circuit.
            if given.slow_call.is_some() {
                return Err(self.wrong(
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
        let watched = CircuitBreaker::new(limited, policy);
        let watched = watched.map_err(|error| match error.field() {
            "circuit_breaker" => self.placed(&breaker, error),
            key => self.placed(&breaker.join(key), error),
        })?;
        Ok(Arc::new(watched))
    }

    /// Where altcha's tokens are claimed: with all others, but apart where it only compares, so that a
    /// shadow neither claims a token nor fills the store that decisions need.
    #[cfg(feature = "altcha")]
    fn altcha_store(
        &self,
        role: Role,
        name: &str,
        table: &ProviderTable,
        total: Duration,
    ) -> Result<Arc<dyn human_check_core::ReplayStore>, ConfigError> {
        use human_check_altcha::CLOCK_TOLERANCE;
        use human_check_core::{MemoryReplayStore, TimeoutStore};

        /// How many tokens of a shadowed proof of work are claimed.
        const COMPARED: usize = 100_000;

        let Some(store) = &self.stores.replay else {
            return Err(self.wrong(
                &KeyPath::provider(name).join("kind"),
                "is altcha, whose tokens pass again and again without a replay store",
                "add a table [replay_store], for example with kind = \"memory\"",
            ));
        };
        let ttl = table.challenge_ttl.unwrap_or(Duration::from_secs(300));
        let max_ttl = store.max_ttl().saturating_sub(CLOCK_TOLERANCE);
        let max_ttl = max_ttl.min(Duration::from_secs(86_400));
        if !(Duration::from_secs(10)..=max_ttl).contains(&ttl) {
            let [ttl, max_ttl] = [ttl, max_ttl].map(duration::shown);
            return Err(self.wrong(
                &KeyPath::provider(name).join("challenge_ttl"),
                format!("is {ttl}, and with this store challenges can have 10s to {max_ttl}"),
                format!("write \"10s\" to \"{max_ttl}\", or leave it out for \"5m\""),
            ));
        }
        if role == Role::Shadow {
            let ttl = ttl + CLOCK_TOLERANCE;
            return Ok(Arc::new(MemoryReplayStore::new(COMPARED).with_ttl(ttl)));
        }
        let timeout = super::STORE_TIMEOUT.min(total / 3);
        Ok(Arc::new(TimeoutStore::new(Arc::clone(store), timeout)))
    }

    /// What an account's table says, without looking at whether it fits together.
    pub(crate) fn named_provider(
        &self,
        name: &str,
        table: &ProviderTable,
        with_secret: bool,
    ) -> Result<NamedProvider, ConfigError> {
        let short = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !short || !(1..=64).contains(&name.len()) {
            return Err(self.wrong(
                &"providers".into(),
                format!("has an account named {name:?}"),
                "name it in up to 64 letters, digits, `-` and `_`",
            ));
        }
        let account = KeyPath::provider(name);
        for (key, why) in table.kind.meaningless_keys() {
            let path = account.join(key);
            if self.document.has(&path) {
                let problem = format!("means nothing for {}{why}", table.kind);
                return Err(self.wrong(&path, problem, "leave it out"));
            }
        }
        let mut config = ProviderConfig::new(table.kind);
        config.site_key = table.site_key.clone();
        if config.site_key.is_none() && !table.kind.is_self_hosted() {
            let remedy = "copy it from the provider's dashboard";
            return Err(self.wrong(&account.join("site_key"), "is missing", remedy));
        }
        if with_secret {
            config.secret = Some(self.account_secret(name, table)?);
        }
        #[cfg(feature = "altcha")]
        {
            config.altcha.site = table.site.clone();
            config.altcha.difficulty = table.difficulty.map(Into::into);
            config.altcha.challenge_ttl = table.challenge_ttl;
            if let Some(reference) = table.previous_secret.as_ref().filter(|_| with_secret) {
                let path = account.join("previous_secret");
                config.altcha.previous_secret = Some(self.secret(&path, Some(reference), "")?);
            }
        }
        config.project = table.project.clone();
        config.enterprise_key = table.enterprise_key;
        config.min_score = table.min_score;
        config.max_risk = table.max_risk;
        config.accept_offline_tokens = table.accept_offline_tokens;
        config.fields = table.fields.clone();
        let graphic =
            |field: &String| !field.is_empty() && field.bytes().all(|b| b.is_ascii_graphic());
        if !config.fields.iter().all(graphic) {
            return Err(self.wrong(
                &account.join("fields"),
                "holds a name that no form field has",
                "write names without spaces, such as captcha-token",
            ));
        }
        config.fields.dedup();
        let base = table.base_url.as_deref().map(parse_base_url).transpose();
        config.base_url = base.map_err(|error| self.in_account(name, error))?;
        if table.allow_test_keys {
            config.test_keys = TestKeyPolicy::Allowed;
        }
        Ok(NamedProvider {
            name: name.to_owned(),
            config,
            hostnames: table.hostnames.clone(),
        })
    }

    /// An error of an adapter or a policy, with the place of the account's key at fault. They have the
    /// same names.
    fn in_account(&self, name: &str, error: ConfigError) -> ConfigError {
        let account = KeyPath::provider(name);
        let error = match error.remedy() == TEST_SECRET_REMEDY {
            true => {
                let key =
                    self.document
                        .setting(&account.join("allow_test_keys"), "true", "allowed");
                error.with_remedy(format!(
                    "use the secret of your own site; a test can set {key}"
                ))
            }
            false => error,
        };
        let key = error.field().to_owned();
        self.placed(&account.join(key), error)
    }

    fn account_secret(&self, name: &str, table: &ProviderTable) -> Result<Secret, ConfigError> {
        let variable: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let variable = format!("HUMAN_CHECK_SECRET_{}", variable.to_ascii_uppercase());
        let path = KeyPath::provider(name).join("secret");
        self.secret(&path, table.secret.as_ref(), &variable)
    }
}

fn limits(client: &ProviderClient, total: Duration) -> Limits {
    let mut limits = *client.limits();
    limits.total_timeout = total;
    limits.attempt_timeout = limits.attempt_timeout.min(total);
    limits
}

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
