//! Verifies one token with a vendor.

use std::net::IpAddr;
use std::path::PathBuf;

use human_check::{ConfigError, Enforce, HumanCheck, Secret};
use human_check_http::{Exchange, HyperTransport};
use human_check_recaptcha::{Credential, ServiceAccount};

use crate::answer::Answer;
use crate::explain::Rules;
use crate::read_setting;
use human_check_config::{Setup, Vendor, base_url};

/// What to verify, and with what.
pub struct Verify {
    /// The vendor.
    pub vendor: Vendor,
    /// The token.
    pub token: String,
    /// Site key or app key.
    pub site_key: Option<String>,
    /// The secret from the environment.
    pub secret: Option<String>,
    /// A file that holds the secret, which comes before the environment.
    pub secret_file: Option<PathBuf>,
    /// A service account's key file.
    pub service_account: Option<PathBuf>,
    /// The Google Cloud project.
    pub project: Option<String>,
    /// Where to ask instead of the vendor.
    pub base_url: Option<String>,
    /// The visitor's address.
    pub client_ip: Option<IpAddr>,
    /// What the verdict must satisfy.
    pub rules: Rules,
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify")
            .field("vendor", &self.vendor)
            .finish_non_exhaustive()
    }
}

/// Asks the vendor.
///
/// # Errors
///
/// [`ConfigError`] when the question cannot be asked with these settings.
pub async fn run(question: Verify) -> Result<Answer, ConfigError> {
    let rules = &question.rules;
    let mut setup = Setup::new(question.vendor);
    setup.site_key = question.site_key;
    setup.project = question.project;
    setup.key = rules.enterprise_key();
    setup.min_score = rules.min_score;
    setup.max_risk = rules.max_risk;
    setup.testing = rules.testing();
    setup.base = question.base_url.as_deref().map(base_url).transpose()?;
    setup.secret = match (&question.secret_file, question.secret) {
        (Some(path), _) => Some(Secret::new(read_setting("secret_file", path)?)?),
        (None, Some(secret)) => Some(Secret::new(secret)?),
        (None, None) => None,
    };
    if let Some(path) = &question.service_account {
        let file = Secret::multiline(read_setting("service_account", path)?)?;
        setup.credential = Some(Credential::bearer(ServiceAccount::from_json(&file)?));
    }
    let mut policy = rules.policy()?;
    if let Some(score) = setup.policy_score()? {
        policy = policy.with_min_score(score);
    }
    let mut submission = rules
        .submission()?
        .with_token(question.vendor.provider(), question.token);
    if let Some(ip) = question.client_ip {
        submission = submission.with_client_ip(ip);
    }
    let exchange = Exchange::new(HyperTransport::new()?);
    let check = Enforce::new(setup.build(&exchange)?, policy)?;
    Ok(Answer::new(None, &check.check(&submission).await))
}
