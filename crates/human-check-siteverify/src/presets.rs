//! Vendors that a dialect describes whole. Contract: others.md.

use http::HeaderName;
use human_check_core::{Assurance, ConfigError, Provider, Reason};

use crate::Dialect;
use human_check_http::Endpoint;
use human_check_http::siteverify::Blame;

impl Dialect {
    /// Cap Standalone. `instance` is its base URL.
    ///
    /// Contract: others.md section 2a. It reports nothing but yes or no, and refuses with HTTP
    /// statuses; "Invalid site key or secret" is a wrong secret on 403, and on 404 an unknown site
    /// key *or a token of another key*, which a visitor can provoke.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn cap(instance: &Endpoint, site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static CAP: Provider = Provider::new("cap", &["cap-token"]);
        const MISMATCH: Option<&str> = Some("Invalid site key or secret");
        let path = format!(
            "{}/{site_key}/siteverify",
            instance.url().path().trim_end_matches('/')
        );
        Ok(Self::new(CAP.clone(), instance.at_path(&path))
            .sending_json()
            .with_client_ip_member(None)
            .with_codes_at("error")
            .with_hostname_at(None)
            .with_solved_at(None)
            .with_assurance(Assurance::ProofOfWork)
            .blaming_status(404, MISMATCH, Blame::Suspect(Reason::WrongSiteKey))
            .blaming_status(403, MISMATCH, Blame::Owner("secret"))
            .blaming_status(
                404,
                Some("Token not found"),
                Blame::Visitor(Reason::Invalid),
            )
            .blaming_status(403, Some("Token expired"), Blame::Visitor(Reason::Expired))
            // A token that is not of three parts, or a request of ours that lacks something.
            .blaming_status(400, None, Blame::Suspect(Reason::Invalid)))
    }

    /// `CaptchaFox`. Contract: others.md section 4; its statuses are not established, so only the codes count.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn captchafox(site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static CAPTCHAFOX: Provider = Provider::new("captchafox", &["cf-captcha-response"]);
        Ok(Self::new(
            CAPTCHAFOX.clone(),
            Endpoint::literal("https://api.captchafox.com/siteverify"),
        )
        .with_client_ip_member(Some("remoteIp"))
        .with_constant("sitekey", site_key)
        .blaming(
            "invalid-input-sitekey",
            Blame::Suspect(Reason::WrongSiteKey),
        )
        .blaming("expired-input-response", Blame::Visitor(Reason::Expired)))
    }

    /// Friendly Captcha v2, global endpoint. Contract: others.md section 3.
    ///
    /// Its widget fills the field with words that begin with a dot until it is done; those are
    /// "not answered" and are not asked about.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank: without one a token of any site of the account passes.
    pub fn friendly_captcha(site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static FRIENDLY: Provider = Provider::new("friendly-captcha", &["frc-captcha-response"]);
        Ok(Self::new(
            FRIENDLY.clone(),
            Endpoint::literal("https://global.frcapi.com/api/v2/captcha/siteverify"),
        )
        .sending_json()
        .with_secret_header(HeaderName::from_static("x-api-key"))
        .with_client_ip_member(None)
        .with_constant("sitekey", site_key)
        .with_codes_at("error.error_code")
        .with_hostname_at(Some("data.challenge.origin"))
        .with_solved_at(Some("data.challenge.timestamp"))
        .with_unanswered_prefix('.')
        .blaming("response_invalid", Blame::Visitor(Reason::Invalid))
        .blaming("response_timeout", Blame::Visitor(Reason::Expired))
        .blaming("response_duplicate", Blame::Visitor(Reason::Spent))
        .blaming("response_missing", Blame::Visitor(Reason::Missing))
        .blaming("bad_request", Blame::Owner("request"))
        .blaming("sitekey_invalid", Blame::Owner("site_key"))
        .blaming("auth_required", Blame::Owner("secret"))
        .blaming("auth_invalid", Blame::Owner("secret")))
    }

    /// mCaptcha. `instance` is its base URL. Contract: others.md section 5.
    ///
    /// It reports nothing but yes or no. Which of its 400s a visitor can provoke is not
    /// established, so they refuse and tell the owner.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn mcaptcha(instance: &Endpoint, site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static MCAPTCHA: Provider = Provider::new("mcaptcha", &["mcaptcha__token"]);
        let path = format!(
            "{}/api/v1/pow/siteverify",
            instance.url().path().trim_end_matches('/')
        );
        Ok(Self::new(MCAPTCHA.clone(), instance.at_path(&path))
            .sending_json()
            .with_token_member("token")
            .with_client_ip_member(None)
            .with_constant("key", site_key)
            .with_success_at("valid")
            .with_codes_at("error")
            .with_hostname_at(None)
            .with_solved_at(None)
            .with_assurance(Assurance::ProofOfWork)
            .blaming_status(401, None, Blame::Owner("secret"))
            .blaming_status(404, None, Blame::Owner("site_key"))
            .blaming_status(400, None, Blame::Suspect(Reason::Other)))
    }
}

fn stated(site_key: &str) -> Result<(), ConfigError> {
    if site_key.trim().is_empty() {
        return Err(ConfigError::new(
            "site_key",
            "is empty",
            "copy the site key that the page shows",
        ));
    }
    Ok(())
}
