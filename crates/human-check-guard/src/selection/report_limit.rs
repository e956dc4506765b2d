use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3_600);

/// The parts of an hour that are counted on their own.
const SLOTS: usize = 60;

/// How many reports count in an hour in any case.
const MIN_REPORTS: u64 = 10;

/// The share of the human verdicts of an hour that may begin with a report: one in so many.
const HUMANS_FOR_A_REPORT: u64 = 20;

/// Limits how many reports of a failed widget count in an hour: ten or, if that is more, 5 % of the
/// human verdicts in that hour. A client can make such a report without a reason.
///
/// Clones share the counts. Give one to all guards of a site with
/// [`Selection::with_report_limit`](crate::Selection::with_report_limit).
#[derive(Clone, Debug, Default)]
pub struct ReportLimit(Arc<Hour>);

#[derive(Debug)]
struct Hour {
    begin: Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    humans: LastHour,
    reports: LastHour,
}

/// A count of the last hour.
#[derive(Debug)]
struct LastHour([(u64, u64); SLOTS]);

impl Default for LastHour {
    fn default() -> Self {
        Self([(0, 0); SLOTS])
    }
}

impl LastHour {
    fn slot(uptime: Duration) -> u64 {
        uptime.as_secs() / (HOUR.as_secs() / SLOTS as u64)
    }

    fn add(&mut self, uptime: Duration) {
        let slot = Self::slot(uptime);
        let (number, count) = &mut self.0[(slot % SLOTS as u64) as usize];
        if *number != slot {
            (*number, *count) = (slot, 0);
        }
        *count += 1;
    }

    fn count(&self, uptime: Duration) -> u64 {
        let slot = Self::slot(uptime);
        let recent = self
            .0
            .iter()
            .filter(|(number, _)| number + SLOTS as u64 > slot);
        recent.map(|(_, count)| count).sum()
    }
}

impl Default for Hour {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            counts: Mutex::default(),
        }
    }
}

impl ReportLimit {
    /// Counts a human verdict.
    pub(crate) fn passed(&self) {
        let uptime = self.0.begin.elapsed();
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.humans.add(uptime);
    }

    /// Returns whether one more report counts, and counts it.
    pub(crate) fn admit(&self) -> bool {
        let uptime = self.0.begin.elapsed();
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let share = counts.humans.count(uptime) / HUMANS_FOR_A_REPORT;
        let admitted = counts.reports.count(uptime) < share.max(MIN_REPORTS);
        if admitted {
            counts.reports.add(uptime);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_an_hour_or_one_for_twenty_human_verdicts() {
        let failures = ReportLimit::default();
        let admitted = |tries: usize| (0..tries).filter(|_| failures.admit()).count();
        assert_eq!(admitted(50), 10);
        for _ in 0..400 {
            failures.passed();
        }
        assert_eq!(admitted(50), 10, "20 in all");
        tokio::time::advance(HOUR).await;
        assert_eq!(admitted(50), 10);
    }
}
