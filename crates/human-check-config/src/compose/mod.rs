//! From a model to the check it describes, from the inside to the outside.

mod account;
mod composer;
mod named_provider;
mod roles;
mod sunset;

use std::sync::Arc;
use std::time::Duration;

use human_check_core::{
    ConfigError, DualAccept, Failover, ReplayGuard, Shadow, TestKeyPolicy, Timeout, Widget,
};
use human_check_guard::AttemptStore;

use crate::duration;
use crate::issuer::Issuer;
use crate::model::{CheckTable, Model, ShadowTable};
use crate::source::KeyPath;

pub(crate) use composer::Composer;
use composer::{STORE_TIMEOUT, Shared};
pub use named_provider::{NamedProvider, load_accounts};
use roles::Role;
use sunset::sunset;

/// The check of a deployment, and what its pages show.
pub(crate) struct Composed {
    pub(crate) check: Shared,
    pub(crate) widgets: Vec<Widget>,
    /// What issues challenges for them.
    pub(crate) issuers: Vec<Issuer>,
    /// Whether a provider's test keys may prove a human.
    pub(crate) test_keys: TestKeyPolicy,
    /// Where triggers count.
    pub(crate) attempts: Arc<dyn AttemptStore>,
}

/// How long a decision may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest time in which a provider can reply.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

impl Composer<'_> {
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
            attempts: Arc::clone(&self.stores.attempts),
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
        let both = both.map_err(|e| self.context.placed(&Role::DualAccept.path(), e))?;
        Ok(match sunset(self.context, accept, self.now)? {
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
}

/// The accounts that have a role, set up as each is taken.
struct Accounts<'a> {
    composer: &'a Composer<'a>,
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
            return Err(self.composer.context.wrong(&role.path(), problem, remedy));
        }
        self.roles.push((role, name.to_owned()));
        let composed = self.composer.account(self.model, role, name, self.each)?;
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
