use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{ClaimError, Claimed, ReplayStore, TokenId};

/// A store that is given up after a while. For a check that claims by itself: a [`Timeout`] around the
/// whole check would make an outage of it, and routes may fail open on one.
///
/// [`Timeout`]: human_check_core::Timeout
#[derive(Debug)]
pub(crate) struct TimeoutStore {
    pub(crate) store: Arc<dyn ReplayStore>,
    pub(crate) timeout: Duration,
}

#[async_trait]
impl ReplayStore for TimeoutStore {
    fn max_ttl(&self) -> Duration {
        self.store.max_ttl()
    }

    async fn claim(&self, token: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        let claimed = tokio::time::timeout(self.timeout, self.store.claim(token, ttl)).await;
        claimed.unwrap_or_else(|_| Err(ClaimError::new("store-timeout")))
    }
}

#[cfg(test)]
mod tests {
    use human_check_altcha::{ALTCHA, Altcha, Difficulty, Keys};
    use human_check_core::{CheckError, ErrorKind, HumanCheck, Secret, Submission};

    use super::*;

    /// Never answers.
    #[derive(Debug)]
    struct Hung;

    #[async_trait]
    impl ReplayStore for Hung {
        fn max_ttl(&self) -> Duration {
            Duration::from_secs(600)
        }

        async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_no_outage_that_fails_open() {
        use human_check_core::{ChallengeIssuer, ChallengeRequest, Timeout};

        let store = TimeoutStore {
            store: Arc::new(Hung),
            timeout: Duration::from_secs(1),
        };
        let secret = Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa").unwrap();
        let altcha = Altcha::new(Keys::new(secret).unwrap(), "www.example.com", store).unwrap();
        let altcha = Arc::new(altcha.with_difficulty(Difficulty::sha().with_tries(9).unwrap()));
        let challenge = altcha.issue(&ChallengeRequest::new()).await.unwrap();
        let field = human_check_testkit::solve(challenge.json()).unwrap();
        let check = Timeout::new(altcha, Duration::from_secs(3));
        let outcome = check
            .check(&Submission::new().with_token(&ALTCHA, field))
            .await;
        let kind = outcome.as_ref().map_err(CheckError::kind);
        assert_eq!(kind.unwrap_err(), ErrorKind::StoreUnavailable);
    }
}
