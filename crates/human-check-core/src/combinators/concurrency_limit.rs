use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::counter::count;
use crate::{Capabilities, CheckError, ErrorKind, HumanCheck, Provider, Submission, Verdict};

/// A check with a limit on the number of calls in flight.
///
/// A submission beyond the limit ends at once in [`ErrorKind::Declined`] with the reason
/// `too-many-in-flight`. It does not wait, and its token stays unused. The kind is not
/// `Unavailable`, because clients can reach the limit on purpose, and a route that fails open in an
/// outage must not fail open for them. A missing or malformed token is refused as usual.
///
/// ```
/// use human_check_core::{ConcurrencyLimit, HumanCheck};
///
/// fn limited(check: impl HumanCheck) -> impl HumanCheck {
///     ConcurrencyLimit::new(check, 512)
/// }
/// ```
///
/// With the feature `metrics` it counts `human_check_concurrency_limited_total{provider}`.
///
/// Dropping its future ends the call, which no longer counts.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<C> {
    check: C,
    max_in_flight: usize,
    in_flight: Arc<AtomicUsize>,
}

impl<C: HumanCheck> ConcurrencyLimit<C> {
    /// Creates a check that calls `check` for at most `max_in_flight` submissions at the same time.
    ///
    /// Its clones share one limit. With a limit of 0 every submission is declined.
    pub fn new(check: C, max_in_flight: usize) -> Self {
        Self {
            check,
            max_in_flight,
            in_flight: Arc::default(),
        }
    }
}

/// Counts one call as in flight until it is dropped.
struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
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
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(&self.in_flight);
        if before < self.max_in_flight {
            let outcome = self.check.check(submission).await;
            drop(permit);
            return outcome;
        }
        drop(permit);
        if let Err(refusal) = submission.precheck(self.providers()) {
            return Ok(refusal.into());
        }
        let addressed_to = submission.addressed_to(self.providers());
        count!("human_check_concurrency_limited_total", "provider" => addressed_to.name());
        let error = CheckError::new(ErrorKind::Declined, addressed_to, "too-many-in-flight");
        Err(error.with_token_unused())
    }
}
