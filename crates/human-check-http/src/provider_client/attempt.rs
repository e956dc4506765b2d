use std::time::Duration;

use human_check_core::{CheckError, ErrorKind, Provider};
use tokio::time::{Instant, sleep, timeout};

use super::{ProviderClient, ResendPolicy};
use crate::{Endpoint, Reply, Request, SendError, SendErrorKind};

impl ProviderClient {
    /// Sends the request, and a second time if `resend` and the budget of retries permit it.
    ///
    /// Returns the result and the number of attempts.
    pub(super) async fn attempt<T>(
        &self,
        provider: &Provider,
        request: Request,
        resend: ResendPolicy,
        read: impl Fn(&Reply) -> Result<T, CheckError>,
    ) -> (Result<T, CheckError>, u32) {
        let request = self.rebased(provider, request);
        // An hour at most, so that a very long timeout cannot overflow.
        let end = Instant::now() + self.limits.total_timeout.min(Duration::from_secs(3_600));
        self.retries.earn();
        let first = self.once(provider, &request, end, &read).await;
        let Err(error) = first else {
            return (first, 1);
        };
        if self.is_probe {
            return (Err(error), 1);
        }
        let may_repeat = error.kind() == ErrorKind::Unavailable
            && error.retry_after().is_none()
            && match resend {
                ResendPolicy::Unsent => !error.token_may_be_used(),
                ResendPolicy::Idempotent => true,
            };
        // A random pause, so that calls which failed together are not repeated together.
        let pause = Duration::from_millis(fastrand::u64(50..=250));
        if !may_repeat || Instant::now() + pause >= end || !self.retries.spend() {
            return (Err(error), 1);
        }
        sleep(pause).await;
        let second = self.once(provider, &request, end, &read).await;
        // If the first attempt may have used the token up, the failure of the second cannot change
        // that.
        let may_be_used = error.token_may_be_used();
        (
            second.map_err(|second| {
                if may_be_used {
                    second.with_token_used()
                } else {
                    second
                }
            }),
            2,
        )
    }

    /// Opens the connections that the allowed number of checks in flight needs.
    pub(super) async fn open_connections(
        &self,
        provider: &Provider,
        endpoint: &Endpoint,
    ) -> Result<(), CheckError> {
        let request = self.rebased(provider, Request::get(endpoint));
        let in_flight = self.limits.max_in_flight;
        let opened = self.transport.prewarm(request.endpoint(), in_flight).await;
        opened.map_err(|error| check_error(provider, error))
    }

    /// Returns the request with the base URL of `provider`, if one is set.
    fn rebased(&self, provider: &Provider, request: Request) -> Request {
        let mut known = self.base_urls.iter();
        match known.find(|known| known.is_for(provider)) {
            None => request,
            Some(base) => {
                let endpoint = base.endpoint(request.endpoint());
                request.with_endpoint(endpoint)
            }
        }
    }

    /// Makes one attempt, which ends at `end` or after the timeout of an attempt.
    async fn once<T>(
        &self,
        provider: &Provider,
        request: &Request,
        end: Instant,
        read: impl Fn(&Reply) -> Result<T, CheckError>,
    ) -> Result<T, CheckError> {
        let left = end.saturating_duration_since(Instant::now());
        let send = self.transport.send(request, self.limits.max_reply_bytes);
        match timeout(left.min(self.limits.attempt_timeout), send).await {
            Ok(Ok(reply)) => read(&reply),
            Ok(Err(error)) => Err(check_error(provider, error)),
            Err(_) => Err(CheckError::new(ErrorKind::Unavailable, provider, "timeout")),
        }
    }
}

/// Converts the error of a transport into the error of a check.
fn check_error(provider: &Provider, error: SendError) -> CheckError {
    match error.kind() {
        // An outdated list of certificate authorities is never an outage that opens routes.
        SendErrorKind::CertificateRejected => {
            CheckError::new(ErrorKind::Misconfigured, provider, "certificate-rejected")
                .with_token_unused()
        }
        SendErrorKind::ProxyRefused => {
            CheckError::new(ErrorKind::Misconfigured, provider, "proxy-credentials")
                .with_token_unused()
        }
        // Clients can cause it, so it is no outage.
        SendErrorKind::LocalTrouble => {
            CheckError::new(ErrorKind::Declined, provider, "no-local-socket").with_token_unused()
        }
        SendErrorKind::NotSent => {
            CheckError::new(ErrorKind::Unavailable, provider, "not-connected").with_token_unused()
        }
        SendErrorKind::Lost => CheckError::new(ErrorKind::Unavailable, provider, "connection-lost"),
        SendErrorKind::TooLarge => {
            CheckError::new(ErrorKind::Protocol, provider, "reply-too-large")
        }
    }
    .with_source(error)
}
