use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{Model, Sunset};
use crate::duration;

/// A randomised experiment between accounts.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ExperimentTable {
    /// The name. A new experiment needs a new one: one that has stopped never starts again.
    pub(crate) name: String,
    /// The accounts and their weights, such as `{ hcaptcha = 0.5, turnstile = 0.5 }`. One of them must
    /// be the account that judges on the routes: the current one.
    pub(crate) arms: BTreeMap<String, f64>,
    /// The routes whose visitors take part. Default: all routes whose account is the current one.
    #[serde(default)]
    pub(crate) routes: Vec<String>,
    /// The file that events are appended to, one JSON object a line. `human-check report` reads it.
    pub(crate) file: String,
    /// The file that a stop is written to, and read from by all processes that share it. Default: the
    /// file of events with `.state` behind its name.
    pub(crate) state_file: Option<String>,
    /// When the experiment ends: a date (its first moment, UTC), or a date and time with an offset.
    /// Default: never.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) until: Option<Sunset>,
    /// How many visitors of all arms are planned, as `human-check plan` computes it. It must not change.
    /// Default 10,000.
    pub(crate) planned: Option<u64>,
    /// How much less an arm may complete before the experiment stops by itself, as a share: 0.01 is one
    /// percentage point. Default 0.
    pub(crate) margin: Option<f64>,
    /// Whether the experiment stops by itself. Default true.
    pub(crate) guardrail: Option<bool>,
    /// Whether the cookie needs the consent that a page states by `humanCheck.allow()`. Default false.
    #[serde(default)]
    pub(crate) consent: bool,
    /// Whether a cookie keeps visitors in their arm. Default true.
    pub(crate) cookie: Option<bool>,
    /// The share of the latest visits beyond which cookies of an arm count as none, above 0
    /// and at most 1. Default: no limit.
    pub(crate) max_share: Option<f64>,
    /// The steps of a ramp: which share of the visitors the other arms have together, such as
    /// `["1%", "10%", "50%"]`. Default: the weights from the start.
    #[serde(default)]
    pub(crate) ramp: Vec<String>,
    /// How long each step of the ramp lasts, such as `"48h"`. The last one lasts until the end.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) ramp_every: Option<Duration>,
    /// When the first step of the ramp begins. Required with a ramp.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) start: Option<Sunset>,
}

impl ExperimentTable {
    /// Returns the path of the state file.
    pub(crate) fn state_file(&self, directory: &Path) -> PathBuf {
        match &self.state_file {
            Some(state) => directory.join(state),
            None => {
                let mut name = directory.join(&self.file).into_os_string();
                name.push(".state");
                name.into()
            }
        }
    }

    /// Returns the account that visitors of its routes meet without the experiment.
    pub(crate) fn current<'m>(&'m self, model: &'m Model) -> &'m str {
        let first = self.routes.first().and_then(|name| model.routes.get(name));
        first.map_or(&model.check.account, |route| route.primary(&model.check))
    }
}
