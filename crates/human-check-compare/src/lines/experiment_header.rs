use serde::{Deserialize, Serialize};

/// The plan of an experiment, as the header of its records states it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExperimentHeader {
    /// The name of the experiment.
    pub name: String,
    /// The arms. The first one is the current account, with which the others are compared.
    pub arms: Vec<Arm>,
    /// How many visitors of all arms are planned. It tunes the intervals, and must not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// How many percentage points worse an arm may be before it is stopped, as a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The day on which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// An arm of an experiment.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Arm {
    /// The name of the arm, which is that of its account.
    pub name: String,
    /// The share of visitors in each step of the ramp, from 0 to 1.
    pub weights: Vec<f64>,
}

impl Arm {
    /// Creates an arm.
    pub fn new(name: impl Into<String>, weights: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            weights,
        }
    }
}

impl ExperimentHeader {
    /// Creates the plan of an experiment. The first arm is the current account.
    pub fn new(name: impl Into<String>, arms: Vec<Arm>) -> Self {
        Self {
            name: name.into(),
            arms,
            planned: None,
            margin: None,
            until: None,
        }
    }

    /// Sets how many visitors of all arms are planned. Default: 10,000 tune the intervals.
    #[must_use]
    pub fn with_planned(mut self, visitors: u64) -> Self {
        self.planned = Some(visitors);
        self
    }

    /// Sets how much worse an arm may be before it is stopped, as a share. Default: 0.
    #[must_use]
    pub fn with_margin(mut self, margin: f64) -> Self {
        self.margin = Some(margin);
        self
    }

    /// Sets the day on which it ends, such as `2026-12-24`.
    #[must_use]
    pub fn with_until(mut self, day: impl Into<String>) -> Self {
        self.until = Some(day.into());
        self
    }
}
