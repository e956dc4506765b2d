//! The latest comparisons of two providers.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use human_check_compare::{Record, Statistics};
use human_check_core::Comparison;
use tokio::sync::mpsc::Receiver;

/// How many comparisons are kept, of all pairs together.
const KEPT: usize = 2_000;

/// The latest comparisons of all pairs, in memory.
#[derive(Debug)]
pub(crate) struct Records(Mutex<VecDeque<Record>>);

impl Records {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    fn add(&self, record: Record) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// Returns the statistics of the comparisons of this pair, in this order.
    pub(crate) fn of(&self, names: [&str; 2]) -> Statistics {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Statistics::of(records.iter().filter(|record| {
            let observations = record.comparison.observations.iter();
            observations
                .map(|observation| observation.provider.as_str())
                .eq(names)
        }))
    }

    /// Stores comparisons until all senders are dropped, which is when the last shadow check has
    /// ended.
    pub(crate) async fn collect(&self, mut comparisons: Receiver<Comparison>) {
        while let Some(comparison) = comparisons.recv().await {
            self.add(comparison.into());
        }
    }
}
