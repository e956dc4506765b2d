use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use human_check_core::{
    Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind, Provider,
};

use crate::issuer::Issuer;

/// Who knows what issues challenges in the configuration in force.
pub(crate) trait Issuers: Send + Sync + 'static {
    fn issuer(&self, provider: &Provider) -> Option<Issuer>;
}

/// Issues what the configuration in force issues.
pub(crate) struct ReloadingIssuer {
    pub(crate) issuers: Arc<dyn Issuers>,
    pub(crate) provider: &'static Provider,
}

#[async_trait]
impl ChallengeIssuer for ReloadingIssuer {
    fn provider(&self) -> &Provider {
        self.provider
    }

    /// # Errors
    ///
    /// `Declined` while the account is not in use: a page from before still asks, and nothing is wrong.
    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        match self.issuers.issuer(self.provider) {
            Some(issuer) => issuer.issue(request).await,
            None => Err(CheckError::new(
                ErrorKind::Declined,
                self.provider,
                "not-in-use",
            )),
        }
    }
}

impl fmt::Debug for ReloadingIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReloadingIssuer({})", self.provider)
    }
}
