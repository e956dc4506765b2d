//! The accounts of a route: its lists, its step-up, and what leads to a fallback.

use std::sync::Arc;

use human_check_core::{ConfigError, FactKind, Score};
use human_check_guard::{Account, AccountList, FallbackOn, Selection};

use super::route::Route;
use crate::compose::Composed;
use crate::context::Context;
use crate::duration;
use crate::model::{
    AccountsTable, CheckTable, Demand, Model, OnWidgetFailure, ProviderTable, Trouble,
};
use crate::source::KeyPath;

impl Route<'_> {
    /// Returns the name of the account that judges by default.
    pub(super) fn primary<'m>(&'m self, check: &'m CheckTable) -> &'m str {
        self.table.account.as_deref().unwrap_or(&check.account)
    }

    /// Returns the selection of the route's accounts.
    pub(super) fn selection(
        &self,
        context: &Context<'_>,
        model: &Model,
        composed: &Composed,
    ) -> Result<Selection, ConfigError> {
        let mut selection = Selection::new(self.default_list(context, model, composed)?)
            .with_offer_keys(composed.offer_keys.clone())
            .with_fallback_on(self.fallback_on(&model.check));
        if let Some(timeout) = model.check.timeout {
            selection = selection.with_total_timeout(timeout);
        }
        if let Some(store) = &composed.offers {
            selection = selection.with_replay_store(Arc::clone(store));
        }
        if let Some((old, sunset)) = &composed.old
            && self.primary(&model.check) == model.check.account
        {
            selection = selection.with_old_account(old.clone(), *sunset);
        }
        for (host, table) in &self.table.by_host {
            let path = self.path.join("by_host").join(host);
            self.has_own_hosts(context, model, &path, table)?;
            let list = self.list(context, composed, &path, &table.account, &table.fallback)?;
            selection = selection.with_host(host, list);
        }
        for (country, table) in &self.table.by_country {
            let path = self.path.join("by_country").join(country);
            self.trusts_countries(context, &path, country)?;
            let list = self.list(context, composed, &path, &table.account, &table.fallback)?;
            selection = selection.with_country(country, list);
        }
        if self.table.on_widget_failure == OnWidgetFailure::Fallback {
            selection = selection.with_fallback_on_widget_failure();
        }
        if self.table.step_up.is_some() {
            let (account, floor) = self.step_up(context, model, composed)?;
            selection = selection.with_step_up(account, floor);
        }
        self.exempt(context, model, selection)
    }

    /// Returns the list for requests without a list of their own.
    fn default_list(
        &self,
        context: &Context<'_>,
        model: &Model,
        composed: &Composed,
    ) -> Result<AccountList, ConfigError> {
        let table = self.table;
        let (path, fallback) = match (&table.account, &table.fallback) {
            (_, Some(own)) => (self.path.clone(), own.as_slice()),
            (Some(_), None) => (self.path.clone(), &[][..]),
            (None, None) => ("check".into(), model.check.fallback.as_slice()),
        };
        self.list(
            context,
            composed,
            &path,
            self.primary(&model.check),
            fallback,
        )
    }

    /// Returns a list of accounts. `path` is that of the table which names them.
    fn list(
        &self,
        context: &Context<'_>,
        composed: &Composed,
        path: &KeyPath,
        primary: &str,
        fallback: &[String],
    ) -> Result<AccountList, ConfigError> {
        for (place, name) in fallback.iter().enumerate() {
            if name == primary || fallback[..place].contains(name) {
                return Err(context.wrong(
                    &path.join("fallback"),
                    format!("leads to {name:?} again"),
                    "name each account once, and not the one that judges",
                ));
            }
        }
        let account = |name: &str| composed.accounts[name].clone();
        let others = fallback.iter().map(|name| account(name));
        Ok(AccountList::new(account(primary)).with_fallback(others))
    }

    fn fallback_on(&self, check: &CheckTable) -> FallbackOn {
        let troubles = self
            .table
            .fallback_on
            .as_ref()
            .unwrap_or(&check.fallback_on);
        let mut on = FallbackOn::default();
        // A default of the check concerns the routes that have a fallback.
        let inherits = self.table.fallback_on.is_none();
        let has_fallback = match (&self.table.account, &self.table.fallback) {
            (_, Some(own)) => !own.is_empty(),
            (Some(_), None) => false,
            (None, None) => !check.fallback.is_empty(),
        };
        let lists = self
            .table
            .by_host
            .values()
            .chain(self.table.by_country.values());
        let any = has_fallback || lists.into_iter().any(|list| !list.fallback.is_empty());
        if inherits && !any {
            return on;
        }
        for trouble in troubles {
            match trouble {
                Trouble::Declined => on.declined = true,
                Trouble::Failures => on.failures = true,
                Trouble::RateLimited => on.rate_limited = true,
            }
        }
        on
    }

    /// The client chooses the host that it names, so the accounts of a host must check where their
    /// challenges were shown.
    fn has_own_hosts(
        &self,
        context: &Context<'_>,
        model: &Model,
        path: &KeyPath,
        table: &AccountsTable,
    ) -> Result<(), ConfigError> {
        for name in std::iter::once(&table.account).chain(&table.fallback) {
            let account = &model.providers[name];
            if account.hostnames.is_none() {
                return Err(context.wrong(
                    path,
                    format!(
                        "names {name:?}, which has no hostnames; a client may name any host, and \
                         so choose this account"
                    ),
                    format!("list its hosts in providers.{name}.hostnames"),
                ));
            }
        }
        Ok(())
    }

    /// The country must come from a proxy that is trusted.
    fn trusts_countries(
        &self,
        context: &Context<'_>,
        path: &KeyPath,
        country: &str,
    ) -> Result<(), ConfigError> {
        let (problem, remedy) =
            if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_alphabetic()) {
                ("is no country", "write two letters, such as DE")
            } else if self.site.country_header.is_none() {
                (
                    "needs the client's country, and no header for it is configured",
                    "set site.country_header, such as \"CF-IPCountry\", or leave it out",
                )
            } else if self.site.client_address.as_deref().unwrap_or("socket") == "socket" {
                (
                    "needs the client's country, and no proxy is trusted to state it",
                    "set site.client_address and site.trusted_proxies, or leave it out",
                )
            } else {
                return Ok(());
            };
        Err(context.wrong(path, problem, remedy))
    }

    /// Returns the account of the step-up and the lowest score that leads to it.
    fn step_up(
        &self,
        context: &Context<'_>,
        model: &Model,
        composed: &Composed,
    ) -> Result<(Account, Score), ConfigError> {
        let path = self.path.join("step_up");
        let primary = self.primary(&model.check);
        let Some(table) = &self.table.step_up else {
            unreachable!("the caller has looked");
        };
        let floor = Score::humanity(table.floor);
        let floor = floor.map_err(|error| context.placed(&path.join("floor"), error))?;
        let own = self.table.min_score;
        let threshold = match (threshold(&model.providers[primary]), own) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        match threshold {
            None => Err(context.wrong(
                &path,
                format!("begins at {primary:?}, which has no threshold for a score"),
                "give that account min_score or max_risk, or leave the step-up out",
            )),
            Some(threshold) if floor.human() >= threshold => Err(context.wrong(
                &path.join("floor"),
                format!(
                    "is {}, and the threshold of {primary:?} is {threshold}, so no score would be \
                     between them",
                    table.floor
                ),
                "write less than the threshold",
            )),
            Some(_) => Ok((composed.accounts[&table.to].clone(), floor)),
        }
    }

    /// Takes the demands of `without` out of what the accounts must meet.
    fn exempt(
        &self,
        context: &Context<'_>,
        model: &Model,
        mut selection: Selection,
    ) -> Result<Selection, ConfigError> {
        for (name, demands) in &self.table.without {
            if !model.providers.contains_key(name) {
                return Err(context.wrong(
                    &self.path.join("without").join(name),
                    "names no account",
                    "name an account of this route, or leave it out",
                ));
            }
            for demand in demands {
                let fact = match demand {
                    Demand::Action => FactKind::Action,
                    Demand::Hostnames => FactKind::Hostname,
                    Demand::MaxAge => FactKind::SolvedAt,
                    Demand::MinScore => FactKind::Score,
                };
                selection = selection.without(name, fact);
            }
        }
        Ok(selection)
    }

    /// Returns an error when a clearance is accepted that counts for no time, or from no route.
    pub(super) fn check_clearance(
        &self,
        context: &Context<'_>,
        model: &Model,
    ) -> Result<(), ConfigError> {
        let Some(table) = &self.table.accept_clearance else {
            return Ok(());
        };
        let path = self.path.join("accept_clearance");
        for issuer in &table.from {
            if !model.routes.contains_key(issuer) || issuer == self.name {
                return Err(context.wrong(
                    &path.join("from"),
                    format!("names {issuer:?}, which is no other route with a table"),
                    "name routes that have a table [routes.NAME]",
                ));
            }
        }
        if table.ttl.as_secs() == 0 || table.max_requests == 0 || table.from.is_empty() {
            return Err(context.wrong(
                &path,
                format!(
                    "allows {} routes, {} and {} requests",
                    table.from.len(),
                    duration::shown(table.ttl),
                    table.max_requests
                ),
                "name a route, and allow a second and a request or more",
            ));
        }
        Ok(())
    }
}

/// Returns the lowest score that passes at an account, from 0 to 1, where 1 is human.
fn threshold(table: &ProviderTable) -> Option<f64> {
    let max = match table.kind.as_str() {
        "captchala" => 100.0,
        _ => 1.0,
    };
    table
        .min_score
        .or(table.max_risk.map(|risk| 1.0 - risk / max))
}
