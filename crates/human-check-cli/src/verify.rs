//! `verify`: verifies one token with a provider.
//!
//! It uses the adapter, the rules and the HTTP client of production, and no circuit breaker and no
//! replay store.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
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
use human_check_config::{ProviderConfig, ProviderKind, load_account, parse_base_url};
use human_check_explain::{Explanation, Rules};

/// The token, the settings of the account, and the rules.
pub(crate) struct VerifyOptions {
    /// The kind of provider.
    pub(crate) kind: ProviderKind,
    /// The token.
    pub(crate) token: String,
    /// The site key or app key.
    pub(crate) site_key: Option<String>,
    /// The secret from the environment.
    pub(crate) secret: Option<String>,
    /// The file with the secret, which takes precedence over the environment.
    pub(crate) secret_file: Option<PathBuf>,
    /// The key file of a service account.
    pub(crate) service_account: Option<PathBuf>,
    /// The Google Cloud project.
    pub(crate) project: Option<String>,
    /// The base URL to call instead of the provider.
    pub(crate) base_url: Option<String>,
    /// The visitor's address.
    pub(crate) client_ip: Option<IpAddr>,
    /// The rules that the verdict must satisfy.
    pub(crate) rules: Rules,
}

impl std::fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Verifies the token with the provider. A token of altcha is inspected and not claimed, so it can
/// still be used once.
///
/// # Errors
///
/// [`ConfigError`] when a setting is missing or wrong.
pub(crate) async fn run(options: VerifyOptions) -> Result<Explanation, ConfigError> {
    let rules = &options.rules;
    let mut config = ProviderConfig::new(options.kind);
    config.site_key = options.site_key;
    config.project = options.project;
    config.enterprise_key = rules.enterprise_key();
    config.min_score = rules.min_score;
    config.max_risk = rules.max_risk;
    config.test_keys = rules.test_keys();
    config.base_url = options
        .base_url
        .as_deref()
        .map(parse_base_url)
        .transpose()?;
    config.secret = match (&options.secret_file, options.secret) {
        (Some(path), _) => Some(Secret::new(read_setting("secret_file", path)?)?),
        (None, Some(secret)) => Some(Secret::new(secret)?),
        (None, None) => None,
    };
    if let Some(path) = &options.service_account {
        let file = Secret::multiline(read_setting("service_account", path)?)?;
        config.credential = Some(Credential::bearer(ServiceAccount::from_json(&file)?));
    }
    let mut policy = rules.policy()?;
    if let Some(score) = config.policy_score()? {
        policy = policy.with_min_score(score);
    }
    let mut submission = rules
        .submission()?
        .with_token(options.kind.provider(), options.token);
    if let Some(ip) = options.client_ip {
        submission = submission.with_client_ip(ip);
    }
    if options.kind == ProviderKind::Altcha {
        // An inspection reports no fact, so no rule can be checked. A rule that is set is an error.
        policy.validate_for(Capabilities::nothing())?;
        return Ok(Explanation::new(
            None,
            &Ok(inspect_altcha(&submission, config.secret)?),
        ));
    }
    let client = ProviderClient::new(HyperTransport::new()?);
    let check = config.build(&client).map_err(in_terms_of_arguments)?;
    let check = Enforce::new(check, policy)?;
    Ok(Explanation::new(None, &check.check(&submission).await))
}

/// Verifies the token with an account of a configuration file, with the account's own rules and
/// those in `rules`.
///
/// # Errors
///
/// [`ConfigError`] when the file has a mistake, or has several accounts and none is named.
pub(crate) async fn run_account(
    file: &Path,
    name: Option<&str>,
    token: String,
    client_ip: Option<IpAddr>,
    rules: &Rules,
) -> Result<Explanation, ConfigError> {
    let account = load_account(file, name)?;
    let mut submission = rules.submission()?;
    if let Some(ip) = client_ip {
        submission = submission.with_client_ip(ip);
    }
    let policy = rules.policy()?;
    if account.config.kind == ProviderKind::Altcha {
        policy.validate_for(Capabilities::nothing())?;
        let submission = submission.with_token(&ALTCHA, token);
        let inspected = inspect_altcha(&submission, account.config.secret)?;
        return Ok(Explanation::new(None, &Ok(inspected)));
    }
    let client = ProviderClient::new(HyperTransport::new()?);
    let place = format!("{}: providers.{}", file.display(), account.name);
    let placed = |error: ConfigError| {
        let field = format!("{place}.{}", error.field());
        error.with_field(field)
    };
    let check = Enforce::new(account.build(&client).map_err(placed)?, policy)?;
    let submission = submission.with_token(&check.providers()[0].clone(), token);
    Ok(Explanation::new(None, &check.check(&submission).await))
}

/// Inspects signature, work and expiry of a token of altcha. It is not claimed.
fn inspect_altcha(submission: &Submission, secret: Option<Secret>) -> Result<Verdict, ConfigError> {
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

/// Replaces remedies about code or a file by remedies about arguments.
fn in_terms_of_arguments(error: ConfigError) -> ConfigError {
    let missing = error.problem() == "is missing";
    match error.field() {
        "secret" if error.remedy() == TEST_SECRET_REMEDY => {
            error.with_remedy("use the keys of your own site, or --allow-test-keys in a test")
        }
        "secret" if missing => error.with_remedy("set HUMAN_CHECK_SECRET or give --secret-file"),
        "site_key" if missing => error.with_remedy("set HUMAN_CHECK_SITE_KEY or give --site-key"),
        _ => error,
    }
}
