//! From a model to the check it describes, from the inside to the outside.

mod account;
mod roles;
mod secret;
mod sunset;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::{
    ChallengeIssuer, ConfigError, DualAccept, Failover, HumanCheck, ReplayGuard, Shadow,
    TestKeyPolicy, Timeout, Widget,
};
use human_check_http::ProviderClient;

use crate::duration;
use crate::model::{CheckTable, Model, ShadowTable};
use crate::source::{Document, KeyPath, SecretFiles};
use crate::stores::{Sinks, Stores};

pub use account::{NamedProvider, load_accounts};
use roles::Role;

/// What surrounds a model: who wrote it and where, the environment, and what outlives a reload.
pub(crate) struct Context<'a> {
    pub(crate) document: &'a Document,
    pub(crate) directory: &'a Path,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) client: &'a ProviderClient,
    pub(crate) stores: &'a Stores,
    pub(crate) sinks: &'a Sinks,
    pub(crate) secrets: &'a SecretFiles,
    pub(crate) now: SystemTime,
}

/// The check of a deployment, and what its pages show.
pub(crate) struct Composed {
    pub(crate) check: Shared,
    pub(crate) widgets: Vec<Widget>,
    /// What issues challenges for them.
    pub(crate) issuers: Vec<Issuer>,
    /// Whether a provider's test keys may prove a human.
    pub(crate) test_keys: TestKeyPolicy,
}

/// What issues challenges for pages.
pub(crate) type Issuer = Arc<dyn ChallengeIssuer>;

type Shared = Arc<dyn HumanCheck>;

/// How long all claims of one decision may take, after the providers.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a decision may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest time in which a provider can reply.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

impl Context<'_> {
    pub(crate) fn compose(&self, model: &Model) -> Result<Composed, ConfigError> {
        let table = &model.check;
        let total = table.timeout.unwrap_or(TIMEOUT);
        if total < MIN_TIMEOUT {
            return Err(self.wrong(
                &"check.timeout".into(),
                format!(
                    "is {}, in which no provider can reply",
                    duration::shown(total)
                ),
                "write \"100ms\" or more",
            ));
        }
        let mut accounts = Accounts {
            context: self,
            model,
            // Where another provider is asked next, there must be time left for it.
            each: match &table.failover {
                Some(_) => total * 2 / 3,
                None => total,
            },
            roles: Vec::new(),
            widgets: Vec::new(),
            issuers: Vec::new(),
            test_keys: TestKeyPolicy::Refused,
        };
        let check = accounts.take(Role::Primary, &table.account, true)?;
        let check = self.with_failover(check, table, &mut accounts)?;
        let check = self.with_dual_accept(check, table, &mut accounts)?;
        let mut check: Shared = Arc::new(Timeout::new(check, total));
        if let Some(store) = &self.stores.replay {
            let guard = ReplayGuard::new(check, Arc::clone(store));
            check = Arc::new(guard.with_store_timeout(STORE_TIMEOUT));
        }
        if let Some(shadow) = &table.shadow {
            check = self.with_shadow(check, shadow, &mut accounts)?;
        }
        Ok(Composed {
            check,
            widgets: accounts.widgets,
            issuers: accounts.issuers,
            test_keys: accounts.test_keys,
        })
    }

    fn with_failover(
        &self,
        check: Shared,
        table: &CheckTable,
        accounts: &mut Accounts<'_>,
    ) -> Result<Shared, ConfigError> {
        let Some(name) = &table.failover else {
            return match table.failover_when_declined {
                false => Ok(check),
                true => Err(self.wrong(
                    &"check.failover_when_declined".into(),
                    "is given without a failover",
                    "name the account to fail over to with check.failover, or leave this out",
                )),
            };
        };
        let second = accounts.take(Role::Failover, name, true)?;
        let failover = Failover::new(check, second);
        let failover = failover.map_err(|e| self.placed(&Role::Failover.path(), e))?;
        Ok(match table.failover_when_declined {
            true => Arc::new(failover.with_failover_when_declined()),
            false => Arc::new(failover),
        })
    }

    fn with_dual_accept(
        &self,
        check: Shared,
        table: &CheckTable,
        accounts: &mut Accounts<'_>,
    ) -> Result<Shared, ConfigError> {
        let Some(accept) = &table.dual_accept else {
            return Ok(check);
        };
        let old = accounts.take(Role::DualAccept, &accept.account, accept.show)?;
        let both = DualAccept::new(check, old);
        let both = both.map_err(|e| self.placed(&Role::DualAccept.path(), e))?;
        Ok(match self.sunset(accept)? {
            Some(sunset) => Arc::new(both.with_sunset(sunset)),
            None => Arc::new(both),
        })
    }

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
            .open(&self.directory.join(&shadow.file))
            .map_err(|e| self.placed(&path.join("file"), e))?;
        let mut compared = Shadow::new(check, second, sink)
            .and_then(|compared| compared.with_sample(shadow.sample.unwrap_or(1.0)))
            .map_err(|e| match e.field() {
                "sample" => self.placed(&path.join("sample"), e),
                _ => self.placed(&Role::Shadow.path(), e),
            })?;
        let no_time = shadow.timeout.is_some_and(|timeout| timeout.is_zero());
        if no_time || shadow.max_in_flight == Some(0) {
            return Err(self.wrong(
                &path,
                "leaves no time or no room for a comparison",
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

    /// An error about the key at `path`.
    pub(crate) fn wrong(
        &self,
        path: &KeyPath,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        ConfigError::new(self.document.at(path), problem.into(), remedy.into())
    }

    /// An error of something that knows no configuration, with the place of the key at `path`.
    pub(crate) fn placed(&self, path: &KeyPath, error: ConfigError) -> ConfigError {
        error.with_field(self.document.at(path))
    }
}

/// The accounts that have a role, set up as each is taken.
struct Accounts<'a> {
    context: &'a Context<'a>,
    model: &'a Model,
    /// How long each may take.
    each: Duration,
    roles: Vec<(Role, String)>,
    widgets: Vec<Widget>,
    issuers: Vec<Issuer>,
    test_keys: TestKeyPolicy,
}

impl Accounts<'_> {
    /// Gives the account called `name` a role. It has no other: its provider would be called twice about
    /// one token.
    fn take(&mut self, role: Role, name: &str, show: bool) -> Result<Shared, ConfigError> {
        if let Some((other, _)) = self.roles.iter().find(|(_, known)| known == name) {
            let problem = format!("is {name:?}, which is {} already", other.path());
            let remedy = "name another account, or leave it out";
            return Err(self.context.wrong(&role.path(), problem, remedy));
        }
        self.roles.push((role, name.to_owned()));
        let composed = self.context.account(self.model, role, name, self.each)?;
        if composed.test_keys == TestKeyPolicy::Allowed {
            self.test_keys = TestKeyPolicy::Allowed;
        }
        self.issuers.extend(composed.issuer);
        if show {
            self.widgets.push(composed.widget);
        }
        Ok(composed.check)
    }
}
