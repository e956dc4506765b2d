//! Verifies one token with a vendor.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use human_check_altcha::{ALTCHA, Keys, look_into};
use human_check_core::{
    ConfigError, Enforce, Facts, HumanCheck, Reports, Secret, Submission, TOKEN_CAP, Verdict,
};
use human_check_http::{Exchange, HyperTransport};
use human_check_recaptcha::{Credential, ServiceAccount};

use crate::read_setting;
use human_check_config::{Setup, Vendor, base_url};
use human_check_explain::{Explanation, Rules};

/// What to verify, and with what.
pub(crate) struct Verify {
    /// The vendor.
    pub(crate) vendor: Vendor,
    /// The token.
    pub(crate) token: String,
    /// Site key or app key.
    pub(crate) site_key: Option<String>,
    /// The secret from the environment.
    pub(crate) secret: Option<String>,
    /// A file that holds the secret, which comes before the environment.
    pub(crate) secret_file: Option<PathBuf>,
    /// A service account's key file.
    pub(crate) service_account: Option<PathBuf>,
    /// The Google Cloud project.
    pub(crate) project: Option<String>,
    /// Where to ask instead of the vendor.
    pub(crate) base_url: Option<String>,
    /// The visitor's address.
    pub(crate) client_ip: Option<IpAddr>,
    /// What the verdict must satisfy.
    pub(crate) rules: Rules,
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify")
            .field("vendor", &self.vendor)
            .finish_non_exhaustive()
    }
}

/// Asks the vendor. An answer of altcha's is only looked into, so it stays good for its one use.
///
/// # Errors
///
/// [`ConfigError`] when the question cannot be asked with these settings.
pub(crate) async fn run(question: Verify) -> Result<Explanation, ConfigError> {
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
    if question.vendor == Vendor::Altcha {
        // Looking tells nothing that a rule could be held to, and whoever gives one wants it held.
        policy.applicable_to(Reports::nothing())?;
        return Ok(Explanation::new(
            None,
            &Ok(look(&submission, setup.secret)?),
        ));
    }
    let exchange = Exchange::new(HyperTransport::new()?);
    let check = Enforce::new(setup.build(&exchange)?, policy)?;
    Ok(Explanation::new(None, &check.check(&submission).await))
}

fn look(submission: &Submission, secret: Option<Secret>) -> Result<Verdict, ConfigError> {
    let secret = secret.ok_or_else(|| {
        let remedy = "set HUMAN_CHECK_SECRET or give --secret-file";
        ConfigError::new("secret", "is missing", remedy)
    })?;
    let keys = Keys::new(secret)?;
    let refusal = match submission.token(&ALTCHA, TOKEN_CAP) {
        Ok(field) => look_into(field, &keys, SystemTime::now()),
        Err(refusal) => Some(refusal),
    };
    Ok(match refusal {
        Some(refusal) => refusal.into(),
        None => Verdict::Human(Facts::new(&ALTCHA)).held_to(submission),
    })
}
