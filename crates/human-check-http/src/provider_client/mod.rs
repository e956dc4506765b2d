//! The client that adapters send their requests with.

mod attempt;
mod base_url;
mod verify_call;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::adapter::{InFlightLimit, RetryBudget, report_check};
use human_check_core::{CheckError, ErrorKind, Provider, Refusal, TestKeyPolicy, Verdict};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::limits::Limits;
use crate::{Endpoint, Reply, Request, Transport, redact};
use base_url::BaseUrl;
pub use verify_call::{CallOutcome, ResendPolicy, VerifyCall};

/// How long a health probe may take, including the time to connect.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The client that every adapter calls its provider with.
///
/// It applies the rules that are the same for all providers: timeouts, the maximum size of a reply,
/// when a request may be repeated, the redaction of tokens and secrets, and one event for each
/// check.
///
/// Create one for each process and pass it to all adapters. Clones are cheap, and share the
/// transport and its connections. Each adapter has a budget of retries and a limit of calls in flight
/// of its own, see [`for_adapter`](Self::for_adapter).
///
/// ```
/// use human_check_http::{MockTransport, ProviderClient, Reply};
///
/// // In production: `HyperTransport::new()?`.
/// let client = ProviderClient::new(MockTransport::always(Reply::new(200, "{}")));
/// assert_eq!(client.limits().max_reply_bytes, 65_536);
/// ```
///
/// Its methods need a tokio runtime with its timer.
#[derive(Clone)]
pub struct ProviderClient {
    transport: Arc<dyn Transport>,
    limits: Limits,
    base_urls: Arc<[BaseUrl]>,
    test_keys: TestKeyPolicy,
    retries: Arc<RetryBudget>,
    in_flight: Arc<InFlightLimit>,
    /// Whether the client is for a health probe, see [`for_health_probe`](Self::for_health_probe).
    is_probe: bool,
}

impl ProviderClient {
    /// Creates a client that sends through `transport`, with the default [`Limits`].
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
            limits: Limits::default(),
            base_urls: Arc::default(),
            test_keys: TestKeyPolicy::Refused,
            retries: Arc::default(),
            in_flight: Arc::new(InFlightLimit::new(Limits::default().max_in_flight)),
            is_probe: false,
        }
    }

    /// Creates the client of one health probe: with a connection of its own, outside of the limit of
    /// calls in flight, without a repeat, and with a timeout of two seconds. Its calls are not
    /// reported as checks.
    ///
    /// An adapter calls it in [`probe_health`](human_check_core::HumanCheck::probe_health).
    #[must_use]
    pub fn for_health_probe(&self) -> Self {
        let mut limits = self.limits;
        limits.attempt_timeout = PROBE_TIMEOUT;
        limits.total_timeout = PROBE_TIMEOUT;
        let transport = self.transport.separate();
        Self {
            transport: transport.unwrap_or_else(|| Arc::clone(&self.transport)),
            is_probe: true,
            ..self.clone()
        }
        .with_limits(limits)
    }

    /// Returns a client with the same settings that sends through what `wrap` makes of the transport,
    /// for example to observe its calls.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use human_check_core::adapter::async_trait;
    /// use human_check_http::{HyperTransport, ProviderClient, Reply, Request, SendError, Transport};
    ///
    /// /// Prints the status of each reply.
    /// #[derive(Debug)]
    /// struct Printed(Arc<dyn Transport>);
    ///
    /// #[async_trait]
    /// impl Transport for Printed {
    ///     async fn send(&self, request: &Request, max_bytes: usize) -> Result<Reply, SendError> {
    ///         let reply = self.0.send(request, max_bytes).await?;
    ///         println!("{}", reply.status());
    ///         Ok(reply)
    ///     }
    /// }
    ///
    /// let client = ProviderClient::new(HyperTransport::new()?).map_transport(Printed);
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn map_transport<T: Transport>(&self, wrap: impl FnOnce(Arc<dyn Transport>) -> T) -> Self {
        Self {
            transport: Arc::new(wrap(Arc::clone(&self.transport))),
            ..self.clone()
        }
    }

    /// Creates the client of one adapter: the same transport, limits, base URLs and test keys, and a
    /// budget of retries and a limit of calls in flight of its own.
    ///
    /// The constructor of an adapter calls it. With a common budget, a provider that is down would
    /// use up the retries and the places of the others.
    #[must_use]
    pub fn for_adapter(&self) -> Self {
        Self {
            retries: Arc::default(),
            in_flight: Arc::new(InFlightLimit::new(self.limits.max_in_flight)),
            ..self.clone()
        }
    }

    /// Sets the timeouts and sizes. Default [`Limits::default`].
    ///
    /// ```
    /// use human_check_http::{Limits, MockTransport, ProviderClient, Reply};
    /// use std::time::Duration;
    ///
    /// let mut limits = Limits::default();
    /// limits.total_timeout = Duration::from_secs(1);
    /// let transport = MockTransport::always(Reply::new(503, ""));
    /// let client = ProviderClient::new(transport).with_limits(limits);
    /// ```
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.in_flight = Arc::new(InFlightLimit::new(limits.max_in_flight));
        self.limits = limits;
        self
    }

    /// Sets the host that requests of `provider` are sent to. Default the provider's own host.
    ///
    /// For an emulator, a regional host or a gateway. The path of each request is kept, and
    /// appended to the path of `base` if it has one. It applies to every request of the adapter,
    /// including those that sign in to Google Cloud. A second call for the same provider replaces
    /// the first.
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
        let others = others.filter(|known| !known.is_for(provider));
        let all = others.chain([BaseUrl::new(provider.clone(), base)]);
        self.base_urls = all.collect();
        self
    }

    /// Sets whether the adapters built with this client accept test secrets that their providers have
    /// published. Default: refused, when the adapter is built.
    ///
    /// Human verdicts from test keys carry `test_key` in their facts. A
    /// [`Policy`](human_check_core::Policy) refuses those unless it allows test keys, too.
    ///
    /// ```
    /// use human_check_core::TestKeyPolicy;
    /// use human_check_http::{MockTransport, ProviderClient, Reply};
    ///
    /// let client = ProviderClient::new(MockTransport::always(Reply::new(200, "{}")))
    ///     .with_test_keys(TestKeyPolicy::Allowed);
    /// assert!(client.test_keys().allowed());
    /// ```
    #[must_use]
    pub fn with_test_keys(mut self, policy: TestKeyPolicy) -> Self {
        self.test_keys = policy;
        self
    }

    /// Returns whether adapters accept published test secrets.
    pub fn test_keys(&self) -> TestKeyPolicy {
        self.test_keys
    }

    /// Returns the timeouts and sizes.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls the provider, judges its reply with `judge`, and emits the event of the check.
    ///
    /// The verdict that `judge` returns is redacted, and must meet the expectations of the
    /// submission; see [`Verdict::check_expectations`].
    ///
    /// # Errors
    ///
    /// [`CheckError`] if there is no reply within the total timeout, or `judge` returns one.
    ///
    /// # Cancellation
    ///
    /// Dropping the future aborts the request. If it was already sent, the token may be used up.
    pub async fn verify(
        &self,
        call: VerifyCall<'_>,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Result<Verdict, CheckError> {
        let start = Instant::now();
        let provider = call.provider;
        let result = self.ask(call, judge).await;
        self.report(provider, &result, start.elapsed());
        result.outcome
    }

    /// Calls the provider and judges its reply, like [`verify`](Self::verify), but emits no event.
    ///
    /// For adapters that make several calls for one check. They call [`report`](Self::report) once
    /// at the end.
    ///
    /// It runs in a span of tracing, `human_check.call`, with the field `provider`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future aborts the request. If it was already sent, the token may be used up.
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
        let Some(_place) = self.in_flight.enter(submission.client_ip()) else {
            // Clients can reach the limit on purpose, so it is no outage.
            let error = CheckError::new(ErrorKind::Declined, provider, "too-many-in-flight");
            let outcome = Err(error.with_token_unused());
            return CallOutcome {
                outcome,
                attempts: 0,
            };
        };
        let span = tracing::info_span!(
            target: "human_check",
            "human_check.call",
            provider = provider.name(),
        );
        let attempt = self.attempt(provider, request, resend, judge);
        let (outcome, attempts) = attempt.instrument(span).await;
        let outcome = redact::redact_outcome(outcome, secrets)
            .map(|verdict| verdict.check_expectations(submission));
        CallOutcome { outcome, attempts }
    }

    /// Emits the event of a check that took `took`: the message `checked`, of the target
    /// `human_check`.
    ///
    /// See [`report_check`] for its level and for the metrics.
    pub fn report(&self, provider: &Provider, result: &CallOutcome, took: Duration) {
        if !self.is_probe {
            report_check(provider, &result.outcome, result.attempts, took);
        }
    }

    /// Returns `refusal` as the verdict, without a call of the provider, and emits the event of the
    /// check.
    ///
    /// For a token that cannot be valid; see
    /// [`Submission::token_for`](human_check_core::Submission::token_for).
    ///
    /// # Errors
    ///
    /// None. The return type is that of [`verify`](Self::verify).
    pub fn refuse(&self, provider: &Provider, refusal: Refusal) -> Result<Verdict, CheckError> {
        let outcome = Ok(Verdict::NotHuman(refusal));
        if !self.is_probe {
            report_check(provider, &outcome, 0, Duration::ZERO);
        }
        outcome
    }

    /// Returns `error`, without a call of the provider, and emits the event of the check.
    ///
    /// # Errors
    ///
    /// Always `error`. The return type is that of [`verify`](Self::verify).
    pub fn fail(&self, provider: &Provider, error: CheckError) -> Result<Verdict, CheckError> {
        let outcome = Err(error);
        if !self.is_probe {
            report_check(provider, &outcome, 0, Duration::ZERO);
        }
        outcome
    }

    /// Makes a call that returns no verdict, such as signing in, and reads its reply with `read`.
    ///
    /// It emits no event. A request is repeated only if no byte of it was sent.
    ///
    /// # Errors
    ///
    /// [`CheckError`] if there is no reply within the total timeout, or `read` returns one.
    /// `secrets` are redacted in its codes.
    ///
    /// # Cancellation
    ///
    /// Dropping the future aborts the request, which the provider may have received.
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
        outcome.map_err(|error| redact::redact_error(error, secrets))
    }

    /// Applies the total timeout to several calls that belong to one check.
    ///
    /// # Errors
    ///
    /// The error of `calls`, or [`ErrorKind::Unavailable`] with the reason `timeout`.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops `calls`.
    pub async fn within_total_timeout<T>(
        &self,
        provider: &Provider,
        calls: impl Future<Output = Result<T, CheckError>>,
    ) -> Result<T, CheckError> {
        timeout(self.limits.total_timeout, calls)
            .await
            .unwrap_or_else(|_| Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout")))
    }

    /// Opens the connections to the provider before the first visitor needs one: as many as
    /// [`Limits::max_in_flight`] checks at the same time need with HTTP/2, at most eight.
    ///
    /// It also sends one GET without a token to `endpoint`. Any reply will do.
    ///
    /// # Errors
    ///
    /// [`CheckError`] if the provider cannot be reached.
    ///
    /// # Cancellation
    ///
    /// Dropping the future aborts the request.
    pub async fn prewarm(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
    ) -> Result<(), CheckError> {
        let opened = self.open_connections(provider, endpoint);
        self.within_total_timeout(provider, opened).await?;
        self.call(provider, Request::get(endpoint), &[], |_| Ok(()))
            .await
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

#[cfg(test)]
mod tests;
