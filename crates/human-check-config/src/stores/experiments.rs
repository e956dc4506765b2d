use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use human_check_compare::estimate::{Count, Stratum};
use human_check_compare::{ExperimentHeader, Guardrail, JsonLinesSink, StopNote};
use human_check_core::{ConfigError, EventSink, ExperimentEvent, FunnelStep, Receipt};
use human_check_guard::{AttemptKey, AttemptStore, ExperimentSwitch};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::MissedTickBehavior;

/// How often the state file and the shared counts are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// After how many events, too.
const LOOK_AFTER: u32 = 50;

/// How long the counts of an experiment are kept in the store after their first event.
const KEPT: Duration = Duration::from_secs(366 * 86_400);

/// How many events may wait to be counted. Those beyond are not counted for the guardrail; the file has
/// them.
const WAITING: usize = 10_000;

/// How many completed receipts are remembered, so that each counts once.
const MAX_RECEIPTS: usize = 100_000;

/// How long a store may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The experiments that have run in this process, by name. A reload keeps their switches, files and
/// counts.
#[derive(Debug, Default)]
pub(crate) struct Experiments(Mutex<HashMap<String, Arc<Running>>>);

/// What an experiment needs to run.
pub(crate) struct Setup {
    pub(crate) plan: ExperimentHeader,
    pub(crate) file: PathBuf,
    pub(crate) state_file: PathBuf,
    pub(crate) digest: String,
    /// `None` if it does not stop by itself.
    pub(crate) guardrail: Option<Guardrail>,
    /// Whether a cookie tells first visits, which alone count.
    pub(crate) knows_visits: bool,
    pub(crate) attempts: Arc<dyn AttemptStore>,
}

/// An experiment that runs: its file, its switch, and the watch over its completions.
///
/// The counts of each arm are those of all machines that share the attempt store. A stop is written to
/// the state file and to the store, and either stops.
#[derive(Debug)]
pub(crate) struct Running {
    sink: JsonLinesSink,
    switch: ExperimentSwitch,
    watch: Watch,
    /// The way to the task that counts, from the first event on.
    counting: OnceLock<Sender<Counted>>,
}

/// What the task that counts knows.
#[derive(Clone, Debug)]
struct Watch {
    name: String,
    /// The arms, the current one first.
    arms: Vec<String>,
    ramp_steps: usize,
    state_file: PathBuf,
    guardrail: Option<Guardrail>,
    knows_visits: bool,
    attempts: Arc<dyn AttemptStore>,
}

/// An event that counts: the arm, the step of the ramp, and the receipt of one that completed.
#[derive(Clone, Debug)]
struct Counted {
    arm: usize,
    ramp_step: u8,
    completed: Option<Receipt>,
}

impl Experiments {
    /// Returns the experiment of this name, which is started if it is new. A plan that changed becomes a
    /// new header of its file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when its file cannot be written, or its state file cannot be read.
    pub(crate) fn run(&self, setup: Setup) -> Result<Arc<Running>, ConfigError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = all.get(&setup.plan.name) {
            running.sink.restate(Some(setup.digest), Some(setup.plan));
            return Ok(Arc::clone(running));
        }
        let name = setup.plan.name.clone();
        let switch = ExperimentSwitch::default();
        if is_stopped_by(&setup.state_file, &name)? {
            switch.stop();
        }
        let running = Arc::new(Running {
            watch: Watch {
                name: name.clone(),
                arms: setup.plan.arms.iter().map(|arm| arm.name.clone()).collect(),
                ramp_steps: setup.plan.arms.first().map_or(1, |arm| arm.weights.len()),
                state_file: setup.state_file,
                guardrail: setup.guardrail,
                knows_visits: setup.knows_visits,
                attempts: setup.attempts,
            },
            sink: JsonLinesSink::options()
                .with_config_digest(setup.digest)
                .with_experiment(setup.plan)
                .open(setup.file)?,
            switch,
            counting: OnceLock::new(),
        });
        all.insert(name, Arc::clone(&running));
        Ok(running)
    }
}

impl Running {
    /// Returns the switch that stops the experiment.
    pub(crate) fn switch(&self) -> ExperimentSwitch {
        self.switch.clone()
    }

    /// Passes an event on to the task that counts, which the first event inside of a runtime starts.
    fn count(&self, event: &ExperimentEvent) {
        let Some(assignment) = &event.assignment else {
            return;
        };
        let counts = match self.watch.knows_visits {
            true => assignment.first == Some(true),
            false => true,
        };
        let completed = match event.step {
            FunnelStep::Shown { .. } => None,
            FunnelStep::Completed => Some(event.receipt),
            _ => return,
        };
        let arm = self
            .watch
            .arms
            .iter()
            .position(|arm| **arm == *assignment.arm);
        let (Some(arm), true) = (arm, counts) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let sender = self.counting.get_or_init(|| {
            let (sender, receiver) = channel(WAITING);
            let task = self.watch.clone().run(receiver, self.switch.clone());
            drop(runtime.spawn(task));
            sender
        });
        // A full channel loses counts of both arms alike.
        let _ = sender.try_send(Counted {
            arm,
            ramp_step: assignment.ramp_step,
            completed,
        });
    }
}

impl EventSink for Running {
    fn record(&self, event: ExperimentEvent) {
        self.count(&event);
        self.sink.record(event);
    }
}

/// Returns whether a state file says that an experiment has stopped.
fn is_stopped_by(path: &Path, name: &str) -> Result<bool, ConfigError> {
    let note = StopNote::read(path).map_err(|error| {
        ConfigError::new(
            "state_file",
            format!("names {}, which cannot be read ({error})", path.display()),
            "mend or remove it; without it the program cannot tell whether the experiment has stopped",
        )
    })?;
    Ok(note.is_some_and(|note| note.experiment == name))
}

impl Watch {
    /// Counts events until all senders are dropped, and looks for a stop.
    async fn run(self, mut events: Receiver<Counted>, switch: ExperimentSwitch) {
        let (mut receipts, mut since_look) = (HashSet::new(), 0);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        self.add(&event, &mut receipts).await;
                        since_look += 1;
                        if since_look == LOOK_AFTER {
                            since_look = 0;
                            self.look(&switch).await;
                        }
                    }
                    None => return,
                },
                _ = look.tick() => self.look(&switch).await,
            }
        }
    }

    fn key(&self, arm: usize, ramp_step: usize, what: &str) -> AttemptKey {
        let (name, arm) = (&self.name, &self.arms[arm]);
        AttemptKey::named(format!("experiment:{name}:{arm}:{ramp_step}:{what}"))
    }

    fn stop_key(&self) -> AttemptKey {
        AttemptKey::named(format!("experiment:{}:stopped", self.name))
    }

    async fn add(&self, event: &Counted, receipts: &mut HashSet<Receipt>) {
        let what = match event.completed {
            None => "shown",
            Some(receipt) => {
                if receipts.len() == MAX_RECEIPTS {
                    receipts.clear();
                }
                if !receipts.insert(receipt) {
                    return;
                }
                "completed"
            }
        };
        let key = self.key(event.arm, event.ramp_step.into(), what);
        let add = self.attempts.add(&key, KEPT);
        // What a store cannot count is missing in both arms alike. The file has it.
        let _ = tokio::time::timeout(STORE_TIMEOUT, add).await;
    }

    /// Stops if another process has, or if an arm breaks the guardrail.
    async fn look(&self, switch: &ExperimentSwitch) {
        if switch.is_stopped() {
            return;
        }
        let by_file = is_stopped_by(&self.state_file, &self.name);
        if let Err(error) = &by_file {
            tracing::error!(target: "human_check_config", %error, "the state of the experiment is unknown, so it stops in this process");
        }
        let is_stopped = by_file.unwrap_or(true) || self.count(&self.stop_key()).await > Some(0);
        if is_stopped {
            tracing::warn!(target: "human_check_config", experiment = self.name, "the experiment has stopped; all visitors meet the current account");
            switch.stop();
            return;
        }
        let Some(guardrail) = self.guardrail else {
            return;
        };
        for arm in 1..self.arms.len() {
            let mut strata = Vec::new();
            for step in 0..self.ramp_steps {
                let (Some(arm), Some(current)) =
                    (self.share(arm, step).await, self.share(0, step).await)
                else {
                    return;
                };
                strata.push(Stratum::new(arm, current));
            }
            let Some(breach) = guardrail.broken_by(&strata) else {
                continue;
            };
            let note = StopNote::new(
                &self.name,
                &self.arms[arm],
                breach.to_string(),
                SystemTime::now(),
            );
            let written = note.write(&self.state_file);
            switch.stop();
            let _ = tokio::time::timeout(STORE_TIMEOUT, self.attempts.add(&self.stop_key(), KEPT))
                .await;
            tracing::error!(
                target: "human_check_config",
                experiment = self.name,
                arm = self.arms[arm],
                reason = note.reason,
                state_written = written.is_ok(),
                "the experiment has stopped by itself; all visitors meet the current account"
            );
            return;
        }
    }

    /// Returns how many completed of those shown, on all machines. `None` if the store fails.
    async fn share(&self, arm: usize, step: usize) -> Option<Count> {
        let completed = self.count(&self.key(arm, step, "completed")).await?;
        let shown = self.count(&self.key(arm, step, "shown")).await?;
        Some(Count::new(completed.into(), shown.into()))
    }

    async fn count(&self, key: &AttemptKey) -> Option<u32> {
        let count = tokio::time::timeout(STORE_TIMEOUT, self.attempts.count(key)).await;
        count.ok()?.ok()
    }
}
