//! Composes the experiment of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use human_check_compare::{Arm, ExperimentHeader, Guardrail};
use human_check_core::{ConfigError, EventSink, ExperimentEvent};
use human_check_guard::{self as guard, Experiment, ExperimentArm, RampStep};

use super::composer::Composer;
use super::sunset::moment;
use crate::model::{ANY_ROUTE, ExperimentTable, Model};
use crate::source::KeyPath;
use crate::stores::{ExperimentSetup, NextExperiment};

/// The planned number of visitors, if the table has none.
const PLANNED: u64 = 10_000;

/// An experiment, and what begins it.
pub(crate) struct ComposedExperiment {
    pub(crate) experiment: Experiment,
    /// What puts its plan in force. `None` in a dry run.
    pub(crate) next: Option<NextExperiment>,
}

impl Composer<'_> {
    /// Composes the experiment, if there is one.
    pub(super) fn experiment(
        &self,
        model: &Model,
        accounts: &BTreeMap<String, guard::Account>,
    ) -> Result<Option<ComposedExperiment>, ConfigError> {
        let Some(table) = &model.experiment else {
            return Ok(None);
        };
        let path = KeyPath::from("experiment");
        self.check_routes(model, table, &path)?;
        let current = table.current(model);
        let mut names = vec![current];
        names.extend(
            table
                .arms
                .keys()
                .map(String::as_str)
                .filter(|name| *name != current),
        );
        let arms = names
            .iter()
            .map(|name| ExperimentArm::new(accounts[*name].clone(), table.arms[*name]));
        let placed = |error: ConfigError| {
            let key = error.field().to_owned();
            self.context.placed(&path.join(&key), error)
        };
        self.check_names(table, &path)?;
        let until = table.until.as_ref();
        let until =
            until.map(|until| moment(self.context, &path.join("until"), &until.to_string()));
        let until = until.transpose()?;
        let ramp = self.ramp(table, &path)?;
        let build = |sink: Box<dyn EventSink>| -> Result<Experiment, ConfigError> {
            let sink: Arc<dyn EventSink> = Arc::from(sink);
            let mut experiment = Experiment::new(table.name.as_str(), arms.clone(), sink)
                .map_err(placed)?
                .with_ramp(ramp.iter().copied())
                .map_err(placed)?;
            if let Some(until) = until {
                experiment = experiment.with_until(until);
            }
            if table.consent {
                experiment = experiment.with_consent();
            }
            if table.cookie == Some(false) {
                experiment = experiment.without_cookie();
            }
            if let Some(share) = table.max_share {
                experiment = experiment.with_max_share(share).map_err(placed)?;
            }
            Ok(experiment)
        };
        if table.planned == Some(0) {
            return Err(self.context.wrong(
                &path.join("planned"),
                "is 0",
                "write the number that human-check plan computes, or leave it out",
            ));
        }
        let margin = table.margin.unwrap_or(0.0);
        // Once without a file, for the weights and for a dry run.
        let dry = build(Box::new(NoSink))?;
        if self.dry_run {
            return Ok(Some(ComposedExperiment {
                experiment: dry,
                next: None,
            }));
        }
        let weights = dry.weights();
        let of_plan = names
            .iter()
            .zip(weights)
            .map(|(name, weights)| Arm::new(*name, weights));
        let mut plan = ExperimentHeader::new(&table.name, of_plan.collect())
            .with_planned(table.planned.unwrap_or(PLANNED))
            .with_margin(margin);
        if let Some(until) = &table.until {
            plan = plan.with_until(until.to_string());
        }
        let file = self.context.directory.join(&table.file);
        let next = self.experiments.prepare(ExperimentSetup {
            plan,
            state_file: table.state_file(self.context.directory),
            file,
            digest: digest(model, &names),
            guardrail: table
                .guardrail
                .unwrap_or(true)
                .then(|| Guardrail::new(margin).with_comparisons(names.len() - 1)),
            knows_visits: table.cookie.unwrap_or(true),
            shared: self.stores.shared_counts.clone(),
        });
        let next = next.map_err(placed)?;
        let running = next.running();
        let switch = running.switch();
        let experiment = build(Box::new(running))?.with_switch(switch);
        Ok(Some(ComposedExperiment {
            experiment,
            next: Some(next),
        }))
    }

    /// Returns an error when the routes are none, or have no arm as their common account.
    fn check_routes(
        &self,
        model: &Model,
        table: &ExperimentTable,
        path: &KeyPath,
    ) -> Result<(), ConfigError> {
        let current = table.current(model);
        for name in &table.routes {
            let (problem, remedy) = match model.routes.get(name) {
                _ if name == ANY_ROUTE => (
                    format!("names {name:?}, which stands for many routes"),
                    "name the routes, or leave `routes` out for all of the current account",
                ),
                None => (
                    format!("names {name:?}, and there is no table [routes.{name}]"),
                    "name routes that have a table",
                ),
                Some(route) if route.primary(&model.check) != current => (
                    format!("names {name:?}, whose account is not {current:?}"),
                    "name routes with one account, and make an experiment for each of the others later",
                ),
                Some(_) => continue,
            };
            return Err(self.context.wrong(&path.join("routes"), problem, remedy));
        }
        match table.arms.contains_key(current) {
            true => Ok(()),
            false => Err(self.context.wrong(
                &path.join("arms"),
                format!("lacks {current:?}, the account that judges now"),
                format!("give it a weight, such as {current} = 0.5"),
            )),
        }
    }

    fn check_names(&self, table: &ExperimentTable, path: &KeyPath) -> Result<(), ConfigError> {
        let is_name = |name: &str| {
            (1..=128).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let wrong = |key: &str, problem: String| {
            let remedy = "write up to 128 letters, digits, `-`, `_` and `.`";
            Err(self.context.wrong(&path.join(key), problem, remedy))
        };
        if !is_name(&table.name) {
            return wrong("name", "is not a short name".to_owned());
        }
        if let Some(arm) = table.arms.keys().find(|arm| !is_name(arm)) {
            return wrong(
                "arms",
                format!("names {arm:?}, which the records cannot hold"),
            );
        }
        if table
            .margin
            .is_some_and(|margin| !(0.0..1.0).contains(&margin))
        {
            return Err(self.context.wrong(
                &path.join("margin"),
                "is not from 0 to 1",
                "write a share: 0.01 is one percentage point",
            ));
        }
        Ok(())
    }

    /// Returns the steps of the ramp.
    fn ramp(&self, table: &ExperimentTable, path: &KeyPath) -> Result<Vec<RampStep>, ConfigError> {
        if table.ramp.is_empty() {
            return match table.ramp_every.is_some() || table.start.is_some() {
                false => Ok(Vec::new()),
                true => Err(self.context.wrong(
                    &path.join("ramp"),
                    "is missing beside ramp_every or start",
                    "write the steps, such as ramp = [\"1%\", \"10%\", \"50%\"], or leave both out",
                )),
            };
        }
        let (Some(every), Some(start)) = (table.ramp_every, &table.start) else {
            return Err(self.context.wrong(
                &path.join("ramp"),
                "has no time",
                "write when it begins and how long a step lasts: start = 2026-12-01, ramp_every = \"48h\"",
            ));
        };
        let start = moment(self.context, &path.join("start"), &start.to_string())?;
        let steps = (0_u32..).zip(&table.ramp).map(|(nth, text)| {
            let share = text
                .strip_suffix('%')
                .and_then(|text| text.trim().parse::<f64>().ok());
            let from = every
                .checked_mul(nth)
                .and_then(|after| start.checked_add(after));
            match (share, from) {
                (Some(percent), Some(from)) => Ok(RampStep {
                    from,
                    share: percent / 100.0,
                }),
                (Some(_), None) => Err(self.context.wrong(
                    &path.join("ramp_every"),
                    "leads beyond all times",
                    "write a shorter time, such as \"48h\"",
                )),
                (None, _) => Err(self.context.wrong(
                    &path.join("ramp"),
                    format!("holds {text:?}, which is no percentage"),
                    "write percentages in quotes, such as \"10%\"",
                )),
            }
        });
        steps.collect()
    }
}

/// Returns a digest of the settings of the arms. Records before and after a change of it cannot be
/// compared. A version of this program that knows more settings has another digest of the same ones.
fn digest(model: &Model, arms: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for name in arms {
        let table = &model.providers[*name];
        // Secrets are references here, and their texts are not part of it.
        hasher.update(format!("{name}:{table:?}\n").as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Drops events, for a dry run.
#[derive(Debug)]
struct NoSink;

impl EventSink for NoSink {
    fn record(&self, _: ExperimentEvent) {}
}
