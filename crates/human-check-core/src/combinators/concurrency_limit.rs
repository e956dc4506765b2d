use std::sync::Arc;

use async_trait::async_trait;

use crate::in_flight::InFlightLimit;
use crate::report::count_check;
use crate::{
    Capabilities, CheckError, ErrorKind, Health, HumanCheck, Provider, Submission, Verdict,
};

/// A check with a limit on the number of calls in flight.
///
/// A submission beyond the limit ends at once in [`ErrorKind::Declined`] with the reason
/// `too-many-in-flight`. It does not wait, and its token stays unused. The kind is not
/// `Unavailable`, because clients can reach the limit on purpose, and a route that fails open in an
/// outage must not fail open for them. A missing or malformed token is refused as usual.
///
/// While less than half of the places are free, one network of clients gets no more than an eighth
/// of all places, so that it cannot keep all other visitors out; see
/// [`InFlightLimit`](crate::adapter::InFlightLimit). An adapter with a `ProviderClient` has such a
/// limit of its own, of 512 calls.
///
/// ```
/// use human_check_core::{ConcurrencyLimit, HumanCheck};
///
/// fn limited(check: impl HumanCheck) -> impl HumanCheck {
///     ConcurrencyLimit::new(check, 512)
/// }
/// ```
///
/// With the feature `metrics` it adds to `human_check_checks_total`, with the outcome `declined` and
/// the reason `too-many-in-flight`.
///
/// Dropping its future ends the call, which no longer counts.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit<C> {
    check: C,
    in_flight: Arc<InFlightLimit>,
}

impl<C: HumanCheck> ConcurrencyLimit<C> {
    /// Creates a check that calls `check` for at most `max_in_flight` submissions at the same time.
    ///
    /// Its clones share one limit. With a limit of 0 every submission is declined.
    pub fn new(check: C, max_in_flight: usize) -> Self {
        Self {
            check,
            in_flight: Arc::new(InFlightLimit::new(max_in_flight)),
        }
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
        if let Some(place) = self.in_flight.enter(submission.client_ip()) {
            let outcome = self.check.check(submission).await;
            drop(place);
            return outcome;
        }
        if let Err(refusal) = submission.precheck(self.providers()) {
            return Ok(refusal.into());
        }
        let addressed_to = submission.addressed_to(self.providers());
        count_check(addressed_to, "declined", "too-many-in-flight");
        let error = CheckError::new(ErrorKind::Declined, addressed_to, "too-many-in-flight");
        Err(error.with_token_unused())
    }

    async fn probe_health(&self) -> Health {
        self.check.probe_health().await
    }
}
