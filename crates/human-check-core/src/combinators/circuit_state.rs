//! The state machine of a circuit breaker, without a check, a clock or a lock.

use std::time::Duration;

use crate::CircuitBreakerPolicy;

/// How many parts the window has. The oldest part is dropped when a new one begins.
const SLOTS: usize = 10;

/// How many breaker probes a half-open circuit admits at the same time at most. More than one is
/// admitted only after probes were dropped.
const MAX_PROBES: u32 = 32;

/// The state of one circuit breaker.
#[derive(Debug)]
pub(crate) struct State {
    policy: CircuitBreakerPolicy,
    phase: Phase,
    /// The number of the phase, so that a call that was admitted in an earlier phase is ignored.
    epoch: u64,
    /// How many calls in a row failed.
    consecutive: u32,
    window: [Slot; SLOTS],
    /// How often in a row the circuit opened without having been closed for a whole window.
    openings: u32,
    closed_since: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Closed,
    HalfOpen(Probes),
    Open { until: Duration },
}

/// The breaker probes of one half-open phase.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Probes {
    running: u32,
    /// How many probes their callers dropped before the result. Each admits one more probe at the
    /// same time, so that a client which keeps disconnecting cannot keep the circuit open.
    dropped: u32,
    /// When the last probe was admitted.
    since: Duration,
}

/// The calls of one part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    calls: u32,
    bad: u32,
}

/// The permission for one call. The caller returns it with the result of the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permit {
    epoch: u64,
    probe: bool,
}

/// What the result of a call means for the state of the provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    /// The provider replied in time.
    Good,
    /// The provider was unavailable.
    Failed,
    /// The provider replied too slowly.
    Slow,
    /// The provider was not called, so the result means nothing.
    Neutral,
    /// The provider replied with an error: it declined, the key is wrong, the reply is invalid. A
    /// visitor may have caused that, so it does not count while the circuit is closed. A probe with
    /// that result closes the circuit, because the provider replies again.
    Replied,
    /// The caller dropped the call before the result.
    Dropped,
}

/// A change of the circuit, for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Opened {
        reason: &'static str,
        wait: Duration,
    },
    Closed,
}

impl State {
    /// Creates the state of a closed circuit.
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

    /// Returns the permission for a call, or how long to wait until one may be given.
    pub(crate) fn admit(&mut self, now: Duration) -> Result<Permit, Duration> {
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Err(until - now);
            }
            self.enter(Phase::HalfOpen(Probes::default()));
        }
        let probe = match &mut self.phase {
            Phase::HalfOpen(probes) => {
                // A probe that never ends must not keep the circuit open.
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

    /// Ends the wait of an open circuit, because the provider works again. The next call is the
    /// breaker probe.
    pub(crate) fn half_open(&mut self) {
        if let Phase::Open { .. } = self.phase {
            self.enter(Phase::HalfOpen(Probes::default()));
        }
    }

    /// Records the result of a call, and returns whether the circuit changed. `jitter` is from 0 to
    /// 1.
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
                Signal::Good | Signal::Replied => {
                    self.enter(Phase::Closed);
                    self.consecutive = 0;
                    self.window = [Slot::default(); SLOTS];
                    self.closed_since = now;
                    Some(Change::Closed)
                }
                Signal::Failed | Signal::Slow => Some(self.open("probe-failed", now, jitter)),
                Signal::Neutral | Signal::Dropped => {
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
            Signal::Neutral | Signal::Replied | Signal::Dropped => return None,
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

    /// Counts a call, and returns how many calls the window holds and how many of them were bad.
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

    /// Opens the circuit.
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
        // From 90 % to 110 %, so that several processes do not probe at the same moment.
        let wait = wait.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0));
        self.openings = self.openings.saturating_add(1);
        self.enter(Phase::Open { until: now + wait });
        Change::Opened { reason, wait }
    }

    /// Starts a new phase.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod interleaved;
