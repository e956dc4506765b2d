use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use human_check_core::adapter::RetryBudget;
use human_check_core::{CheckError, ErrorKind, Provider, Refusal, Submission, Verdict};
use tokio::time::{Instant, sleep, timeout};
use tracing::Level;

use crate::limits::Limits;
use crate::{Endpoint, Reply, Request, SendError, SendErrorKind, Transport, redact};

/// What every adapter asks its provider through.
///
/// Owns the rules that do not differ between providers: deadlines, the cap on replies, when a
/// request may be repeated, which errors show what, and the one event that explains a decision.
/// Cheap to clone; clones share the transport and its connections, so build one per process and
/// give a clone to every adapter.
#[derive(Clone)]
pub struct ProviderClient {
    transport: Arc<dyn Transport>,
    limits: Limits,
    base_urls: Arc<[BaseUrl]>,
    retries: Arc<RetryBudget>,
}

/// When a request may be sent a second time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResendPolicy {
    /// Also when the provider may have acted on the first, because it recognises the second by a key.
    Idempotent,
    /// Only when no byte of the first was sent. Right wherever verifying spends the token.
    Unsent,
}

/// One verification to be asked. `Debug` shows no secrets.
pub struct VerifyCall<'a> {
    /// Who is asked.
    pub provider: &'a Provider,
    /// For whom.
    pub submission: &'a Submission,
    /// What is sent.
    pub request: Request,
    /// Token and secrets: texts that must not come back in codes and details.
    pub secrets: &'a [&'a str],
    /// Whether it may be sent twice.
    pub resend: ResendPolicy,
}

impl fmt::Debug for VerifyCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyCall")
            .field("provider", self.provider)
            .field("submission", self.submission)
            .field("request", &self.request)
            .field("resend", &self.resend)
            .finish_non_exhaustive()
    }
}

/// What came of asking, and how often the provider was asked.
#[derive(Debug)]
pub struct CallOutcome {
    /// The verdict or error.
    pub outcome: Result<Verdict, CheckError>,
    /// How many requests were sent.
    pub attempts: u32,
}

impl ProviderClient {
    /// Asks over `transport`, with the default limits.
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
            limits: Limits::default(),
            base_urls: Arc::default(),
            retries: Arc::default(),
        }
    }

    /// The same with other limits.
    ///
    /// ```
    /// use human_check_http::{MockTransport, ProviderClient, Limits, Reply};
    /// use std::time::Duration;
    ///
    /// let mut limits = Limits::default();
    /// limits.total_timeout = Duration::from_secs(1);
    /// let client = ProviderClient::new(MockTransport::always(Reply::new(503, ""))).with_limits(limits);
    /// ```
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends what adapters of `provider` request to `base` instead of the provider's own host: an
    /// emulator, a regional host, a gateway. The path of each request is kept, behind the path of
    /// `base`, if it has one. A second call for the same provider replaces the first.
    ///
    /// Applies to every call that an adapter makes, signing in to Google Cloud among them.
    ///
    /// ```
    /// use human_check_core::Provider;
    /// use human_check_http::{Endpoint, MockTransport, ProviderClient, Reply};
    ///
    /// static ACME: Provider = Provider::new("acme", &["acme-response"]);
    /// let emulator = Endpoint::parse("http://127.0.0.1:8765")?;
    /// let client = ProviderClient::new(MockTransport::always(Reply::new(200, "")))
    ///     .with_base_url(&ACME, emulator);
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_base_url(mut self, provider: &Provider, base: Endpoint) -> Self {
        let others = self.base_urls.iter().cloned();
        let others = others.filter(|known| known.provider != *provider);
        let all = others.chain([BaseUrl::new(provider.clone(), base)]);
        self.base_urls = all.collect();
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
        call: VerifyCall<'_>,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Result<Verdict, CheckError> {
        let start = Instant::now();
        let provider = call.provider;
        let asked = self.ask(call, judge).await;
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
        call: VerifyCall<'_>,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> CallOutcome {
        let VerifyCall {
            provider,
            submission,
            request,
            secrets,
            resend,
        } = call;
        let (outcome, attempts) = self.attempt(provider, request, resend, judge).await;
        let outcome =
            redact::scrub(outcome, secrets).map(|verdict| verdict.check_expectations(submission));
        CallOutcome { outcome, attempts }
    }

    /// Emits the one event that explains a decision.
    pub fn report(&self, provider: &Provider, asked: &CallOutcome, took: Duration) {
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
        let (outcome, _) = self
            .attempt(provider, request, ResendPolicy::Unsent, read)
            .await;
        outcome.map_err(|error| redact::scrub_error(error, secrets))
    }

    /// Holds several calls that belong to one check to the total deadline.
    ///
    /// # Errors
    ///
    /// What `calls` fails with, or `Unavailable` when the time is up.
    pub async fn within_total_timeout<T>(
        &self,
        provider: &Provider,
        calls: impl Future<Output = Result<T, CheckError>>,
    ) -> Result<T, CheckError> {
        timeout(self.limits.total_timeout, calls)
            .await
            .unwrap_or_else(|_| Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout")))
    }

    /// Opens a connection before the first visitor needs one.
    ///
    /// Sends an empty GET, which spends nothing; whatever the provider answers, the connection is open.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the provider cannot be reached.
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
        resend: ResendPolicy,
        read: impl Fn(&Reply) -> Result<T, CheckError>,
    ) -> (Result<T, CheckError>, u32) {
        let request = self.rebased(provider, request);
        // An hour is for ever, and cannot overflow.
        let deadline = Instant::now() + self.limits.total_timeout.min(Duration::from_secs(3_600));
        self.retries.earn();
        let first = self.once(provider, &request, deadline, &read).await;
        let Err(error) = first else {
            return (first, 1);
        };
        let again = error.kind() == ErrorKind::Unavailable
            && error.retry_after().is_none()
            && error.reason() != "rate-limited"
            && match resend {
                ResendPolicy::Unsent => !error.token_may_be_spent(),
                ResendPolicy::Idempotent => true,
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

    /// The request with the base URL of `provider`, where one is set.
    fn rebased(&self, provider: &Provider, request: Request) -> Request {
        let mut known = self.base_urls.iter();
        match known.find(|known| known.provider == *provider) {
            None => request,
            Some(base) => {
                let endpoint = base.endpoint(request.endpoint());
                request.with_endpoint(endpoint)
            }
        }
    }

    async fn once<T>(
        &self,
        provider: &Provider,
        request: &Request,
        deadline: Instant,
        read: impl Fn(&Reply) -> Result<T, CheckError>,
    ) -> Result<T, CheckError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let send = self.transport.send(request, self.limits.max_reply_bytes);
        match timeout(left.min(self.limits.attempt_timeout), send).await {
            Ok(Ok(reply)) => read(&reply),
            Ok(Err(error)) => Err(failed(provider, error)),
            Err(_) => Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout")),
        }
    }
}

/// Where calls of one provider go instead of its own host.
#[derive(Clone)]
struct BaseUrl {
    provider: Provider,
    base: Endpoint,
    /// The last endpoint and what it became: an adapter calls few, and a URL is not built for each call.
    last: Arc<Mutex<Option<(Endpoint, Endpoint)>>>,
}

impl BaseUrl {
    fn new(provider: Provider, base: Endpoint) -> Self {
        Self {
            provider,
            base,
            last: Arc::default(),
        }
    }

    fn endpoint(&self, own: &Endpoint) -> Endpoint {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, rebased)) if known.ptr_eq(own) => rebased.clone(),
            _ => {
                let rebased = own.rebased(&self.base);
                *last = Some((own.clone(), rebased.clone()));
                rebased
            }
        }
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.provider, self.base.url())
    }
}

impl fmt::Debug for ProviderClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderClient")
            .field("transport", &self.transport)
            .field("limits", &self.limits)
            .field("base_urls", &self.base_urls)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::MockTransport;
    use human_check_core::{Facts, Reason};
    use std::error::Error as _;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    fn request() -> Request {
        let endpoint = Endpoint::literal("https://acme.example/siteverify");
        Request::form(&endpoint, crate::adapter::FormBody::with_capacity(0))
    }

    async fn verify(
        client: &ProviderClient,
        resend: ResendPolicy,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Result<Verdict, CheckError> {
        let call = VerifyCall {
            provider: &ACME,
            submission: &Submission::new(),
            request: request(),
            secrets: &["canary-secret-0123456789"],
            resend,
        };
        client.verify(call, judge).await
    }

    fn yes(reply: &Reply) -> Result<Verdict, CheckError> {
        reply.check_status(&ACME)?;
        Ok(Verdict::Human(Facts::new(&ACME)))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_never_sent_is_repeated() {
        for (kind, resend, calls) in [
            (SendErrorKind::NotSent, ResendPolicy::Unsent, 2),
            (SendErrorKind::Lost, ResendPolicy::Unsent, 1),
            (SendErrorKind::TooLarge, ResendPolicy::Unsent, 1),
            (SendErrorKind::NotSent, ResendPolicy::Idempotent, 2),
            (SendErrorKind::Lost, ResendPolicy::Idempotent, 2),
            (SendErrorKind::TooLarge, ResendPolicy::Idempotent, 1),
        ] {
            let provider = MockTransport::new(move |_| Err(SendError::new(kind)));
            let client = ProviderClient::new(provider.clone());
            let error = verify(&client, resend, yes).await.unwrap_err();
            assert_eq!(provider.requests().len(), calls, "{kind:?} {resend:?}");
            assert_eq!(error.token_may_be_spent(), kind != SendErrorKind::NotSent);
            assert!(error.source().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_was_sent_stays_sent_when_the_second_attempt_was_not() {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let provider = MockTransport::new(move |_| {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            let kind = if first {
                SendErrorKind::Lost
            } else {
                SendErrorKind::NotSent
            };
            Err(SendError::new(kind))
        });
        let error = verify(
            &ProviderClient::new(provider),
            ResendPolicy::Idempotent,
            yes,
        )
        .await
        .unwrap_err();
        assert_eq!(error.reason(), "not-connected");
        assert!(error.token_may_be_spent());
    }

    #[tokio::test]
    async fn a_base_url_moves_every_call_of_its_provider_and_no_other() {
        static OTHER: Provider = Provider::new("other", &["other-response"]);
        let transport = MockTransport::always(Reply::new(200, ""));
        let base = |url| Endpoint::parse(url).unwrap();
        let client = ProviderClient::new(transport.clone())
            .with_base_url(&ACME, base("http://127.0.0.1:1"))
            .with_base_url(&ACME, base("http://127.0.0.1:2/gateway/"));
        let endpoint = Endpoint::literal("https://acme.example/v1/siteverify");
        client.prewarm(&ACME, &endpoint).await.unwrap();
        client.prewarm(&OTHER, &endpoint).await.unwrap();
        let sent = transport.requests();
        let sent = sent.iter().map(|request| request.endpoint().url().as_str());
        assert_eq!(
            sent.collect::<Vec<_>>(),
            [
                "http://127.0.0.1:2/gateway/v1/siteverify",
                "https://acme.example/v1/siteverify"
            ]
        );
    }

    #[tokio::test]
    async fn limits_without_end_are_no_overflow() {
        let mut limits = Limits::default();
        (limits.total_timeout, limits.attempt_timeout) = (Duration::MAX, Duration::MAX);
        let provider = MockTransport::always(Reply::new(200, ""));
        let client = ProviderClient::new(provider).with_limits(limits);
        assert!(
            verify(&client, ResendPolicy::Unsent, yes)
                .await
                .unwrap()
                .is_human()
        );
    }

    #[test]
    fn a_question_shows_no_secret() {
        let call = VerifyCall {
            provider: &ACME,
            submission: &Submission::new().with_token(&ACME, "canary-token"),
            request: request(),
            secrets: &["canary-token", "canary-secret"],
            resend: ResendPolicy::Unsent,
        };
        assert!(!format!("{call:?}").contains("canary"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_error_is_repeated_only_under_an_idempotency_key() {
        for (status, resend, calls) in [
            (503, ResendPolicy::Unsent, 1),
            (503, ResendPolicy::Idempotent, 2),
            (429, ResendPolicy::Idempotent, 1),
            (302, ResendPolicy::Idempotent, 1),
        ] {
            let provider = MockTransport::always(Reply::new(status, ""));
            let client = ProviderClient::new(provider.clone());
            assert!(verify(&client, resend, yes).await.is_err());
            assert_eq!(provider.requests().len(), calls, "{status} {resend:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_stay_under_a_tenth_of_the_calls_after_a_burst() {
        let provider = MockTransport::new(|_| Err(SendError::new(SendErrorKind::NotSent)));
        let client = ProviderClient::new(provider.clone());
        for _ in 0..1_000 {
            assert!(verify(&client, ResendPolicy::Unsent, yes).await.is_err());
        }
        assert!(
            provider.requests().len() <= 1_110,
            "{}",
            provider.requests().len()
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
    async fn the_total_deadline_holds_when_the_provider_stalls() {
        for (resend, seconds) in [(ResendPolicy::Unsent, 2), (ResendPolicy::Idempotent, 3)] {
            let start = Instant::now();
            let error = verify(&ProviderClient::new(Stalled), resend, yes)
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
    async fn what_a_provider_repeats_of_ours_is_scrubbed() {
        let client = ProviderClient::new(MockTransport::always(Reply::new(200, "")));
        let verdict = verify(&client, ResendPolicy::Unsent, |_| {
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
        let client = ProviderClient::new(MockTransport::always(Reply::new(200, "")));
        let call = VerifyCall {
            provider: &ACME,
            submission: &Submission::new().with_expected_action("login"),
            request: request(),
            secrets: &[],
            resend: ResendPolicy::Unsent,
        };
        let verdict = client.verify(call, yes).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason().name(), "action-absent");
    }
}
