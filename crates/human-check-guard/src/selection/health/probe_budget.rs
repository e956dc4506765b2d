use std::collections::VecDeque;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The most pairs of probes in a minute.
const MAX_PAIRS_PER_MINUTE: usize = 10;

/// How often a pair is sent when the probes of the day are used up.
const BEYOND_DAY: Duration = Duration::from_secs(300);

/// When a pair of health probes may be sent. Providers bill probes, and clients can cause some.
#[derive(Debug, Default)]
pub(super) struct ProbeBudget {
    day_began: Duration,
    sent_today: u32,
    /// When the last pairs were sent, the oldest first.
    recent: VecDeque<Duration>,
}

impl ProbeBudget {
    /// Takes a pair from the budget at `now`, of `max_per_day` probes a day. Returns `false` if it must
    /// not be sent.
    pub(super) fn take_pair(&mut self, now: Duration, max_per_day: u32) -> bool {
        if now.saturating_sub(self.day_began) >= DAY {
            self.day_began = now;
            self.sent_today = 0;
        }
        let since = |sent: &Duration| now.saturating_sub(*sent);
        let wait = match self.sent_today.saturating_add(2) > max_per_day {
            true => BEYOND_DAY,
            false => Duration::from_secs(1),
        };
        if self.recent.back().is_some_and(|last| since(last) < wait) {
            return false;
        }
        if self.recent.len() == MAX_PAIRS_PER_MINUTE {
            if self
                .recent
                .front()
                .is_some_and(|first| since(first) < Duration::from_secs(60))
            {
                return false;
            }
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.sent_today = self.sent_today.saturating_add(2);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(budget: &mut ProbeBudget, max_per_day: u32, from: u64, to: u64) -> usize {
        let ticks = (from * 10)..(to * 10);
        let at = |tenth: u64| Duration::from_millis(tenth * 100);
        let sent = ticks.filter(|tenth| budget.take_pair(at(*tenth), max_per_day));
        sent.count()
    }

    #[test]
    fn a_pair_a_second_ten_a_minute_and_then_one_in_five_minutes() {
        let mut budget = ProbeBudget::default();
        assert_eq!(pairs(&mut budget, 1_000, 0, 5), 5);
        assert_eq!(pairs(&mut budget, 1_000, 5, 60), 5);
        assert_eq!(pairs(&mut budget, 1_000, 60, 120), 10);
        let mut few = ProbeBudget::default();
        assert_eq!(pairs(&mut few, 4, 0, 60), 2);
        assert_eq!(pairs(&mut few, 4, 60, 3_600), 11);
        assert_eq!(pairs(&mut few, 4, 86_400, 86_410), 2, "the next day");
    }
}
