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
mod tests;

#[cfg(all(test, loom))]
mod interleaved;
