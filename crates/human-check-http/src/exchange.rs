use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use human_check_core::{CheckError, ErrorKind, Provider, Refusal, Submission, TOKEN_CAP, Verdict};
use tokio::time::{Instant, sleep, timeout};
use tracing::Level;

use crate::{Endpoint, Reply, Request, SendError, SendErrorKind, Transport, echo};

/// What every adapter asks its vendor through.
///
/// Owns the rules that do not differ between vendors: deadlines, the cap on replies, when a
/// request may be repeated, which errors show what, and the one event that explains a decision.
/// Cheap to clone; clones share the transport and its connections, so build one per process and
/// give a clone to every adapter.
#[derive(Clone)]
pub struct Exchange {
    transport: Arc<dyn Transport>,
    limits: Limits,
    retries: Arc<RetryBudget>,
}

/// Deadlines and sizes of an [`Exchange`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How long one attempt may take, connecting included. Default 2 seconds.
    pub attempt: Duration,
    /// How long a check may take with everything: connecting, repeating, reading. Default 3 seconds.
    pub total: Duration,
    /// The longest reply that is read, in bytes. Default 64 KiB.
    pub reply_bytes: usize,
    /// The longest token that is asked about, in bytes. Default 8,192.
    pub token_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(2),
            total: Duration::from_secs(3),
            reply_bytes: 65_536,
            token_bytes: TOKEN_CAP,
        }
    }
}

/// When a request may be sent a second time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// Also when the vendor may have acted on the first, because it recognises the second by a key.
    Idempotent,
    /// Only when no byte of the first was sent. Right wherever verifying spends the token.
    Unsent,
}

/// One verification to be asked. `Debug` shows no secrets.
pub struct Question<'a> {
    /// Who is asked.
    pub provider: &'a Provider,
    /// For whom.
    pub submission: &'a Submission,
    /// What is sent.
    pub request: Request,
    /// Token and secrets: texts that must not come back in codes and details.
    pub secrets: &'a [&'a str],
    /// Whether it may be sent twice.
    pub retry: Retry,
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("provider", self.provider)
            .field("submission", self.submission)
            .field("request", &self.request)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// What came of asking, and how often the vendor was asked.
#[derive(Debug)]
pub struct Asked {
    /// The verdict or error.
    pub outcome: Result<Verdict, CheckError>,
    /// How many requests were sent.
    pub attempts: u32,
}

impl Exchange {
    /// Asks over `transport`, with the default limits.
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
            limits: Limits::default(),
            retries: Arc::default(),
        }
    }

    /// The same with other limits.
    ///
    /// ```
    /// use human_check_http::{CannedTransport, Exchange, Limits, Reply};
    /// use std::time::Duration;
    ///
    /// let mut limits = Limits::default();
    /// limits.total = Duration::from_secs(1);
    /// let exchange = Exchange::new(CannedTransport::always(Reply::new(503, ""))).with_limits(limits);
    /// ```
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Asks for a verdict and reports it.
    ///
    /// `judge` reads the reply. Its verdict is held to what the submission expects.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no verdict could be had within the total deadline.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives the request up; if it was sent, the token may be spent.
    pub async fn verify(
        &self,
        question: Question<'_>,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Result<Verdict, CheckError> {
        let start = Instant::now();
        let provider = question.provider;
        let asked = self.ask(question, judge).await;
        self.report(provider, &asked, start.elapsed());
        asked.outcome
    }

    /// Asks for a verdict and reports nothing, for adapters that make several calls for one
    /// check. They end with [`report`](Self::report).
    ///
    /// # Cancellation
    ///
    /// As for [`verify`](Self::verify).
    pub async fn ask(
        &self,
        question: Question<'_>,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Asked {
        let Question {
            provider,
            submission,
            request,
            secrets,
            retry,
        } = question;
        let (outcome, attempts) = self.attempt(provider, request, retry, judge).await;
        let outcome = echo::scrub(outcome, secrets).map(|verdict| verdict.held_to(submission));
        Asked { outcome, attempts }
    }

    /// Emits the one event that explains a decision.
    pub fn report(&self, provider: &Provider, asked: &Asked, took: Duration) {
        report(provider, &asked.outcome, asked.attempts, took);
    }

    /// Refuses a submission without asking, and reports that.
    ///
    /// # Errors
    ///
    /// None; the type is that of [`verify`](Self::verify).
    pub fn refuse(&self, provider: &Provider, refusal: Refusal) -> Result<Verdict, CheckError> {
        let outcome = Ok(Verdict::NotHuman(refusal));
        report(provider, &outcome, 0, Duration::ZERO);
        outcome
    }

    /// Gives up on a submission without asking, and reports that.
    ///
    /// # Errors
    ///
    /// Always `error`; the type is that of [`verify`](Self::verify).
    pub fn fail(&self, provider: &Provider, error: CheckError) -> Result<Verdict, CheckError> {
        let outcome = Err(error);
        report(provider, &outcome, 0, Duration::ZERO);
        outcome
    }

    /// Makes a call that gives no verdict: an access token, an annotation.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when it failed, with `secrets` scrubbed from its codes.
    pub async fn call<T: Send>(
        &self,
        provider: &Provider,
        request: Request,
        secrets: &[&str],
        read: impl Fn(&Reply) -> Result<T, CheckError> + Send,
    ) -> Result<T, CheckError> {
        let (outcome, _) = self.attempt(provider, request, Retry::Unsent, read).await;
        outcome.map_err(|error| echo::scrub_error(error, secrets))
    }

    /// Holds several calls that belong to one check to the total deadline.
    ///
    /// # Errors
    ///
    /// What `calls` fails with, or `Unavailable` when the time is up.
    pub async fn within_total<T>(
        &self,
        provider: &Provider,
        calls: impl Future<Output = Result<T, CheckError>>,
    ) -> Result<T, CheckError> {
        timeout(self.limits.total, calls)
            .await
            .unwrap_or_else(|_| Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout")))
    }

    /// Opens a connection before the first visitor needs one.
    ///
    /// Sends an empty GET, which spends nothing; whatever the vendor answers, the connection is open.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the vendor cannot be reached.
    pub async fn prewarm(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
    ) -> Result<(), CheckError> {
        self.call(provider, Request::get(endpoint), &[], |_| Ok(()))
            .await
    }

    /// Sends, at most twice, until something can be said or the deadline is reached.
    async fn attempt<T>(
        &self,
        provider: &Provider,
        request: Request,
        retry: Retry,
        read: impl Fn(&Reply) -> Result<T, CheckError>,
    ) -> (Result<T, CheckError>, u32) {
        // An hour is for ever, and cannot overflow.
        let deadline = Instant::now() + self.limits.total.min(Duration::from_secs(3_600));
        self.retries.earn();
        let first = self.once(provider, &request, deadline, &read).await;
        let Err(error) = first else {
            return (first, 1);
        };
        let again = error.kind() == ErrorKind::Unavailable
            && error.retry_after().is_none()
            && error.reason() != "rate-limited"
            && match retry {
                Retry::Unsent => !error.token_may_be_spent(),
                Retry::Idempotent => true,
            };
        // Full jitter, so that the visitors of one hiccup do not come back together.
        let pause = Duration::from_millis(fastrand::u64(50..=250));
        if !again || Instant::now() + pause >= deadline || !self.retries.spend() {
            return (Err(error), 1);
        }
        sleep(pause).await;
        let second = self.once(provider, &request, deadline, &read).await;
        // A token that the first attempt may have spent is not unspent for the second's failure.
        let may_be_spent = error.token_may_be_spent();
        (
            second.map_err(|second| {
                if may_be_spent {
                    second.with_token_spent()
                } else {
                    second
                }
            }),
            2,
        )
    }

    async fn once<T>(
        &self,
        provider: &Provider,
        request: &Request,
        deadline: Instant,
        read: impl Fn(&Reply) -> Result<T, CheckError>,
    ) -> Result<T, CheckError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let send = self.transport.send(request, self.limits.reply_bytes);
        match timeout(left.min(self.limits.attempt), send).await {
            Ok(Ok(reply)) => read(&reply),
            Ok(Err(error)) => Err(failed(provider, error)),
            Err(_) => Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout")),
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("transport", &self.transport)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn failed(provider: &Provider, error: SendError) -> CheckError {
    match error.kind() {
        SendErrorKind::NotSent => {
            CheckError::new(ErrorKind::Unavailable, provider, "not-connected").with_token_unspent()
        }
        SendErrorKind::Lost => CheckError::new(ErrorKind::Unavailable, provider, "connection-lost"),
        SendErrorKind::TooLarge => {
            CheckError::new(ErrorKind::Protocol, provider, "reply-too-large")
        }
    }
    .with_source(error)
}

/// The one event of a check. Its fields hold names of fixed sets, numbers, and nothing a visitor wrote.
fn report(
    provider: &Provider,
    outcome: &Result<Verdict, CheckError>,
    attempts: u32,
    took: Duration,
) {
    let (class, reason, alert, codes) = match outcome {
        Ok(Verdict::Human(_)) => ("human", "", false, &[][..]),
        Ok(Verdict::NotHuman(refusal)) => (
            "not-human",
            refusal.reason().name(),
            refusal.is_alert(),
            refusal.codes(),
        ),
        Err(error) => (
            error.kind().name(),
            error.reason(),
            error.is_alert(),
            error.codes(),
        ),
    };
    macro_rules! emit {
        ($level:expr) => {
            tracing::event!(
                target: "human_check",
                $level,
                provider = provider.name(),
                outcome = class,
                reason,
                alert,
                attempts,
                latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                codes = ?codes,
                "checked"
            )
        };
    }
    match (class, alert) {
        ("misconfigured", _) => emit!(Level::ERROR),
        (_, true) | ("unavailable" | "declined" | "protocol", _) => emit!(Level::WARN),
        _ => emit!(Level::DEBUG),
    }
}

/// Keeps repeats under a tenth of the calls, after a burst of ten.
struct RetryBudget(AtomicU32);

impl RetryBudget {
    const COST: u32 = 10;
    const MOST: u32 = 10 * Self::COST;

    fn earn(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| {
                (tenths < Self::MOST).then_some(tenths + 1)
            });
    }

    fn spend(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tenths| {
                tenths.checked_sub(Self::COST)
            })
            .is_ok()
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(Self::MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CannedTransport;
    use human_check_core::{Facts, Reason};
    use std::error::Error as _;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    fn request() -> Request {
        let endpoint = Endpoint::literal("https://acme.example/siteverify");
        Request::form(&endpoint, crate::FormBody::with_capacity(0))
    }

    async fn verify(
        exchange: &Exchange,
        retry: Retry,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Result<Verdict, CheckError> {
        let question = Question {
            provider: &ACME,
            submission: &Submission::new(),
            request: request(),
            secrets: &["canary-secret-0123456789"],
            retry,
        };
        exchange.verify(question, judge).await
    }

    fn yes(reply: &Reply) -> Result<Verdict, CheckError> {
        reply.check_status(&ACME)?;
        Ok(Verdict::Human(Facts::new(&ACME)))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_never_sent_is_repeated() {
        for (kind, retry, calls) in [
            (SendErrorKind::NotSent, Retry::Unsent, 2),
            (SendErrorKind::Lost, Retry::Unsent, 1),
            (SendErrorKind::TooLarge, Retry::Unsent, 1),
            (SendErrorKind::NotSent, Retry::Idempotent, 2),
            (SendErrorKind::Lost, Retry::Idempotent, 2),
            (SendErrorKind::TooLarge, Retry::Idempotent, 1),
        ] {
            let vendor = CannedTransport::new(move |_| Err(SendError::new(kind)));
            let exchange = Exchange::new(vendor.clone());
            let error = verify(&exchange, retry, yes).await.unwrap_err();
            assert_eq!(vendor.requests().len(), calls, "{kind:?} {retry:?}");
            assert_eq!(error.token_may_be_spent(), kind != SendErrorKind::NotSent);
            assert!(error.source().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_was_sent_stays_sent_when_the_second_attempt_was_not() {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let vendor = CannedTransport::new(move |_| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            let kind = if first {
                SendErrorKind::Lost
            } else {
                SendErrorKind::NotSent
            };
            Err(SendError::new(kind))
        });
        let error = verify(&Exchange::new(vendor), Retry::Idempotent, yes)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "not-connected");
        assert!(error.token_may_be_spent());
    }

    #[tokio::test]
    async fn limits_without_end_are_no_overflow() {
        let mut limits = Limits::default();
        (limits.total, limits.attempt) = (Duration::MAX, Duration::MAX);
        let vendor = CannedTransport::always(Reply::new(200, ""));
        let exchange = Exchange::new(vendor).with_limits(limits);
        assert!(
            verify(&exchange, Retry::Unsent, yes)
                .await
                .unwrap()
                .is_human()
        );
    }

    #[test]
    fn a_question_shows_no_secret() {
        let question = Question {
            provider: &ACME,
            submission: &Submission::new().with_token(&ACME, "canary-token"),
            request: request(),
            secrets: &["canary-token", "canary-secret"],
            retry: Retry::Unsent,
        };
        assert!(!format!("{question:?}").contains("canary"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_error_is_repeated_only_under_an_idempotency_key() {
        for (status, retry, calls) in [
            (503, Retry::Unsent, 1),
            (503, Retry::Idempotent, 2),
            (429, Retry::Idempotent, 1),
            (302, Retry::Idempotent, 1),
        ] {
            let vendor = CannedTransport::always(Reply::new(status, ""));
            let exchange = Exchange::new(vendor.clone());
            assert!(verify(&exchange, retry, yes).await.is_err());
            assert_eq!(vendor.requests().len(), calls, "{status} {retry:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_stay_under_a_tenth_of_the_calls_after_a_burst() {
        let vendor = CannedTransport::new(|_| Err(SendError::new(SendErrorKind::NotSent)));
        let exchange = Exchange::new(vendor.clone());
        for _ in 0..1_000 {
            assert!(verify(&exchange, Retry::Unsent, yes).await.is_err());
        }
        assert!(
            vendor.requests().len() <= 1_110,
            "{}",
            vendor.requests().len()
        );
    }

    #[derive(Debug)]
    struct Stalled;

    #[async_trait::async_trait]
    impl Transport for Stalled {
        async fn send(&self, _: &Request, _: usize) -> Result<Reply, SendError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_deadline_holds_when_the_vendor_stalls() {
        for (retry, seconds) in [(Retry::Unsent, 2), (Retry::Idempotent, 3)] {
            let start = Instant::now();
            let error = verify(&Exchange::new(Stalled), retry, yes)
                .await
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.reason()),
                (ErrorKind::Unavailable, "timeout")
            );
            let took = start.elapsed();
            assert!(
                took <= Duration::from_secs(seconds) + Duration::from_millis(50),
                "{took:?}"
            );
            assert!(error.token_may_be_spent());
        }
    }

    #[tokio::test]
    async fn what_a_vendor_repeats_of_ours_is_scrubbed() {
        let exchange = Exchange::new(CannedTransport::always(Reply::new(200, "")));
        let verdict = verify(&exchange, Retry::Unsent, |_| {
            Ok(Refusal::new(Reason::Other)
                .with_codes(vec!["no: canary-secret-0123".into(), "plain".into()])
                .into())
        })
        .await
        .unwrap();
        assert_eq!(verdict.refusal().unwrap().codes(), ["[redacted]", "plain"]);
    }

    #[tokio::test]
    async fn a_verdict_is_held_to_the_submission() {
        let exchange = Exchange::new(CannedTransport::always(Reply::new(200, "")));
        let question = Question {
            provider: &ACME,
            submission: &Submission::new().expecting_action("login"),
            request: request(),
            secrets: &[],
            retry: Retry::Unsent,
        };
        let verdict = exchange.verify(question, yes).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason().name(), "action-absent");
    }
}
