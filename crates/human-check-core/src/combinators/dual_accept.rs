use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "tokio")]
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, Clock, ConfigError, ErrorKind, Health, HumanCheck, Provider,
    SteadyClock, Submission, Verdict,
};

/// A check that accepts the tokens of two checks, for a migration from one provider to another.
///
/// During the migration some pages show the new provider's widget and some still show the old
/// one's. The tokens that arrive select the check:
///
/// | tokens for | checks called | the result |
/// | --- | --- | --- |
/// | the new check | new | that of the new check |
/// | the old check | old | that of the old check; unavailable becomes [`ErrorKind::Declined`] |
/// | both | new, then old | human only if both pass, with the facts of both |
/// | neither | new | the refusal of the new check |
///
/// If both judged, the facts are those of the new check, and
/// [`Facts::also_judged`](crate::Facts::also_judged) has those of the old one.
///
/// Unavailable becomes `Declined` if the other provider could have decided. Otherwise a bot could
/// send the token of a provider that is down, to pass a route that fails open.
///
/// After the [sunset](Self::with_sunset) the old check is not called, and its tokens count as
/// absent.
///
/// A policy around a `DualAccept` applies to the check that judged, and to both if both did. Put a
/// rule that only one provider can meet around that provider's check.
///
/// ```
/// use human_check_core::{ConfigError, DualAccept, HumanCheck};
/// use std::time::{Duration, SystemTime};
///
/// fn migrating(
///     turnstile: impl HumanCheck,
///     recaptcha: impl HumanCheck,
/// ) -> Result<impl HumanCheck, ConfigError> {
///     let in_two_weeks = SystemTime::now() + Duration::from_secs(14 * 86_400);
///     Ok(DualAccept::new(turnstile, recaptcha)?.with_sunset(in_two_weeks))
/// }
/// ```
///
/// With the feature `metrics` it counts `human_check_dual_accept_total{judge}`, where `judge` is
/// `new`, `old`, `both` or `after-sunset`.
///
/// Dropping its future drops the call in flight.
#[derive(Clone, Debug)]
pub struct DualAccept<N, O> {
    new: N,
    old: O,
    both: Vec<Provider>,
    sunset: Option<SystemTime>,
    #[cfg(feature = "tokio")]
    timeout: Option<Duration>,
    counts: Arc<DualAcceptCounts>,
    clock: Arc<dyn Clock>,
}

/// The counters of a [`DualAccept`]: how many submissions had tokens of which check, since the
/// start.
#[derive(Debug, Default)]
pub struct DualAcceptCounts {
    new: AtomicU64,
    old: AtomicU64,
    both: AtomicU64,
    sunset: AtomicU64,
}

impl DualAcceptCounts {
    /// Returns how many submissions had a token for the new check only, or for both after the
    /// sunset.
    pub fn new_only(&self) -> u64 {
        self.new.load(Ordering::Relaxed)
    }

    /// Returns how many submissions had a token for the old check only, before the sunset.
    ///
    /// When it stays at zero, the old check can be removed.
    pub fn old_only(&self) -> u64 {
        self.old.load(Ordering::Relaxed)
    }

    /// Returns how many submissions had tokens for both checks, before the sunset.
    pub fn both(&self) -> u64 {
        self.both.load(Ordering::Relaxed)
    }

    /// Returns how many submissions had a token for the old check only, after the sunset.
    pub fn after_sunset(&self) -> u64 {
        self.sunset.load(Ordering::Relaxed)
    }
}

/// When a decision must end, if that is limited.
#[cfg(feature = "tokio")]
type End = Option<tokio::time::Instant>;
#[cfg(not(feature = "tokio"))]
type End = Option<std::convert::Infallible>;

impl<N: HumanCheck, O: HumanCheck> DualAccept<N, O> {
    /// Creates a check that accepts the tokens of `new` and of `old`, without a sunset.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both checks accept tokens of one provider, because the token could not
    /// select the check.
    pub fn new(new: N, old: O) -> Result<Self, ConfigError> {
        if let Some(shared) = old.providers().iter().find(|p| new.providers().contains(p)) {
            return Err(ConfigError::new(
                "dual_accept",
                format!("has two checks that accept {shared}"),
                "use two providers; two keys of one provider need two `Provider`s with different names and fields",
            ));
        }
        Ok(Self {
            both: Provider::merged(new.providers(), old.providers()),
            new,
            old,
            sunset: None,
            #[cfg(feature = "tokio")]
            timeout: None,
            counts: Arc::default(),
            clock: Arc::new(SteadyClock::system()),
        })
    }

    /// Sets when the tokens of the old check are no longer accepted. Default never.
    #[must_use]
    pub fn with_sunset(mut self, sunset: SystemTime) -> Self {
        self.sunset = Some(sunset);
        self
    }

    /// Sets how long a decision may take, whichever checks are called. Default no limit.
    ///
    /// Use it instead of a [`Timeout`](crate::Timeout) around both checks, which does not know which
    /// of them is slow: a bot could send the token of an old provider that stalls, to pass a route
    /// that fails open. Here an old check that takes too long is
    /// [`ErrorKind::Declined`], and a new one is [`ErrorKind::Unavailable`], both with the reason
    /// `timeout`.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the clock that the sunset is compared with. Default the system's clock.
    ///
    /// A clock that is set back does not undo the sunset; see [`SteadyClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(SteadyClock::new(clock));
        self
    }

    /// Returns the counters. Keep them before the check is moved into a guard.
    ///
    /// Clones of the check share the counters.
    pub fn counts(&self) -> Arc<DualAcceptCounts> {
        Arc::clone(&self.counts)
    }

    /// Returns whether the sunset has passed.
    fn is_over(&self) -> bool {
        self.sunset.is_some_and(|sunset| self.clock.now() >= sunset)
    }

    /// Returns when a decision that begins now must end.
    #[cfg(feature = "tokio")]
    fn end(&self) -> End {
        self.timeout
            .map(|timeout| tokio::time::Instant::now() + timeout)
    }

    #[cfg(not(feature = "tokio"))]
    fn end(&self) -> End {
        None
    }

    /// Calls one of the two checks, within what is left of the time for this decision.
    async fn call(
        &self,
        check: &dyn HumanCheck,
        submission: &Submission,
        end: End,
    ) -> Result<Verdict, CheckError> {
        #[cfg(feature = "tokio")]
        if let Some(end) = end {
            let called = tokio::time::timeout_at(end, check.check(submission)).await;
            return called.unwrap_or_else(|_| {
                let provider = submission.addressed_to(check.providers());
                count!("human_check_timeouts_total", "provider" => provider.name());
                Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout"))
            });
        }
        #[cfg(not(feature = "tokio"))]
        let _ = end;
        check.check(submission).await
    }

    async fn judge(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let old = submission.has_token_for_any(self.old.providers());
        let new = submission.has_token_for_any(self.new.providers());
        let over = self.is_over();
        let (counter, judge) = match (new, old) {
            (_, false) => (&self.counts.new, "new"),
            (true, true) if over => (&self.counts.new, "new"),
            (false, true) if over => (&self.counts.sunset, "after-sunset"),
            (false, true) => (&self.counts.old, "old"),
            (true, true) => (&self.counts.both, "both"),
        };
        if new || old {
            counter.fetch_add(1, Ordering::Relaxed);
            count!("human_check_dual_accept_total", "judge" => judge);
            tracing::debug!(
                target: "human_check",
                judge,
                provider = submission.addressed_to(&self.both).name(),
                "accepted for judging"
            );
        }
        if over && old && !new {
            // A visitor can type such a token, so the event is no warning. The metric counts it.
            tracing::debug!(
                target: "human_check",
                provider = submission.addressed_to(self.old.providers()).name(),
                "a token of a provider that is no longer accepted; a page still shows its widget"
            );
        }
        let end = self.end();
        if over || !old {
            return self.call_new(submission, end).await;
        }
        if !new {
            return self.call_old(submission, end).await;
        }
        match self.call_new(submission, end).await {
            Ok(Verdict::Human(facts)) => Ok(match self.call_old(submission, end).await? {
                Verdict::Human(old) => Verdict::Human(facts.with_also_judged(old)),
                refused @ Verdict::NotHuman(_) => refused,
            }),
            // The new provider is down. The old one is called, because its refusal stands.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                match self.call(&self.old, submission, end).await {
                    Ok(Verdict::Human(_)) => Err(error.escalated_to(ErrorKind::Declined)),
                    Ok(refused) => {
                        Ok(refused.with_provider(submission.addressed_to(self.old.providers())))
                    }
                    Err(old) => Err(error.escalated_to(old.kind())),
                }
            }
            outcome => outcome,
        }
    }

    /// Calls the new check.
    async fn call_new(&self, submission: &Submission, end: End) -> Result<Verdict, CheckError> {
        let verdict = self.call(&self.new, submission, end).await?;
        Ok(verdict.with_provider(submission.addressed_to(self.new.providers())))
    }

    /// Calls the old check. Its errors permit no more than `Declined`: the new provider could have
    /// decided, and a bot could send the old token alone to pass a route that fails open.
    async fn call_old(&self, submission: &Submission, end: End) -> Result<Verdict, CheckError> {
        match self.call(&self.old, submission, end).await {
            Ok(verdict) => Ok(verdict.with_provider(submission.addressed_to(self.old.providers()))),
            Err(error) => Err(error.escalated_to(ErrorKind::Declined)),
        }
    }
}

#[async_trait]
impl<N: HumanCheck, O: HumanCheck> HumanCheck for DualAccept<N, O> {
    fn providers(&self) -> &[Provider] {
        if self.is_over() {
            self.new.providers()
        } else {
            &self.both
        }
    }

    /// Returns the facts that verdicts carry whichever check judges.
    fn capabilities(&self) -> Capabilities {
        if self.is_over() {
            self.new.capabilities()
        } else {
            self.new.capabilities().or(self.old.capabilities())
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        self.judge(submission).await
    }

    /// Probes the new check, which decides about the health of both.
    async fn probe_health(&self) -> Health {
        self.new.probe_health().await
    }
}
