use std::time::Duration;

use human_check_core::{CheckError, ErrorKind, Provider};
use tokio::time::{Instant, sleep, timeout};

use super::{ProviderClient, ResendPolicy};
use crate::{Reply, Request, SendError, SendErrorKind};

impl ProviderClient {
    /// Sends, at most twice, until something can be said or the deadline is reached.
    pub(super) async fn attempt<T>(
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
                ResendPolicy::Unsent => !error.token_may_be_used(),
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
        let may_be_spent = error.token_may_be_used();
        (
            second.map_err(|second| {
                if may_be_spent {
                    second.with_token_used()
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
        match known.find(|known| known.is_for(provider)) {
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

fn failed(provider: &Provider, error: SendError) -> CheckError {
    match error.kind() {
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
