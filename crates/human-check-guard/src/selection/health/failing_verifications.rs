use std::collections::VecDeque;
use std::time::Duration;

use super::outcome::Outcome;

/// How far back verifications count.
const WINDOW: Duration = Duration::from_secs(30);

/// The least number of verifications in the window.
const MIN_VERIFICATIONS: usize = 20;

/// The most that are kept. At such a rate the window is shorter.
const MAX_KEPT: usize = 1_000;

/// How often a human verdict must have come while the account worked.
const HUMAN_EVERY: Duration = Duration::from_secs(10);

/// How long human verdicts must have come that often.
const STEADY_FOR: Duration = Duration::from_secs(600);

/// How long ago the last human verdict may be.
const MAX_GAP: Duration = Duration::from_secs(120);

/// Notices that the verifications of an account fail, after a time in which they passed steadily.
///
/// It is weaker evidence than a health probe, because clients send the tokens. That human verdicts
/// came steadily before, and come no more, is hard to stage at a busy site and easy at a quiet one.
#[derive(Debug, Default)]
pub(super) struct FailingVerifications {
    /// When each recent verification ended, and whether it was unavailable.
    recent: VecDeque<(Duration, bool)>,
    /// Since when human verdicts have come steadily, and the last of them.
    steady: Option<(Duration, Duration)>,
}

impl FailingVerifications {
    /// Records a verification that ended at `now`. Returns whether the account fails.
    pub(super) fn record(&mut self, outcome: Outcome, now: Duration) -> bool {
        if outcome == Outcome::Human {
            let since = match self.steady {
                Some((since, last)) if now.saturating_sub(last) <= HUMAN_EVERY => since,
                _ => now,
            };
            self.steady = Some((since, now));
            self.recent.clear();
            return false;
        }
        while self.recent.len() >= MAX_KEPT
            || self
                .recent
                .front()
                .is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW)
        {
            self.recent.pop_front();
        }
        self.recent
            .push_back((now, outcome == Outcome::Unavailable));
        let unavailable = self.recent.iter().filter(|(_, failed)| *failed).count();
        let was_steady = self.steady.is_some_and(|(since, last)| {
            let silent_for = now.saturating_sub(last);
            last.saturating_sub(since) >= STEADY_FOR && (WINDOW..=MAX_GAP).contains(&silent_for)
        });
        was_steady && self.recent.len() >= MIN_VERIFICATIONS && unavailable * 2 >= self.recent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tenths: u64) -> Duration {
        Duration::from_millis(tenths * 100)
    }

    /// Human verdicts every `every` tenths of a second for ten minutes.
    fn steady(every: usize) -> FailingVerifications {
        let mut verifications = FailingVerifications::default();
        for tenths in (0..=6_000).step_by(every) {
            assert!(!verifications.record(Outcome::Human, at(tenths)));
        }
        verifications
    }

    #[test]
    fn twenty_failures_after_ten_steady_minutes() {
        let mut busy = steady(50);
        // One a second, and no human verdict for half a minute.
        let mut failing = (0..60).map(|n| busy.record(Outcome::Unavailable, at(6_000 + n * 10)));
        assert_eq!(failing.position(|fails| fails), Some(30));
    }

    #[test]
    fn not_at_a_quiet_site_not_with_a_human_between_and_not_for_refusals() {
        let mut quiet = steady(120);
        assert!((0..40).all(|n| !quiet.record(Outcome::Unavailable, at(6_310 + n))));
        let mut busy = steady(50);
        assert!((0..40).all(|n| {
            let outcome = match n % 15 {
                14 => Outcome::Human,
                _ => Outcome::Unavailable,
            };
            !busy.record(outcome, at(6_001 + n))
        }));
        // Nor in a burst: thirty seconds without a human verdict must have passed.
        let mut burst = steady(50);
        assert!((0..1_000).all(|n| !burst.record(Outcome::Unavailable, at(6_001 + n % 50))));
        let mut refused = steady(50);
        assert!((0..60).all(|n| {
            let outcome = match n % 3 {
                0 => Outcome::Unavailable,
                _ => Outcome::Other,
            };
            !refused.record(outcome, at(6_310 + n))
        }));
        let mut night = steady(50);
        assert!((0..40).all(|n| !night.record(Outcome::Unavailable, at(60_000 + n))));
    }
}
