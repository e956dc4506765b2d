use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use human_check_core::{Health, HumanCheck, Provider};
use tokio::net::TcpSocket;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::failing_verifications::FailingVerifications;
use super::hold::Hold;
use super::outcome::Outcome;
use super::probe_budget::ProbeBudget;
use super::probe_state::{Change, Pair, ProbeState};
use super::single_flight::SingleFlight;
use crate::selection::FallbackOn;
use crate::selection::reported;

/// How long the second probe of a pair starts after the first.
const BETWEEN_PROBES: Duration = Duration::from_millis(250);

/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// By how much the timers of this process may be late while probes run.
const MAX_LATENESS: Duration = Duration::from_millis(250);

/// The first and the longest pause between two pairs while an account is down.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// How long an account counts as troubled at first, for a reason of
/// [`FallbackOn`](crate::FallbackOn).
const FIRST_TROUBLE: Duration = Duration::from_secs(60);

/// After how many pairs that succeed while verifications fail the operator is told.
const CONTRADICTIONS_BEFORE_WARNING: u32 = 5;

/// The settings of an account's health.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) is_forced_down: bool,
    pub(crate) max_probes_per_day: u32,
}

/// Whether an account works, in this process.
///
/// Only its own health probes make an account down. Reading it takes no lock.
pub(crate) struct AccountHealth {
    check: Arc<dyn HumanCheck>,
    settings: Settings,
    memory: Arc<Memory>,
}

/// What is known of an account. It outlives a change of the configuration.
struct Memory {
    account: String,
    begin: Instant,
    is_down: AtomicBool,
    is_script_down: AtomicBool,
    probes: Mutex<Probes>,
    pair: Arc<SingleFlight>,
    recovery: Arc<SingleFlight>,
    /// Pairs that succeeded since a token passed, each after a verification that failed.
    contradictions: AtomicU32,
    declined: Trouble,
    rate_limited: Trouble,
    failing: Trouble,
    verifications: Mutex<FailingVerifications>,
}

impl Memory {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }
}

impl Drop for Memory {
    /// An account that is no longer used is not down.
    fn drop(&mut self) {
        if *self.is_down.get_mut() {
            reported::set_down(&self.account, false);
        }
    }
}

#[derive(Debug)]
struct Probes {
    state: ProbeState,
    budget: ProbeBudget,
}

/// A trouble that lasts for some time.
struct Trouble {
    /// Its end, in milliseconds of the account's uptime. Zero if it never began.
    until: AtomicU64,
    hold: Mutex<Hold>,
}

impl Trouble {
    fn new() -> Self {
        Self {
            until: AtomicU64::new(0),
            hold: Mutex::new(Hold::new(FIRST_TROUBLE)),
        }
    }

    fn is_on(&self, now: Duration) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && now < Duration::from_millis(until)
    }

    /// Begins it at `now`, unless it is on already. Returns whether it began.
    fn begin(&self, now: Duration) -> bool {
        let mut hold = lock(&self.hold);
        if self.is_on(now) {
            return false;
        }
        let before = self.until.load(Ordering::Relaxed);
        if before > 0 {
            hold.end(Duration::from_millis(before));
        }
        let until = hold.begin(now);
        self.until
            .store(until.as_millis() as u64, Ordering::Relaxed);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AccountHealth {
    /// Creates the health of the account whose check is `check`. Nothing is known of it yet.
    pub(crate) fn new(account: String, check: Arc<dyn HumanCheck>, settings: Settings) -> Self {
        Self {
            check,
            settings,
            memory: Arc::new(Memory {
                account,
                begin: Instant::now(),
                is_down: AtomicBool::new(false),
                is_script_down: AtomicBool::new(false),
                probes: Mutex::new(Probes {
                    state: ProbeState::new(),
                    budget: ProbeBudget::default(),
                }),
                pair: Arc::default(),
                recovery: Arc::default(),
                contradictions: AtomicU32::new(0),
                declined: Trouble::new(),
                rate_limited: Trouble::new(),
                failing: Trouble::new(),
                verifications: Mutex::default(),
            }),
        }
    }

    /// Returns whether the probes of this account say something about a provider.
    pub(crate) fn covers(&self, provider: &Provider) -> bool {
        self.check.providers().contains(provider)
    }

    /// Creates the same health with what is known by `other`.
    pub(crate) fn with_memory_of(&self, other: &Self) -> Self {
        Self {
            check: Arc::clone(&self.check),
            settings: self.settings,
            memory: Arc::clone(&other.memory),
        }
    }

    /// Creates the same health with another check, which is probed.
    pub(crate) fn with_check(&self, check: Arc<dyn HumanCheck>) -> Self {
        Self {
            check,
            settings: self.settings,
            memory: Arc::clone(&self.memory),
        }
    }

    /// Creates the same health with other settings.
    pub(crate) fn with_settings(&self, settings: Settings) -> Self {
        Self {
            check: Arc::clone(&self.check),
            settings,
            memory: Arc::clone(&self.memory),
        }
    }

    /// Takes a pair of probes from the budget.
    fn take_pair(&self) -> bool {
        let mut probes = lock(&self.memory.probes);
        let max_per_day = self.settings.max_probes_per_day;
        probes.budget.take_pair(self.memory.now(), max_per_day)
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Returns whether the account is down, by its health probes or by the configuration. It is the
    /// only evidence on which a route fails open.
    pub(crate) fn is_down(&self) -> bool {
        self.settings.is_forced_down || self.memory.is_down.load(Ordering::Relaxed)
    }

    /// Returns whether another account should judge: because this one is down, or has a trouble that
    /// the route falls back on.
    pub(crate) fn is_out(&self, on: FallbackOn) -> bool {
        if self.is_down() {
            return true;
        }
        if on == FallbackOn::default() {
            return false;
        }
        let now = self.memory.now();
        on.declined && self.memory.declined.is_on(now)
            || on.rate_limited && self.memory.rate_limited.is_on(now)
            || on.failures && self.memory.failing.is_on(now)
    }

    /// Returns whether the script of the widget cannot be loaded.
    pub(crate) fn is_script_down(&self) -> bool {
        self.memory.is_script_down.load(Ordering::Relaxed)
    }

    /// Sets whether the script of the widget can be loaded.
    pub(crate) fn set_script_down(&self, is_down: bool) {
        if self.memory.is_script_down.swap(is_down, Ordering::Relaxed) != is_down {
            reported::script_changed(&self.memory.account, is_down);
        }
    }

    /// Records what the verification of a visitor's token says.
    pub(crate) fn record(&self, outcome: Outcome, on: FallbackOn) {
        let trouble = match outcome {
            Outcome::Declined => Some((&self.memory.declined, "declined")),
            Outcome::RateLimited => Some((&self.memory.rate_limited, "rate-limited")),
            Outcome::Human => {
                self.memory.contradictions.store(0, Ordering::Relaxed);
                None
            }
            Outcome::Other | Outcome::Unavailable => None,
        };
        if on == FallbackOn::default() {
            return;
        }
        let now = self.memory.now();
        if let Some((trouble, reason)) = trouble
            && trouble.begin(now)
        {
            reported::trouble_began(&self.memory.account, reason);
        }
        if on.failures
            && lock(&self.memory.verifications).record(outcome, now)
            && self.memory.failing.begin(now)
        {
            reported::trouble_began(&self.memory.account, "failures");
        }
    }

    /// Starts a pair of health probes, because a verification failed or takes long. Nothing happens
    /// if a pair is running, if the budget of probes is used up, or outside of a tokio runtime.
    pub(crate) fn suspect(self: &Arc<Self>) {
        if self.is_down() {
            self.recover();
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let Some(running) = self.memory.pair.enter() else {
            return;
        };
        if !self.take_pair() {
            return;
        }
        let health = Arc::clone(self);
        runtime.spawn(async move {
            let pair = health.probe_twice().await;
            health.record_pair(pair);
            drop(running);
            if pair.succeeded() {
                let contradictions =
                    health.memory.contradictions.fetch_add(1, Ordering::Relaxed) + 1;
                if contradictions == CONTRADICTIONS_BEFORE_WARNING {
                    reported::probes_contradict(&health.memory.account);
                }
            }
        });
    }

    /// Waits until no pair of probes is running, at most until `end`.
    pub(crate) async fn settled(&self, end: Instant) {
        let _ = timeout_at(end, self.memory.pair.idle()).await;
    }

    /// Keeps probing an account that is down, until it is up. It does nothing if that is being done.
    pub(crate) fn recover(self: &Arc<Self>) {
        if self.settings.is_forced_down || !self.memory.is_down.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let Some(running) = self.memory.recovery.enter() else {
            return;
        };
        let health = Arc::downgrade(self);
        runtime.spawn(async move {
            let _running = running;
            let mut pause = Some(PAUSES[0]);
            while let Some(wait) = pause {
                sleep(wait).await;
                let Some(health) = health.upgrade() else {
                    return; // the account is no longer used
                };
                pause = health.probe_again(wait).await;
            }
        });
    }

    /// Sends a pair of probes to an account that is down. Returns how long to wait before the next
    /// one, after the pause `waited`, or `None` when the account is up.
    async fn probe_again(self: &Arc<Self>, waited: Duration) -> Option<Duration> {
        if !self.take_pair() {
            return Some(waited);
        }
        let pair = self.probe_twice().await;
        self.record_pair(pair);
        let held = lock(&self.memory.probes).state.held_for(self.memory.now());
        match pair.succeeded() {
            _ if !self.is_down() => None,
            // It works again, and stays down for some time in any case.
            true => Some(held.max(PAUSES[0])),
            // Not all at the same moment, if several processes saw the outage begin.
            false => {
                let jitter = 0.9 + 0.2 * fastrand::f64();
                Some((waited * 2).min(PAUSES[1]).mul_f64(jitter))
            }
        }
    }

    /// Sends two probes, and watches whether the timers of this process are on time.
    async fn probe_twice(&self) -> Pair {
        let probe = async |delay: Duration| {
            sleep(delay).await;
            let probed = timeout(PROBE_TIMEOUT, self.check.probe_health()).await;
            probed.unwrap_or(Health::Down("timeout"))
        };
        let probes = async { tokio::join!(probe(Duration::ZERO), probe(BETWEEN_PROBES)) };
        let had_sockets = has_sockets();
        let mut lateness = Duration::ZERO;
        let punctuality = async {
            loop {
                let due = Instant::now() + Duration::from_millis(50);
                sleep_until(due).await;
                lateness = lateness.max(Instant::now() - due);
            }
        };
        let (first, second) = tokio::select! {
            // The timers are looked at first: when a thread that was blocked goes on, they are late.
            biased;
            () = punctuality => unreachable!("it never ends"),
            results = probes => results,
        };
        let pair = Pair {
            results: [first, second],
            was_on_time: lateness <= MAX_LATENESS && had_sockets && has_sockets(),
        };
        for result in pair.results {
            reported::probed(&self.memory.account, result, pair.was_on_time);
        }
        pair
    }

    fn record_pair(self: &Arc<Self>, pair: Pair) {
        let change = {
            let mut probes = lock(&self.memory.probes);
            let change = probes.state.record(pair, self.memory.now());
            match change {
                None => {}
                Some(Change::Down(_)) => self.memory.is_down.store(true, Ordering::Release),
                Some(Change::Up) => self.memory.is_down.store(false, Ordering::Release),
            }
            change
        };
        match change {
            None => {}
            Some(Change::Down(reason)) => {
                reported::went_down(&self.memory.account, reason);
                self.recover();
            }
            Some(Change::Up) => reported::came_up(&self.memory.account),
        }
    }
}

/// Returns whether this process can open a socket and has a TCP port left. Without one a failed probe
/// says nothing about the provider, and clients can use all of them up.
fn has_sockets() -> bool {
    let v4 = || TcpSocket::new_v4()?.bind((Ipv4Addr::UNSPECIFIED, 0).into());
    let v6 = || TcpSocket::new_v6()?.bind((Ipv6Addr::UNSPECIFIED, 0).into());
    v4().is_ok() || v6().is_ok()
}

impl fmt::Debug for AccountHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountHealth")
            .field("account", &self.memory.account)
            .field("is_down", &self.is_down())
            .field("is_script_down", &self.is_script_down())
            .finish_non_exhaustive()
    }
}
