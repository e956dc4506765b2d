//! The accounts of a route: its lists, its step-up, and what leads to a fallback.

use std::sync::Arc;

use human_check_core::{ConfigError, FactKind, Score};
use human_check_guard::{Account, AccountList, FallbackOn, Selection};

use super::route::Route;
use crate::compose::Composed;
use crate::context::Context;
use crate::duration;
use crate::model::{
    ANY_ROUTE, AccountsTable, CheckTable, Demand, ExperimentTable, Model, OnWidgetFailure,
    ProviderTable, StepUpTable, Trouble,
};
use crate::source::KeyPath;

impl Route<'_> {
    /// Returns the name of the account that judges by default.
    pub(super) fn primary<'m>(&'m self, check: &'m CheckTable) -> &'m str {
        self.table.primary(check)
    }

    /// Returns the experiment, if visitors of the route take part in it.
    fn experiment<'m>(&self, model: &'m Model) -> Option<&'m ExperimentTable> {
        let experiment = model.experiment.as_ref()?;
        let is_meant = experiment.routes.is_empty()
            || experiment.routes.iter().any(|route| route == self.name);
        (is_meant && experiment.current(model) == self.primary(&model.check)).then_some(experiment)
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
            .with_fallback_on(self.fallback_on(&model.check))
            .with_report_limit(composed.report_limit.clone());
        self.has_own_site_keys(context, model)?;
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
        let unlike = |path: &KeyPath, names: Vec<&str>, name: &str| {
            let same = names
                .iter()
                .filter(|other| other.eq_ignore_ascii_case(name))
                .count();
            match same > 1 {
                true => Err(context.wrong(path, "is named twice", "leave one of them out")),
                false => Ok(()),
            }
        };
        for host in self.table.by_host.keys() {
            let path = self.path.join("by_host").join(host);
            unlike(
                &path,
                self.table.by_host.keys().map(String::as_str).collect(),
                host,
            )?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
            if host.is_empty() || !host.bytes().all(plain) {
                return Err(context.wrong(
                    &path,
                    "is no host name",
                    "write it as in the header Host, such as shop.example",
                ));
            }
        }
        for (country, table) in &self.table.by_country {
            let path = self.path.join("by_country").join(country);
            let names = self.table.by_country.keys().map(String::as_str).collect();
            unlike(&path, names, country)?;
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
        if let (Some(_), Some(composed)) = (self.experiment(model), &composed.experiment) {
            selection = selection.with_experiment(composed.experiment.clone());
        }
        self.meets_min_score(context, model)?;
        self.exempt(context, model, selection)
    }

    /// An account whose verdicts carry a score only in some plans would refuse every visitor.
    fn meets_min_score(&self, context: &Context<'_>, model: &Model) -> Result<(), ConfigError> {
        if self.table.min_score.is_none() {
            return Ok(());
        }
        for name in self.accounts(model).into_iter().skip(1) {
            let exempt = self.table.without.get(name);
            let is_exempt = exempt.is_some_and(|demands| demands.contains(&Demand::MinScore));
            let table = &model.providers[name];
            let has_score = table.min_score.is_some() || table.max_risk.is_some();
            if !is_exempt && !has_score {
                return Err(context.wrong(
                    &self.path.join("min_score"),
                    format!(
                        "is demanded, and the account {name:?} has no threshold for a score of its own, \
                         so its verdicts may carry none"
                    ),
                    format!(
                        "give that account min_score or max_risk, or write without.{name} = \
                         [\"min_score\"]"
                    ),
                ));
            }
        }
        Ok(())
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
            } else if country.eq_ignore_ascii_case("XX") {
                (
                    "stands for an unknown country, which has the default accounts",
                    "leave it out",
                )
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
        for list in self
            .table
            .by_host
            .values()
            .chain(self.table.by_country.values())
        {
            self.steps_up_from(context, model, &list.account, table)?;
        }
        if table.to == primary {
            return Err(context.wrong(
                &path.join("to"),
                format!("leads to {primary:?}, where it begins"),
                "name another account",
            ));
        }
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

    /// Returns an error when the step-up cannot begin at the first account of another list.
    fn steps_up_from(
        &self,
        context: &Context<'_>,
        model: &Model,
        name: &str,
        table: &StepUpTable,
    ) -> Result<(), ConfigError> {
        let path = self.path.join("step_up");
        if name == table.to {
            return Err(context.wrong(
                &path.join("to"),
                format!("leads to {name:?}, which is the first account of a host or country"),
                "name another account",
            ));
        }
        match threshold(&model.providers[name]) {
            Some(threshold) if table.floor >= threshold => Err(context.wrong(
                &path.join("floor"),
                format!(
                    "is {}, and the threshold of {name:?} is {threshold}",
                    table.floor
                ),
                "write less than the threshold",
            )),
            _ => Ok(()),
        }
    }

    /// Two accounts with one site key cannot be told apart by their provider.
    fn has_own_site_keys(&self, context: &Context<'_>, model: &Model) -> Result<(), ConfigError> {
        let names = self.accounts(model);
        for (place, name) in names.iter().enumerate() {
            let key = |name: &str| {
                let table = &model.providers[name];
                table
                    .site_key
                    .as_deref()
                    .filter(|_| !table.kind.is_self_hosted())
            };
            let same =
                |other: &&&str| *other != name && key(other).is_some() && key(other) == key(name);
            if let Some(other) = names[..place].iter().find(same) {
                return Err(context.wrong(
                    &KeyPath::provider(name).join("site_key"),
                    format!(
                        "is that of the account {other:?}, and {} has both",
                        self.path
                    ),
                    "give each account the site key of its own site, or name one of them only",
                ));
            }
        }
        Ok(())
    }

    /// Returns the names of all accounts of the route. One that is in several lists comes several
    /// times.
    fn accounts<'m>(&'m self, model: &'m Model) -> Vec<&'m str> {
        let check = &model.check;
        let lists = self
            .table
            .by_host
            .values()
            .chain(self.table.by_country.values());
        let of_lists = lists.flat_map(|list| std::iter::once(&list.account).chain(&list.fallback));
        let fallback = match (&self.table.account, &self.table.fallback) {
            (_, Some(own)) => own.as_slice(),
            (Some(_), None) => &[],
            (None, None) => check.fallback.as_slice(),
        };
        let step_up = self.table.step_up.iter().map(|step_up| &step_up.to);
        let primary = self.primary(check);
        let experiment = self.experiment(model).into_iter();
        let arms = experiment.flat_map(|experiment| experiment.arms.keys());
        let others = fallback
            .iter()
            .chain(of_lists)
            .chain(step_up)
            .chain(arms.filter(|arm| *arm != primary))
            .map(String::as_str);
        std::iter::once(primary).chain(others).collect()
    }

    /// Takes the demands of `without` out of what the accounts must meet.
    fn exempt(
        &self,
        context: &Context<'_>,
        model: &Model,
        mut selection: Selection,
    ) -> Result<Selection, ConfigError> {
        for (name, demands) in &self.table.without {
            let is_primary = name == self.primary(&model.check);
            if is_primary || !self.accounts(model).contains(&name.as_str()) {
                let problem = match is_primary {
                    true => "is the account that judges, which must meet the demands of the route",
                    false => "names no account of this route",
                };
                let mut others = self.accounts(model);
                others.retain(|other| *other != self.primary(&model.check));
                return Err(context.wrong(
                    &self.path.join("without").join(name),
                    problem,
                    match others.as_slice() {
                        [] => "leave it out, because the route has no other account".to_owned(),
                        others => format!("name one of {}, or leave it out", others.join(", ")),
                    },
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
            let is_route = model.routes.contains_key(issuer) && issuer != ANY_ROUTE;
            if !is_route || issuer == self.name {
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
