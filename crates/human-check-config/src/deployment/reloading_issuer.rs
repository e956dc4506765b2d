use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use human_check_core::{
    Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind, Provider,
};

use crate::issuer::Issuer;

/// The issuers of the configuration in force.
pub(crate) trait Issuers: Send + Sync + 'static {
    /// Returns the issuer of `provider`, or `None` when no account of that provider has a role.
    fn issuer(&self, provider: &Provider) -> Option<Issuer>;
}

/// An issuer that follows reloads: it passes each request to the issuer of the configuration in
/// force.
pub(crate) struct ReloadingIssuer {
    /// Finds the present issuer.
    pub(crate) issuers: Arc<dyn Issuers>,
    /// The provider whose challenges are issued.
    pub(crate) provider: &'static Provider,
}

#[async_trait]
impl ChallengeIssuer for ReloadingIssuer {
    fn provider(&self) -> &Provider {
        self.provider
    }

    /// # Errors
    ///
    /// `Declined` while no account of the provider has a role. Pages from before a reload may still
    /// fetch challenges then, which is no fault of the configuration.
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
