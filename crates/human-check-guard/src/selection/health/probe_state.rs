//! What the results of health probes mean, without a clock, a task or a lock.

use std::time::Duration;

use human_check_core::Health;

use super::hold::Hold;

/// The first time that an account stays down at least.
const FIRST_HOLD: Duration = Duration::from_secs(30);

/// How old the last failed probe may be while the account counts as down. Probes that say nothing,
/// such as those that a firewall rejects, cannot keep it down for longer.
const MAX_AGE_OF_EVIDENCE: Duration = Duration::from_secs(300);

/// Whether an account is down, by its health probes.
#[derive(Debug)]
pub(super) struct ProbeState {
    phase: Phase,
    hold: Hold,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Up,
    Down {
        /// Before this time it stays down.
        until: Duration,
        /// When a probe failed last.
        failed: Duration,
    },
}

/// A change of the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// The account is down. The text is the reason of the first probe.
    Down(&'static str),
    Up,
}

/// What one pair of probes found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) results: [Health; 2],
    /// Whether the timers of this process were on time. If not, a failure may be our own.
    pub(super) was_on_time: bool,
}

impl Pair {
    /// Returns the reason of the first probe, if both failed.
    fn failure(self) -> Option<&'static str> {
        match self.results {
            [Health::Down(reason), Health::Down(_)] if self.was_on_time => Some(reason),
            _ => None,
        }
    }

    /// Returns whether both probes were judged.
    pub(super) fn succeeded(self) -> bool {
        self.results.iter().all(|one| one.is_up())
    }

    /// Returns whether a probe failed.
    fn has_failure(self) -> bool {
        self.was_on_time
            && self
                .results
                .iter()
                .any(|one| matches!(one, Health::Down(_)))
    }
}

impl ProbeState {
    /// Creates the state of an account that is up.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Up,
            hold: Hold::new(FIRST_HOLD),
        }
    }

    /// Records a pair of probes that ended at `now`, and returns the change.
    pub(super) fn record(&mut self, pair: Pair, now: Duration) -> Option<Change> {
        match self.phase {
            Phase::Up => {
                let reason = pair.failure()?;
                self.phase = Phase::Down {
                    until: self.hold.begin(now),
                    failed: now,
                };
                Some(Change::Down(reason))
            }
            Phase::Down { until, failed } => {
                if pair.has_failure() {
                    self.phase = Phase::Down { until, failed: now };
                    return None;
                }
                let is_over = now.saturating_sub(failed) >= MAX_AGE_OF_EVIDENCE;
                if now < until || !(pair.succeeded() || is_over) {
                    return None;
                }
                self.phase = Phase::Up;
                self.hold.end(now);
                Some(Change::Up)
            }
        }
    }

    /// Returns how long the account stays down in any case.
    pub(super) fn held_for(&self, now: Duration) -> Duration {
        match self.phase {
            Phase::Up => Duration::ZERO,
            Phase::Down { until, .. } => until.saturating_sub(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Health = Health::Up;
    const DOWN: Health = Health::Down("timeout");
    const LIMITED: Health = Health::Inconclusive("rate-limited");

    fn pair(results: [Health; 2]) -> Pair {
        Pair {
            results,
            was_on_time: true,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_two_failures_with_punctual_timers_are_an_outage() {
        for results in [
            [UP, UP],
            [UP, DOWN],
            [DOWN, UP],
            [DOWN, LIMITED],
            [LIMITED, LIMITED],
        ] {
            let mut state = ProbeState::new();
            assert_eq!(state.record(pair(results), seconds(1)), None, "{results:?}");
        }
        let late = Pair {
            results: [DOWN, DOWN],
            was_on_time: false,
        };
        assert_eq!(ProbeState::new().record(late, seconds(1)), None);
        let change = ProbeState::new().record(pair([DOWN, DOWN]), seconds(1));
        assert_eq!(change, Some(Change::Down("timeout")));
    }

    #[test]
    fn it_stays_down_for_30_seconds_and_until_two_probes_succeed() {
        let mut state = ProbeState::new();
        state.record(pair([DOWN, DOWN]), seconds(0));
        assert_eq!(state.held_for(seconds(10)), seconds(20));
        assert_eq!(state.record(pair([UP, UP]), seconds(29)), None);
        assert_eq!(state.record(pair([UP, DOWN]), seconds(31)), None);
        assert_eq!(state.record(pair([UP, LIMITED]), seconds(32)), None);
        assert_eq!(state.record(pair([UP, UP]), seconds(33)), Some(Change::Up));
        // It recurs, and stays down for twice as long.
        state.record(pair([DOWN, DOWN]), seconds(60));
        assert_eq!(state.record(pair([UP, UP]), seconds(119)), None);
        assert_eq!(state.record(pair([UP, UP]), seconds(120)), Some(Change::Up));
    }

    #[test]
    fn probes_that_say_nothing_do_not_keep_it_down() {
        let mut state = ProbeState::new();
        state.record(pair([DOWN, DOWN]), seconds(0));
        assert_eq!(state.record(pair([LIMITED, LIMITED]), seconds(299)), None);
        let change = state.record(pair([LIMITED, LIMITED]), seconds(300));
        assert_eq!(change, Some(Change::Up));
    }
}
