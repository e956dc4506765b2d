use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Accept, Breaker, BreakerPolicy, CheckError, ConfigError, Enforce, Failover, Limit, Policy,
    Provider, Reports, Submission, Verdict,
};
#[cfg(feature = "tokio")]
use crate::{ComparisonSink, Deadline, Retry, Shadow};
#[cfg(feature = "single-use")]
use crate::{ReplayGuard, SpentTokens};

/// Asks whether a human handed in a submission.
///
/// Adapters (one per vendor) and combinators both implement it, so an application holds one
/// `Arc<dyn HumanCheck>` and never learns which vendor stands behind it.
///
/// # Contract
///
/// - [`Verdict::Human`] only on positive evidence. Whatever is missing refuses.
/// - A refusal is `Ok(Verdict::NotHuman(_))`; `Err(_)` means that nobody has spoken.
///   Nothing a visitor can send may end in [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable),
///   because a route may choose to open on that.
/// - Verdicts are held to what the submission expects, see [`Verdict::held_to`].
/// - An absent, empty, oversized or non-printable token is refused without asking anybody,
///   see [`Submission::token`].
/// - Every fact that [`reports`](Self::reports) calls [`Presence::Always`](crate::Presence::Always)
///   is in every human verdict.
/// - Neither `Debug` nor an error shows a token or a secret.
///
/// # Cancellation
///
/// Dropping the future of [`check`](Self::check) stops waiting. It does not take back what was
/// already sent: the vendor may have spent the token, and the visitor then needs a new one.
#[async_trait]
pub trait HumanCheck: Debug + Send + Sync + 'static {
    /// Whose answers this check understands, each with the form fields they arrive in.
    fn accepts(&self) -> &[Provider];

    /// Which facts its human verdicts carry.
    fn reports(&self) -> Reports;

    /// Judges one submission.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no verdict could be had: the vendor is unreachable, would not judge,
    /// rejected our configuration, or answered nonsense.
    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError>;
}

macro_rules! forward {
    ($($wrapper:ident),*) => {$(
        // A method added to the trait must be forwarded here too, or a wrapped check would
        // silently fall back to a default.
        #[deny(clippy::missing_trait_methods)]
        impl<C: HumanCheck + ?Sized> HumanCheck for $wrapper<C> {
            fn accepts(&self) -> &[Provider] {
                (**self).accepts()
            }

            fn reports(&self) -> Reports {
                (**self).reports()
            }

            // Written as the attribute would expand it, but handing on the inner future instead of
            // boxing it once more.
            fn check<'check, 'submission, 'future>(
                &'check self,
                submission: &'submission Submission,
            ) -> Pin<Box<dyn Future<Output = Result<Verdict, CheckError>> + Send + 'future>>
            where
                'check: 'future,
                'submission: 'future,
                Self: 'future,
            {
                (**self).check(submission)
            }
        }
    )*};
}

forward!(Arc, Box);

/// Ways to wrap a check in another, available on every [`HumanCheck`].
///
/// Reading order is calling order.
pub trait HumanCheckExt: HumanCheck + Sized {
    /// Holds every human verdict to `policy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy asks for a fact that this check does not report.
    fn enforce(self, policy: Policy) -> Result<Enforce<Self>, ConfigError> {
        Enforce::new(self, policy)
    }

    /// Asks `second` where this check is unavailable. Failover, for visitors who sent both answers.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same vendor's answers.
    fn or_else<B: HumanCheck>(self, second: B) -> Result<Failover<Self, B>, ConfigError> {
        Failover::new(self, second)
    }

    /// Still accepts the answers of an `old` check beside this one's.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same vendor's answers.
    fn also_accepting<O: HumanCheck>(self, old: O) -> Result<Accept<Self, O>, ConfigError> {
        Accept::new(self, old)
    }

    /// Stops asking while this check fails or is slow.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy makes no sense.
    fn breaker(self, policy: BreakerPolicy) -> Result<Breaker<Self>, ConfigError> {
        Breaker::new(self, policy)
    }

    /// Lets at most so many checks be under way at once.
    fn limit(self, most: usize) -> Limit<Self> {
        Limit::new(self, most)
    }

    /// Gives up after so long.
    #[cfg(feature = "tokio")]
    fn deadline(self, after: Duration) -> Deadline<Self> {
        Deadline::new(self, after)
    }

    /// Asks again where nothing was sent.
    #[cfg(feature = "tokio")]
    fn retry(self) -> Retry<Self> {
        Retry::new(self)
    }

    /// Compares this check's verdicts with those of `second`, and tells `sink`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same vendor's answers.
    #[cfg(feature = "tokio")]
    fn shadowed_by<B: HumanCheck, S: ComparisonSink>(
        self,
        second: B,
        sink: S,
    ) -> Result<Shadow<Self, B, S>, ConfigError> {
        Shadow::new(self, second, sink)
    }

    /// Lets each token pass once.
    #[cfg(feature = "single-use")]
    fn single_use<S: SpentTokens>(self, store: S) -> ReplayGuard<Self, S> {
        ReplayGuard::new(self, store)
    }
}

impl<C: HumanCheck> HumanCheckExt for C {}
