use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::counter::count;
use crate::{CheckError, ErrorKind, HumanCheck, Provider, Reports, Submission, Verdict};

/// Lets only so many checks be under way at once.
///
/// May answer [`ErrorKind::Declined`] (`too-many-in-flight`) in the check's place; nothing waits for
/// a place. Not `Unavailable`, because a crowd can bring it about on purpose, and a route that
/// opens on outages must not open for a crowd. What a visitor forgot or garbled is refused all the
/// same.
///
/// Dropping its future frees the place.
#[derive(Clone, Debug)]
pub struct Limit<C> {
    check: C,
    most: usize,
    running: Arc<AtomicUsize>,
}

impl<C: HumanCheck> Limit<C> {
    /// Lets `most` checks be under way. Clones share the places.
    pub fn new(check: C, most: usize) -> Self {
        Self {
            check,
            most,
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
impl<C: HumanCheck> HumanCheck for Limit<C> {
    fn accepts(&self) -> &[Provider] {
        self.check.accepts()
    }

    fn reports(&self) -> Reports {
        self.check.reports()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.running);
        if before < self.most {
            let outcome = self.check.check(submission).await;
            drop(place);
            return outcome;
        }
        drop(place);
        if let Err(refusal) = submission.askable(self.accepts()) {
            return Ok(refusal.into());
        }
        let addressee = submission.addressee(self.accepts());
        count!("human_check_over_limit_total", "provider" => addressee.name());
        let error = CheckError::new(ErrorKind::Declined, addressee, "too-many-in-flight");
        Err(error.with_token_unspent())
    }
}
