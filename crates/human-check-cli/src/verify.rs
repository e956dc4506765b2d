//! Verifies one token with a provider.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use human_check_altcha::{ALTCHA, Keys, inspect};
use human_check_core::{
    Capabilities, ConfigError, Enforce, Facts, HumanCheck, MAX_TOKEN_BYTES, Secret, Submission,
    Verdict,
};
use human_check_http::adapter::TEST_SECRET_REMEDY;
use human_check_http::{HyperTransport, ProviderClient};
use human_check_recaptcha::{Credential, ServiceAccount};

use crate::setting::read_setting;
use human_check_config::{ProviderConfig, ProviderKind, parse_base_url};
use human_check_explain::{Explanation, Rules};

/// What to verify, and with what.
pub(crate) struct Verify {
    /// The provider.
    pub(crate) kind: ProviderKind,
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
    /// Where to ask instead of the provider.
    pub(crate) base_url: Option<String>,
    /// The visitor's address.
    pub(crate) client_ip: Option<IpAddr>,
    /// What the verdict must satisfy.
    pub(crate) rules: Rules,
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Asks the provider. An answer of altcha's is only looked into, so it stays good for its one use.
///
/// # Errors
///
/// [`ConfigError`] when the question cannot be asked with these settings.
pub(crate) async fn run(question: Verify) -> Result<Explanation, ConfigError> {
    let rules = &question.rules;
    let mut config = ProviderConfig::new(question.kind);
    config.site_key = question.site_key;
    config.project = question.project;
    config.enterprise_key = rules.enterprise_key();
    config.min_score = rules.min_score;
    config.max_risk = rules.max_risk;
    config.test_keys = rules.test_keys();
    config.base_url = question
        .base_url
        .as_deref()
        .map(parse_base_url)
        .transpose()?;
    config.secret = match (&question.secret_file, question.secret) {
        (Some(path), _) => Some(Secret::new(read_setting("secret_file", path)?)?),
        (None, Some(secret)) => Some(Secret::new(secret)?),
        (None, None) => None,
    };
    if let Some(path) = &question.service_account {
        let file = Secret::multiline(read_setting("service_account", path)?)?;
        config.credential = Some(Credential::bearer(ServiceAccount::from_json(&file)?));
    }
    let mut policy = rules.policy()?;
    if let Some(score) = config.policy_score()? {
        policy = policy.with_min_score(score);
    }
    let mut submission = rules
        .submission()?
        .with_token(question.kind.provider(), question.token);
    if let Some(ip) = question.client_ip {
        submission = submission.with_client_ip(ip);
    }
    if question.kind == ProviderKind::Altcha {
        // Looking tells nothing that a rule could be held to, and whoever gives one wants it held.
        policy.validate_for(Capabilities::nothing())?;
        return Ok(Explanation::new(
            None,
            &Ok(look(&submission, config.secret)?),
        ));
    }
    let client = ProviderClient::new(HyperTransport::new()?);
    let check = config.build(&client).map_err(in_terms_of_arguments)?;
    let check = Enforce::new(check, policy)?;
    Ok(Explanation::new(None, &check.check(&submission).await))
}

fn look(submission: &Submission, secret: Option<Secret>) -> Result<Verdict, ConfigError> {
    let secret = secret.ok_or_else(|| {
        let remedy = "set HUMAN_CHECK_SECRET or give --secret-file";
        ConfigError::new("secret", "is missing", remedy)
    })?;
    let keys = Keys::new(secret)?;
    let refusal = match submission.token_for(&ALTCHA, MAX_TOKEN_BYTES) {
        Ok(field) => inspect(field, &keys, SystemTime::now()),
        Err(refusal) => Some(refusal),
    };
    Ok(match refusal {
        Some(refusal) => refusal.into(),
        None => Verdict::Human(Facts::new(&ALTCHA)).check_expectations(submission),
    })
}

/// What to write instead, where the remedy of a library is about code or a file.
fn in_terms_of_arguments(error: ConfigError) -> ConfigError {
    let missing = error.problem() == "is missing";
    match error.field() {
        "secret" if error.remedy() == TEST_SECRET_REMEDY => {
            error.with_remedy("use the secret of your own site, or --allow-test-keys in a test")
        }
        "secret" if missing => error.with_remedy("set HUMAN_CHECK_SECRET or give --secret-file"),
        "site_key" if missing => error.with_remedy("set HUMAN_CHECK_SITE_KEY or give --site-key"),
        _ => error,
    }
}
