use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::counter::count;
use crate::{Capabilities, CheckError, ErrorKind, HumanCheck, Provider, Submission, Verdict};

/// Lets only so many checks be under way at once.
///
/// May answer [`ErrorKind::Declined`] (`too-many-in-flight`) in the check's place; nothing waits for
/// a place. Not `Unavailable`, because a crowd can bring it about on purpose, and a route that
/// opens on outages must not open for a crowd. What a visitor forgot or garbled is refused all the
/// same.
///
/// Dropping its future frees the place.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<C> {
    check: C,
    max_in_flight: usize,
    running: Arc<AtomicUsize>,
}

impl<C: HumanCheck> ConcurrencyLimit<C> {
    /// Lets `max_in_flight` checks be under way. Clones share the places.
    pub fn new(check: C, max_in_flight: usize) -> Self {
        Self {
            check,
            max_in_flight,
            running: Arc::default(),
        }
    }
}

/// A place, freed when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for ConcurrencyLimit<C> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.running);
        if before < self.max_in_flight {
            let outcome = self.check.check(submission).await;
            drop(place);
            return outcome;
        }
        drop(place);
        if let Err(refusal) = submission.precheck(self.providers()) {
            return Ok(refusal.into());
        }
        let addressed_to = submission.addressed_to(self.providers());
        count!("human_check_concurrency_limited_total", "provider" => addressed_to.name());
        let error = CheckError::new(ErrorKind::Declined, addressed_to, "too-many-in-flight");
        Err(error.with_token_unused())
    }
}
