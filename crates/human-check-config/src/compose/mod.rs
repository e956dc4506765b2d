//! Composes the check that a model describes, from the inside to the outside: accounts, failover,
//! dual accept, timeout, replay guard, shadow.

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
use human_check_guard::integration::BodyBudget;
use human_check_guard::{AttemptStore, BodyLimits};

use crate::duration;
use crate::issuer::Issuer;
use crate::model::{CheckTable, Model, ShadowTable};
use crate::source::KeyPath;

pub(crate) use composer::Composer;
use composer::{STORE_TIMEOUT, Shared};
pub(crate) use named_provider::with_origins;
pub use named_provider::{NamedProvider, load_account, load_accounts};
use roles::Role;
use sunset::{Sunset, sunset};

/// The check of a deployment, and what its guards need beside it.
pub(crate) struct Composed {
    /// The check of all routes, without the rules of any route.
    pub(crate) check: Shared,
    /// The widgets that pages show.
    pub(crate) widgets: Vec<Widget>,
    /// The issuers of challenges or server tokens of the accounts that have a role.
    pub(crate) issuers: Vec<Issuer>,
    /// Whether an account accepts replies to its provider's test keys.
    pub(crate) test_keys: TestKeyPolicy,
    /// The bytes that the large bodies of all routes may hold together.
    pub(crate) bodies: BodyBudget,
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
            roles: Vec::new(),
            widgets: Vec::new(),
            issuers: Vec::new(),
            test_keys: TestKeyPolicy::Refused,
        };
        let check = accounts.take(Role::Primary, &table.account, true)?;
        let check = self.with_failover(check, table, &mut accounts)?;
        let mut check = self.with_dual_accept(check, table, total, &mut accounts)?;
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
            bodies: BodyBudget::new(
                model
                    .site
                    .max_held_bytes
                    .unwrap_or(BodyLimits::default().max_held_bytes),
            ),
            attempts: Arc::clone(&self.stores.attempts),
        })
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
    ) -> Result<Shared, ConfigError> {
        let Some(accept) = &table.dual_accept else {
            return Ok(Arc::new(Timeout::new(check, total)));
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
            return Ok(Arc::new(Timeout::new(check, total)));
        }
        let old = accounts.take(Role::DualAccept, &accept.account, accept.show)?;
        let both = DualAccept::new(check, old);
        let both = both.map_err(|e| self.context.placed(&Role::DualAccept.path(), e))?;
        let both = both.with_timeout(total);
        Ok(match sunset {
            Sunset::At(moment) => Arc::new(both.with_sunset(moment)),
            _ => Arc::new(both),
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
}

impl Accounts<'_> {
    /// Builds the account called `name` for `role`. An account with two roles is an error, because
    /// its provider would be called twice about one token.
    fn take(&mut self, role: Role, name: &str, show: bool) -> Result<Shared, ConfigError> {
        if let Some((other, _)) = self.roles.iter().find(|(_, known)| known == name) {
            let problem = format!("is {name:?}, which is {} already", other.path());
            let remedy = "name another account, or leave it out";
            return Err(self.composer.context.wrong(&role.path(), problem, remedy));
        }
        self.roles.push((role, name.to_owned()));
        let composed = self
            .composer
            .account(self.model, role, name, self.timeout)?;
        if composed.test_keys == TestKeyPolicy::Allowed {
            self.test_keys = TestKeyPolicy::Allowed;
        }
        self.issuers.extend(composed.issuer);
        if show {
            self.widgets.extend(composed.widget);
        }
        Ok(composed.check)
    }
}
