mod attempt;
mod base_url;
mod report;
mod verify_call;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::adapter::RetryBudget;
use human_check_core::{CheckError, ErrorKind, Provider, Refusal, Verdict};
use tokio::time::{Instant, timeout};

use crate::limits::Limits;
use crate::{Endpoint, Reply, Request, Transport, redact};
use base_url::BaseUrl;
use report::report;
pub use verify_call::{CallOutcome, ResendPolicy, VerifyCall};

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
        let others = others.filter(|known| !known.is_for(provider));
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
