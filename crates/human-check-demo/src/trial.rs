//! The experiment of the demo: simulated visitors whose truth is known, day by day.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use human_check_compare::{ExperimentHeader, ExperimentStatistics, ExperimentTally, Input};
use human_check_core::{Clock, ConfigError, EventSink, ExperimentEvent};
use human_check_emulator::Emulator;
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    Account, AccountList, Experiment, ExperimentArm, ExperimentSwitch, Guard, RequestHead,
    RoutePolicy, Selection, Visitor,
};
use human_check_http::{HyperTransport, ProviderClient};
use tokio::sync::Mutex as AsyncMutex;

use crate::providers::{DemoProvider, ProviderCheck, Solver, Work, limits};

/// How many visitors come on a day.
pub(crate) const PER_DAY: usize = 500;

/// The last day.
pub(crate) const DAYS: usize = 28;

/// How many visitors are planned.
pub(crate) const PLANNED: u64 = 14_000;

/// The shares of visitors who complete: of the current arm, of the new one, and of the new one while it
/// is broken.
pub(crate) const TRUTH: [f64; 3] = [0.90, 0.94, 0.70];

/// The arms, the current one first.
pub(crate) const ARMS: [DemoProvider; 2] = [DemoProvider::HCAPTCHA, DemoProvider::TURNSTILE];

/// An experiment under way.
pub(crate) struct Trial {
    emulator: Emulator,
    checks: Vec<ProviderCheck>,
    guard: Guard,
    clock: Days,
    events: Events,
    switch: ExperimentSwitch,
    plan: ExperimentHeader,
    pub(crate) day: usize,
    pub(crate) is_broken: bool,
    /// The day on which the guardrail stopped the experiment, and why.
    pub(crate) stopped: Option<(usize, String)>,
}

/// The trial of the site, which all its visitors share. `None` before the first visit of the page.
pub(crate) type Shared = AsyncMutex<Option<Trial>>;

/// A clock that moves by days.
#[derive(Clone, Debug)]
struct Days(Arc<AtomicU64>, SystemTime);

impl Clock for Days {
    fn now(&self) -> SystemTime {
        self.1 + self.uptime()
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(86_400 * self.0.load(Ordering::Relaxed))
    }
}

/// The events of the experiment, in memory.
#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<ExperimentEvent>>>);

impl EventSink for Events {
    fn record(&self, event: ExperimentEvent) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }
}

/// The request of a simulated visitor, who has no cookie: a new visitor each time.
struct NewVisitor;

impl RequestHead for NewVisitor {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

impl Trial {
    /// Begins an experiment with an emulator of its own.
    ///
    /// # Errors
    ///
    /// When the emulator cannot start, or the demo is set up wrongly.
    pub(crate) async fn new() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let emulator = Emulator::start().await?;
        // The demo's policy needs a score, which hCaptcha reports for Enterprise accounts only.
        emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
        let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits());
        let check = |provider| ProviderCheck::new(provider, &emulator, &client, Work::simulated()?);
        let checks = ARMS
            .map(check)
            .into_iter()
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let accounts = checks.iter().map(|check| {
            let account = Account::new(check.provider.name(), Arc::clone(&check.check));
            Ok(account.with_widget(check.provider.widget(&emulator)?))
        });
        let accounts = accounts.collect::<Result<Vec<_>, ConfigError>>()?;
        let (events, clock) = (Events::default(), Days(Arc::default(), SystemTime::now()));
        let arms = accounts
            .iter()
            .map(|account| ExperimentArm::new(account.clone(), 0.5));
        let experiment = Experiment::new("demo", arms, events.clone())?;
        let arms = accounts.iter().zip(experiment.weights());
        let arms =
            arms.map(|(account, weights)| human_check_compare::Arm::new(account.name(), weights));
        let plan = ExperimentHeader::new("demo", arms.collect()).with_planned(PLANNED);
        let switch = experiment.switch().clone();
        let selection = Selection::new(AccountList::new(accounts[0].clone()))
            .with_clock(clock.clone())
            .with_experiment(experiment);
        Ok(Self {
            guard: Guard::builder_for(selection).build(RoutePolicy::fail_closed("experiment"))?,
            emulator,
            checks,
            clock,
            events,
            switch,
            plan,
            day: 0,
            is_broken: false,
            stopped: None,
        })
    }

    /// Lets the visitors of one day come, each through the guard. Then the guardrail looks.
    ///
    /// # Errors
    ///
    /// When the emulator makes no token.
    pub(crate) async fn next_day(
        &mut self,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.day == DAYS {
            return Ok(());
        }
        for _ in 0..PER_DAY {
            self.visit().await?;
        }
        self.day += 1;
        self.clock.0.fetch_add(1, Ordering::Relaxed);
        if self.stopped.is_none()
            && let Some((arm, breach)) = self.statistics().breach()
        {
            self.switch.stop();
            self.stopped = Some((self.day, format!("{arm}: {breach}")));
        }
        Ok(())
    }

    /// One visitor: a page, a challenge that most solve, and the goal.
    async fn visit(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let page = self.guard.select(&NewVisitor);
        let arm = ARMS.iter().position(|arm| arm.name() == page.account());
        let arm = arm.unwrap_or(0);
        let truth = match (arm, self.is_broken) {
            (1, true) => TRUTH[2],
            (arm, _) => TRUTH[arm],
        };
        // Who does not complete leaves at the challenge, so no token is verified.
        if fastrand::f64() >= truth {
            return Ok(());
        }
        let token = self.checks[arm]
            .token(&self.emulator, Solver::Human)
            .await?;
        let fields = self.guard.fields();
        let mut tokens = SubmittedTokens::none();
        for (name, text) in [
            (ARMS[arm].field(), token),
            ("human-check-offer", page.offer().to_owned()),
        ] {
            if let Some(field) = fields.find(name) {
                tokens.push(field, text);
            }
        }
        let decision = self
            .guard
            .inspect(&NewVisitor)
            .with_tokens(tokens)
            .decide()
            .await;
        let visitor: Result<Visitor, _> = decision.require();
        let receipt = visitor
            .ok()
            .and_then(|visitor| visitor.human()?.receipt().cloned());
        if let Some(receipt) = receipt {
            self.guard.completed(&receipt);
        }
        Ok(())
    }

    /// Returns what the report says now.
    pub(crate) fn statistics(&self) -> ExperimentStatistics {
        let mut tally = ExperimentTally::of(&self.plan);
        let events = self.events.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().for_each(|event| tally.add(event));
        tally.statistics_of(Input::default())
    }
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial")
            .field("day", &self.day)
            .finish_non_exhaustive()
    }
}
