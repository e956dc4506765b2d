use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use human_check_compare::estimate::{Count, Stratum};
use human_check_compare::{ExperimentHeader, Guardrail, JsonLinesSink, StopNote};
use human_check_core::{ConfigError, EventSink, ExperimentEvent, FunnelStep, Receipt};
use human_check_guard::{
    AttemptKey, AttemptStore, AttemptStoreError, ExperimentSwitch, MemoryAttemptStore,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::MissedTickBehavior;

/// How often the state file and the shared counts are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// After how many events, too.
const LOOK_AFTER: u32 = 50;

/// How long the counts of an experiment are kept in the store after their first event.
const KEPT: Duration = Duration::from_secs(366 * 86_400);

/// How long a completed receipt is remembered: longer than an offer holds.
const RECEIPT_KEPT: Duration = Duration::from_secs(2 * 86_400);

/// How many events may wait to be counted. Those beyond are not counted for the guardrail; the file has
/// them.
const WAITING: usize = 10_000;

/// How many completed receipts this process remembers, without a store on a server.
const MAX_RECEIPTS: usize = 100_000;

/// How many counts an experiment has at most, in the memory of this process.
const MAX_COUNTS: usize = 10_000;

/// How long a store may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The experiment of this process, if there is one. A reload keeps its switch, file and counts.
#[derive(Debug, Default)]
pub(crate) struct Experiments(Mutex<Option<Arc<Running>>>);

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
    /// The store that several machines share. `None` to count in this process.
    pub(crate) shared: Option<Arc<dyn AttemptStore>>,
}

/// An experiment that runs: its file, its switch, and the watch over its completions.
///
/// The counts of each arm are those of all machines that share a store. A stop is written to the state
/// file and to that store, and either stops.
#[derive(Debug)]
pub(crate) struct Running {
    sink: JsonLinesSink,
    switch: ExperimentSwitch,
    watch: Watch,
    /// The way to the task that counts, from the first event on. It ends with its runtime, and the next
    /// event begins another.
    counting: Mutex<Option<Sender<Counted>>>,
}

/// What the task that counts knows. Clones share the plan, which a reload replaces.
#[derive(Clone, Debug)]
struct Watch {
    name: String,
    state_file: PathBuf,
    plan: Arc<Mutex<Plan>>,
    counts: Arc<dyn AttemptStore>,
    /// Whether the store has failed since the last look.
    has_failed: Arc<AtomicBool>,
    /// Whether other machines count in the same store.
    is_shared: bool,
}

/// The plan in force.
#[derive(Clone, Debug)]
struct Plan {
    /// The arms, the current one first.
    arms: Vec<String>,
    /// What stands for the weights of each step of the ramp. Visitors with equal weights are compared
    /// with one another.
    steps: Vec<String>,
    /// The weights of this process so far.
    strata: BTreeSet<String>,
    guardrail: Option<Guardrail>,
    knows_visits: bool,
}

/// An event that counts: the arm, the weights, and the receipt of one that completed.
#[derive(Clone, Debug)]
struct Counted {
    arm: Arc<str>,
    stratum: String,
    completed: Option<Receipt>,
}

/// A lock whose holder may have panicked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plan {
    fn of(setup: &Setup) -> Self {
        let arms = &setup.plan.arms;
        let steps = arms.first().map_or(0, |arm| arm.weights.len());
        let step = |step: usize| {
            let weights = arms
                .iter()
                .map(|arm| format!("{}={:.6}", arm.name, arm.weights[step]));
            weights.collect::<Vec<_>>().join(",")
        };
        let steps: Vec<String> = (0..steps).map(step).collect();
        Self {
            arms: arms.iter().map(|arm| arm.name.clone()).collect(),
            strata: steps.iter().cloned().collect(),
            steps,
            guardrail: setup.guardrail,
            knows_visits: setup.knows_visits,
        }
    }

    /// Replaces the plan, and keeps the weights of before.
    fn replace(&mut self, mut next: Self) {
        next.strata.append(&mut self.strata);
        *self = next;
    }
}

impl Experiments {
    /// Returns the experiment of this name, which is opened if it is new. Its plan is not in force yet: a
    /// configuration that is refused later must change nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when its file cannot be written, or its state file cannot be read or written.
    pub(crate) fn prepare(&self, setup: Setup) -> Result<NextExperiment, ConfigError> {
        let plan = Plan::of(&setup);
        let (digest, header) = (setup.digest.clone(), setup.plan.clone());
        let current = lock(&self.0).clone();
        let known = current.filter(|current| current.watch.name == setup.plan.name);
        let running = match known {
            Some(running) => running,
            None => Self::open(setup, plan.clone())?,
        };
        Ok(NextExperiment {
            running,
            plan,
            digest,
            header,
        })
    }

    /// Puts a plan in force, or none. One that changed becomes a new header of the file. An experiment
    /// that no configuration names any more ends with the requests in flight.
    pub(crate) fn begin(&self, next: Option<&NextExperiment>) {
        let mut current = lock(&self.0);
        let running = next.map(|next| &next.running);
        if let (Some(next), Some(known)) = (next, current.as_ref())
            && Arc::ptr_eq(known, &next.running)
        {
            lock(&known.watch.plan).replace(next.plan.clone());
            let (digest, header) = (next.digest.clone(), next.header.clone());
            known.sink.restate(Some(digest), Some(header));
        }
        *current = running.cloned();
    }

    /// Opens the file of an experiment, and reads whether it has stopped.
    fn open(setup: Setup, plan: Plan) -> Result<Arc<Running>, ConfigError> {
        let name = setup.plan.name.clone();
        let sink = JsonLinesSink::options()
            .with_config_digest(setup.digest)
            .with_experiment(setup.plan)
            .open(setup.file)?;
        let folder = setup
            .state_file
            .parent()
            .filter(|folder| *folder != Path::new(""));
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(ConfigError::new(
                "state_file",
                format!(
                    "is {}, whose folder does not exist",
                    setup.state_file.display()
                ),
                "name a file in a folder that exists",
            ));
        }
        let switch = ExperimentSwitch::default();
        let note = StopNote::read(&setup.state_file, &name).map_err(|error| {
            ConfigError::new(
                "state_file",
                format!(
                    "names {}, which cannot be read ({error})",
                    setup.state_file.display()
                ),
                "mend it; without it the program cannot tell whether the experiment has stopped",
            )
        })?;
        match note {
            Some(note) => {
                tracing::warn!(target: "human_check_config", experiment = name, at = note.at, "the experiment has stopped before; all visitors meet the current account");
                switch.stop();
            }
            None => {
                tracing::info!(target: "human_check_config", experiment = name, "the experiment runs");
            }
        }
        let is_shared = setup.shared.is_some();
        Ok(Arc::new(Running {
            watch: Watch {
                name,
                state_file: setup.state_file,
                plan: Arc::new(Mutex::new(plan)),
                // Not that of the triggers, which a flood of addresses can fill.
                counts: setup
                    .shared
                    .unwrap_or_else(|| Arc::new(MemoryAttemptStore::new(MAX_COUNTS))),
                has_failed: Arc::default(),
                is_shared,
            },
            sink,
            switch,
            counting: Mutex::default(),
        }))
    }
}

/// An experiment whose plan can be put in force.
#[derive(Debug)]
pub(crate) struct NextExperiment {
    running: Arc<Running>,
    plan: Plan,
    digest: String,
    header: ExperimentHeader,
}

impl NextExperiment {
    /// Returns the experiment.
    pub(crate) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
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
        let completed = match event.step {
            FunnelStep::Shown { .. } => None,
            FunnelStep::Completed => Some(event.receipt),
            _ => return,
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // Any visitor starts the task, because it also looks for the stop of another process.
        let sender = {
            let mut counting = lock(&self.counting);
            match counting.as_ref().filter(|sender| !sender.is_closed()) {
                Some(sender) => sender.clone(),
                None => {
                    let (sender, receiver) = channel(WAITING);
                    let task = self.watch.clone().run(receiver, self.switch.clone());
                    drop(runtime.spawn(task));
                    counting.insert(sender).clone()
                }
            }
        };
        let stratum = {
            let plan = lock(&self.watch.plan);
            let counts = !plan.knows_visits || assignment.first == Some(true);
            let stratum = plan.steps.get(usize::from(assignment.ramp_step));
            match stratum.filter(|_| counts) {
                Some(stratum) => stratum.clone(),
                None => return,
            }
        };
        // A full channel loses counts of both arms alike.
        let _ = sender.try_send(Counted {
            arm: Arc::clone(&assignment.arm),
            stratum,
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

impl Watch {
    /// Counts events until all senders are dropped, and looks for a stop.
    async fn run(self, mut events: Receiver<Counted>, switch: ExperimentSwitch) {
        let (mut receipts, mut since_look) = (HashSet::new(), 0);
        // A note of a stop that is not yet where others see it.
        let mut unsaid = None;
        let mut is_failing = false;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        self.add(&event, &mut receipts).await;
                        since_look += 1;
                        if since_look < LOOK_AFTER {
                            continue;
                        }
                    }
                    None => return,
                },
                _ = look.tick() => {}
            }
            since_look = 0;
            self.look(&switch, &mut unsaid).await;
            self.tell_failures(&mut is_failing);
        }
    }

    /// Says once that the store fails, and once that it works again.
    fn tell_failures(&self, is_failing: &mut bool) {
        let has_failed = self.has_failed.swap(false, Ordering::Relaxed);
        if has_failed == *is_failing {
            return;
        }
        *is_failing = has_failed;
        let experiment = &self.name;
        match has_failed {
            true => {
                tracing::warn!(target: "human_check_config", experiment, "the store of the experiment fails: no bad arm stops by itself, and a stop of another machine is not noticed");
            }
            false => {
                tracing::info!(target: "human_check_config", experiment, "the store of the experiment works again");
            }
        }
    }

    fn key(&self, arm: &str, stratum: &str, what: &str) -> AttemptKey {
        let name = &self.name;
        AttemptKey::named(format!("experiment:{name}:{arm}:{stratum}:{what}"))
    }

    fn stop_key(&self) -> AttemptKey {
        AttemptKey::named(format!("experiment:{}:stopped", self.name))
    }

    async fn add(&self, event: &Counted, receipts: &mut HashSet<Receipt>) {
        let what = match event.completed {
            None => "shown",
            Some(receipt) if self.is_first(receipt, receipts).await => "completed",
            Some(_) => return,
        };
        // What a store cannot count is missing in both arms alike. The file has it.
        let key = self.key(&event.arm, &event.stratum, what);
        let _ = self.add_one(&key, KEPT).await;
    }

    /// Returns whether a receipt completes for the first time, on all machines.
    async fn is_first(&self, receipt: Receipt, receipts: &mut HashSet<Receipt>) -> bool {
        if receipts.len() == MAX_RECEIPTS {
            receipts.clear();
        }
        if !receipts.insert(receipt) {
            return false;
        }
        if !self.is_shared {
            return true;
        }
        let key = AttemptKey::named(format!("experiment:{}:receipt:{receipt}", self.name));
        self.add_one(&key, RECEIPT_KEPT).await == Some(1)
    }

    /// Stops if another process has, or if an arm breaks the guardrail.
    async fn look(&self, switch: &ExperimentSwitch, unsaid: &mut Option<StopNote>) {
        if let Some(note) = unsaid {
            if self.say(note).await {
                *unsaid = None;
            }
            return;
        }
        if switch.is_stopped() {
            return;
        }
        let by_file = match StopNote::read(&self.state_file, &self.name) {
            Ok(note) => note.is_some(),
            // It may say that the experiment has stopped.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(target: "human_check_config", %error, "the state of the experiment is unknown, so it stops in this process");
                true
            }
            Err(error) => {
                tracing::warn!(target: "human_check_config", %error, "the state file of the experiment cannot be read now");
                false
            }
        };
        let by_others = self.is_shared && self.count(&self.stop_key()).await > Some(0);
        if by_file || by_others {
            switch.stop();
        }
        if by_others && !by_file {
            // A restart must know it without the store.
            let reason = "another process has stopped the experiment";
            let note = StopNote::new(&self.name, "an arm", reason, SystemTime::now());
            let is_said = self.say(&note).await;
            *unsaid = (!is_said).then_some(note);
        }
        if by_file || by_others {
            tracing::warn!(target: "human_check_config", experiment = self.name, "the experiment has stopped; all visitors meet the current account");
            return;
        }
        let Some((arm, reason)) = self.breach().await else {
            return;
        };
        let note = StopNote::new(&self.name, &arm, &reason, SystemTime::now());
        // Here first: to tell the others may take a while.
        switch.stop();
        let is_said = self.say(&note).await;
        tracing::error!(
            target: "human_check_config",
            experiment = self.name,
            arm,
            reason,
            is_said,
            "the experiment has stopped by itself; all visitors meet the current account"
        );
        *unsaid = (!is_said).then_some(note);
    }

    /// Writes a stop to the state file, and to the store that others share. Returns whether both have it.
    async fn say(&self, note: &StopNote) -> bool {
        let written = note.write(&self.state_file);
        if let Err(error) = &written {
            tracing::error!(target: "human_check_config", %error, "the stop of the experiment cannot be written; a restart would begin it again");
        }
        let is_shared = match self.is_shared {
            true => self.add_one(&self.stop_key(), KEPT).await.is_some(),
            false => true,
        };
        written.is_ok() && is_shared
    }

    /// Returns the arm that breaks the guardrail, and how.
    async fn breach(&self) -> Option<(String, String)> {
        let plan = lock(&self.plan).clone();
        let guardrail = plan.guardrail?;
        let (current, others) = plan.arms.split_first()?;
        for arm in others {
            let mut strata = Vec::new();
            for stratum in &plan.strata {
                let arm = self.share(arm, stratum).await?;
                strata.push(Stratum::new(arm, self.share(current, stratum).await?));
            }
            if let Some(breach) = guardrail.broken_by(&strata) {
                return Some((arm.clone(), breach.to_string()));
            }
        }
        None
    }

    /// Returns how many completed of those shown, on all machines. `None` if the store fails.
    async fn share(&self, arm: &str, stratum: &str) -> Option<Count> {
        let completed = self.count(&self.key(arm, stratum, "completed")).await?;
        let shown = self.count(&self.key(arm, stratum, "shown")).await?;
        Some(Count::new(completed.into(), shown.into()))
    }

    async fn count(&self, key: &AttemptKey) -> Option<u32> {
        self.known(self.counts.count(key)).await
    }

    async fn add_one(&self, key: &AttemptKey, window: Duration) -> Option<u32> {
        self.known(self.counts.add(key, window)).await
    }

    /// Returns a count. `None` if the store fails, or has no room for the key and states the highest
    /// number.
    async fn known(
        &self,
        counting: impl Future<Output = Result<u32, AttemptStoreError>>,
    ) -> Option<u32> {
        let count = tokio::time::timeout(STORE_TIMEOUT, counting).await;
        let count = count.ok().and_then(Result::ok);
        let known = count.filter(|count| *count != u32::MAX);
        self.has_failed.fetch_or(known.is_none(), Ordering::Relaxed);
        known
    }
}
