use std::collections::VecDeque;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The most pairs of probes in a minute.
const MAX_PAIRS_PER_MINUTE: usize = 10;

/// How often a pair is sent when the probes of the day are used up.
const BEYOND_DAY: Duration = Duration::from_secs(300);

/// When a pair of health probes may be sent. Providers bill probes, and clients can cause some.
#[derive(Debug)]
pub(super) struct ProbeBudget {
    max_per_day: u32,
    day_began: Duration,
    sent_today: u32,
    /// When the last pairs were sent, the oldest first.
    recent: VecDeque<Duration>,
}

impl ProbeBudget {
    /// Creates a budget of `max_per_day` probes a day.
    pub(super) fn new(max_per_day: u32) -> Self {
        Self {
            max_per_day,
            day_began: Duration::ZERO,
            sent_today: 0,
            recent: VecDeque::new(),
        }
    }

    /// Takes a pair from the budget at `now`. Returns `false` if it must not be sent.
    pub(super) fn take_pair(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.day_began) >= DAY {
            self.day_began = now;
            self.sent_today = 0;
        }
        let since = |sent: &Duration| now.saturating_sub(*sent);
        let wait = match self.sent_today.saturating_add(2) > self.max_per_day {
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

    fn pairs(budget: &mut ProbeBudget, from: u64, to: u64) -> usize {
        let ticks = (from * 10)..(to * 10);
        let sent = ticks.filter(|tenth| budget.take_pair(Duration::from_millis(tenth * 100)));
        sent.count()
    }

    #[test]
    fn a_pair_a_second_ten_a_minute_and_then_one_in_five_minutes() {
        let mut budget = ProbeBudget::new(1_000);
        assert_eq!(pairs(&mut budget, 0, 5), 5);
        assert_eq!(pairs(&mut budget, 5, 60), 5);
        assert_eq!(pairs(&mut budget, 60, 120), 10);
        let mut few = ProbeBudget::new(4);
        assert_eq!(pairs(&mut few, 0, 60), 2);
        assert_eq!(pairs(&mut few, 60, 3_600), 11);
        assert_eq!(pairs(&mut few, 86_400, 86_410), 2, "the next day");
    }
}
