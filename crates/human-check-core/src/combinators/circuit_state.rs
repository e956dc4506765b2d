//! When a breaker opens and closes, without a check, a clock or a lock.

use std::time::Duration;

use crate::CircuitBreakerPolicy;

const SLOTS: usize = 10;

/// No more are let through at once, however many hung up.
const MAX_PROBES: u32 = 32;

#[derive(Debug)]
pub(crate) struct State {
    policy: CircuitBreakerPolicy,
    phase: Phase,
    /// Counts phases, so that a call admitted in one says nothing in the next.
    epoch: u64,
    consecutive: u32,
    window: [Slot; SLOTS],
    /// How often in a row it opened without staying closed for a window.
    openings: u32,
    closed_since: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Closed,
    HalfOpen(Probes),
    Open { until: Duration },
}

/// The probes of one half-open phase.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Probes {
    running: u32,
    /// Those whose callers hung up before there was an answer. Each makes room for one more at once,
    /// so that somebody who keeps hanging up cannot keep the one place to himself.
    dropped: u32,
    /// When the last one was let through.
    since: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    calls: u32,
    bad: u32,
}

/// Leave to ask, to be handed back with what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit {
    epoch: u64,
    probe: bool,
}

/// What a call says about the provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    /// It spoke, and in time.
    Good,
    /// It could not be asked.
    Failed,
    /// It spoke too slowly.
    Slow,
    /// Nothing: it was not asked, or a visitor may have brought it about.
    Nothing,
    /// It spoke, if only to say that it would not judge or that our key is wrong. A visitor may have
    /// brought that about, so while all is well it says nothing; that the provider is back it does say.
    Spoke,
    /// The caller hung up before it answered.
    Dropped,
}

/// What changed, for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Opened {
        reason: &'static str,
        wait: Duration,
    },
    Closed,
}

impl State {
    pub(crate) fn new(policy: CircuitBreakerPolicy) -> Self {
        Self {
            policy,
            phase: Phase::Closed,
            epoch: 0,
            consecutive: 0,
            window: [Slot::default(); SLOTS],
            openings: 0,
            closed_since: Duration::ZERO,
        }
    }

    /// Leave to ask, or how long there will be none.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<Permit, Duration> {
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Err(until - now);
            }
            self.enter(Phase::HalfOpen(Probes::default()));
        }
        let probe = match &mut self.phase {
            Phase::HalfOpen(probes) => {
                let stuck = now.saturating_sub(probes.since) >= self.policy.max_open_for;
                if probes.running > probes.dropped && !stuck {
                    return Err(Duration::from_secs(1));
                }
                probes.running = probes.running.saturating_add(1);
                probes.since = now;
                true
            }
            Phase::Closed | Phase::Open { .. } => false,
        };
        Ok(Permit {
            epoch: self.epoch,
            probe,
        })
    }

    /// What came of a call. `jitter` is from 0 to 1.
    pub(crate) fn report(
        &mut self,
        permit: Permit,
        signal: Signal,
        now: Duration,
        jitter: f64,
    ) -> Option<Change> {
        if permit.epoch != self.epoch {
            return None;
        }
        if permit.probe {
            return match signal {
                Signal::Good | Signal::Spoke => {
                    self.enter(Phase::Closed);
                    self.consecutive = 0;
                    self.window = [Slot::default(); SLOTS];
                    self.closed_since = now;
                    Some(Change::Closed)
                }
                Signal::Failed | Signal::Slow => Some(self.open("probe-failed", now, jitter)),
                Signal::Nothing | Signal::Dropped => {
                    if let Phase::HalfOpen(probes) = &mut self.phase {
                        probes.running = probes.running.saturating_sub(1);
                        if signal == Signal::Dropped {
                            probes.dropped = (probes.dropped + 1).min(MAX_PROBES);
                        }
                    }
                    None
                }
            };
        }
        match signal {
            Signal::Nothing | Signal::Spoke | Signal::Dropped => return None,
            Signal::Failed => self.consecutive = self.consecutive.saturating_add(1),
            Signal::Good | Signal::Slow => self.consecutive = 0,
        }
        let (calls, bad) = self.count(signal != Signal::Good, now);
        if self.consecutive >= self.policy.consecutive_failures {
            return Some(self.open("consecutive-failures", now, jitter));
        }
        let share = f64::from(bad) / f64::from(calls);
        if calls >= self.policy.min_calls && share >= self.policy.failure_ratio {
            return Some(self.open("failed-or-slow", now, jitter));
        }
        None
    }

    fn count(&mut self, bad: bool, now: Duration) -> (u32, u32) {
        let width = (self.policy.window / SLOTS as u32).max(Duration::from_millis(1));
        let number = (now.as_millis() / width.as_millis()) as u64;
        let slot = &mut self.window[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot {
                number,
                ..Slot::default()
            };
        }
        slot.calls = slot.calls.saturating_add(1);
        slot.bad = slot.bad.saturating_add(u32::from(bad));
        let recent = self.window.iter();
        let recent = recent.filter(|slot| slot.number + SLOTS as u64 > number);
        recent.fold((0_u32, 0_u32), |(calls, bad), slot| {
            (
                calls.saturating_add(slot.calls),
                bad.saturating_add(slot.bad),
            )
        })
    }

    fn open(&mut self, reason: &'static str, now: Duration, jitter: f64) -> Change {
        let was_closed = self.phase == Phase::Closed;
        if was_closed && now.saturating_sub(self.closed_since) >= self.policy.window {
            self.openings = 0;
        }
        let doubled = self
            .policy
            .open_for
            .saturating_mul(1 << self.openings.min(16));
        let wait = doubled.min(self.policy.max_open_for);
        // From nine tenths to eleven, so that many processes do not probe at the same moment.
        let wait = wait.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0));
        self.openings = self.openings.saturating_add(1);
        self.enter(Phase::Open { until: now + wait });
        Change::Opened { reason, wait }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn state() -> State {
        State::new(CircuitBreakerPolicy::default())
    }

    fn call(state: &mut State, signal: Signal, now: Duration) -> Option<Change> {
        let permit = state.admit(now).expect("it is closed");
        state.report(permit, signal, now, 0.5)
    }

    fn opened(change: Option<Change>) -> Duration {
        match change {
            Some(Change::Opened { wait, .. }) => wait,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn opens_at_the_fifth_failure_in_a_row_and_not_before() {
        let mut state = state();
        for round in 0..3 {
            for _ in 0..4 {
                assert_eq!(call(&mut state, Signal::Failed, SECOND * round), None);
            }
            assert_eq!(call(&mut state, Signal::Good, SECOND * round), None);
        }
        for _ in 0..4 {
            assert_eq!(call(&mut state, Signal::Failed, SECOND * 60), None);
        }
        assert_eq!(
            opened(call(&mut state, Signal::Failed, SECOND * 60)),
            SECOND * 5
        );
        assert!(state.admit(SECOND * 64).is_err());
    }

    #[test]
    fn opens_when_half_of_twenty_calls_are_slow() {
        let mut state = state();
        for n in 0..19 {
            let signal = if n % 2 == 0 {
                Signal::Slow
            } else {
                Signal::Good
            };
            assert_eq!(call(&mut state, signal, SECOND), None, "{n}");
        }
        opened(call(&mut state, Signal::Slow, SECOND));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut state = state();
        for n in 0..200 {
            let signal = if n % 2 == 0 {
                Signal::Slow
            } else {
                Signal::Good
            };
            // Never twenty within thirty seconds.
            assert_eq!(call(&mut state, signal, SECOND * 2 * n), None, "{n}");
        }
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let mut state = state();
        for n in 0..10_000 {
            assert_eq!(call(&mut state, Signal::Nothing, SECOND), None, "{n}");
        }
        for _ in 0..4 {
            call(&mut state, Signal::Failed, SECOND);
            call(&mut state, Signal::Nothing, SECOND);
        }
        opened(call(&mut state, Signal::Failed, SECOND));
    }

    #[test]
    fn half_open_lets_one_probe_through() {
        let mut state = state();
        for _ in 0..5 {
            call(&mut state, Signal::Failed, SECOND);
        }
        let now = SECOND * 7;
        let probe = state.admit(now).unwrap();
        assert!(state.admit(now).is_err(), "a second probe");
        assert_eq!(state.report(probe, Signal::Nothing, now, 0.5), None);
        let probe = state.admit(now).unwrap();
        assert_eq!(
            state.report(probe, Signal::Good, now, 0.5),
            Some(Change::Closed)
        );
        assert!(state.admit(now).is_ok() && state.admit(now).is_ok());
    }

    #[test]
    fn waits_longer_each_time_up_to_a_minute_and_forgets_that_after_a_quiet_window() {
        let mut state = state();
        let mut now = SECOND;
        let mut waits = Vec::new();
        for _ in 0..5 {
            call(&mut state, Signal::Failed, now);
        }
        for _ in 0..6 {
            now += SECOND * 70;
            let probe = state.admit(now).unwrap();
            waits.push(opened(state.report(probe, Signal::Failed, now, 0.5)).as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 60, 60, 60]);
        now += SECOND * 70;
        let probe = state.admit(now).unwrap();
        state.report(probe, Signal::Good, now, 0.5);
        for _ in 0..4 {
            call(&mut state, Signal::Failed, now + SECOND);
        }
        let soon = opened(call(&mut state, Signal::Failed, now + SECOND));
        assert_eq!(soon, SECOND * 60, "it flaps");
        now += SECOND * 70;
        let probe = state.admit(now).unwrap();
        state.report(probe, Signal::Good, now, 0.5);
        for _ in 0..4 {
            call(&mut state, Signal::Failed, now + SECOND * 40);
        }
        let late = opened(call(&mut state, Signal::Failed, now + SECOND * 40));
        assert_eq!(late, SECOND * 5);
    }

    #[test]
    fn a_call_from_before_it_opened_says_nothing_about_the_probe() {
        let mut state = state();
        let early = state.admit(SECOND).unwrap();
        for _ in 0..5 {
            call(&mut state, Signal::Failed, SECOND);
        }
        assert_eq!(state.report(early, Signal::Good, SECOND * 2, 0.5), None);
        assert!(state.admit(SECOND * 3).is_err(), "still open");
        let probe = state.admit(SECOND * 7).unwrap();
        assert_eq!(state.report(early, Signal::Failed, SECOND * 7, 0.5), None);
        assert_eq!(
            state.report(probe, Signal::Good, SECOND * 7, 0.5),
            Some(Change::Closed)
        );
    }

    #[test]
    fn a_provider_that_speaks_again_is_back_whatever_it_says() {
        let mut state = state();
        for _ in 0..5 {
            call(&mut state, Signal::Failed, SECOND);
        }
        let probe = state.admit(SECOND * 7).unwrap();
        let change = state.report(probe, Signal::Spoke, SECOND * 7, 0.5);
        assert_eq!(change, Some(Change::Closed));
    }

    #[test]
    fn whoever_hangs_up_on_probes_cannot_keep_the_place_to_himself() {
        let mut state = state();
        for _ in 0..5 {
            call(&mut state, Signal::Failed, SECOND);
        }
        let now = SECOND * 7;
        let mut bot = state.admit(now).unwrap();
        for _ in 0..3 {
            state.report(bot, Signal::Dropped, now, 0.5);
            bot = state.admit(now).unwrap();
        }
        // He holds one again, and there is room for somebody honest.
        let honest = state.admit(now).unwrap();
        let change = state.report(honest, Signal::Good, now, 0.5);
        assert_eq!(change, Some(Change::Closed));
        state.report(bot, Signal::Dropped, now, 0.5);
        assert!(state.admit(now).is_ok());
    }

    #[test]
    fn a_probe_that_never_ends_makes_room_in_the_end() {
        let mut state = state();
        for _ in 0..5 {
            call(&mut state, Signal::Failed, SECOND);
        }
        let _hung = state.admit(SECOND * 7).unwrap();
        assert!(state.admit(SECOND * 66).is_err());
        assert!(state.admit(SECOND * 67).is_ok());
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        for (jitter, tenths_of_a_second) in [(0.0, 45), (1.0, 55)] {
            let mut state = state();
            for _ in 0..4 {
                call(&mut state, Signal::Failed, SECOND);
            }
            let permit = state.admit(SECOND).unwrap();
            let wait = opened(state.report(permit, Signal::Failed, SECOND, jitter));
            assert_eq!(wait.as_millis() / 100, tenths_of_a_second);
        }
    }
}

/// All interleavings, behind the lock that a breaker puts around it.
#[cfg(all(test, loom))]
mod interleaved {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;
    use crate::sync::{Mutex, lock};

    const SECOND: Duration = Duration::from_secs(1);

    fn two(work: impl Fn(&Mutex<State>) -> usize + Clone + Send + 'static, state: State) -> usize {
        let state = Arc::new(Mutex::new(state));
        let other = {
            let (state, work) = (Arc::clone(&state), work.clone());
            thread::spawn(move || work(&state))
        };
        let mine = work(&state);
        mine + other.join().unwrap()
    }

    fn opened() -> State {
        let mut state = State::new(CircuitBreakerPolicy::default());
        for _ in 0..5 {
            let permit = state.admit(SECOND).unwrap();
            state.report(permit, Signal::Failed, SECOND, 0.5);
        }
        state
    }

    #[test]
    fn loom_one_probe_of_two_callers() {
        loom::model(|| {
            let probes = two(
                |state| usize::from(lock(state).admit(SECOND * 7).is_ok()),
                opened(),
            );
            assert_eq!(probes, 1);
        });
    }

    #[test]
    fn loom_a_failed_probe_lets_nobody_else_through() {
        loom::model(|| {
            let asked = two(
                |state| {
                    let admitted = lock(state).admit(SECOND * 7);
                    let Ok(permit) = admitted else { return 0 };
                    lock(state).report(permit, Signal::Failed, SECOND * 7, 0.5);
                    1
                },
                opened(),
            );
            assert_eq!(asked, 1);
        });
    }

    #[test]
    fn loom_failures_of_two_callers_open_it_once() {
        loom::model(|| {
            let mut state = State::new(CircuitBreakerPolicy::default());
            for _ in 0..3 {
                let permit = state.admit(SECOND).unwrap();
                state.report(permit, Signal::Failed, SECOND, 0.5);
            }
            let opened = two(
                |state| {
                    let admitted = lock(state).admit(SECOND);
                    let Ok(permit) = admitted else { return 0 };
                    let change = lock(state).report(permit, Signal::Failed, SECOND, 0.5);
                    usize::from(change.is_some())
                },
                state,
            );
            assert_eq!(opened, 1);
        });
    }
}
