use std::fmt;

use async_trait::async_trait;
use human_check_core::{
    Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind, Provider,
};

use crate::Deployment;

/// Issues what the configuration of the moment issues.
pub(crate) struct Present {
    pub(crate) deployment: Deployment,
    pub(crate) provider: &'static Provider,
}

#[async_trait]
impl ChallengeIssuer for Present {
    fn provider(&self) -> &Provider {
        self.provider
    }

    /// # Errors
    ///
    /// `Declined` while the vendor is not in use: a page from before still asks, and nothing is wrong.
    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        match self.deployment.issuer(self.provider) {
            Some(issuer) => issuer.issue(request).await,
            None => Err(CheckError::new(
                ErrorKind::Declined,
                self.provider,
                "not-in-use",
            )),
        }
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Present({})", self.provider)
    }
}
