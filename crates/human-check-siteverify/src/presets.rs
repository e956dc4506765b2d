//! Providers that a dialect describes whole. Contract: others.md.

use http::HeaderName;
use human_check_core::{ConfigError, EvidenceKind, Provider, Reason};

use crate::Dialect;
use human_check_http::Endpoint;
use human_check_http::adapter::siteverify::CodeClass;

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
            .with_json_body()
            .with_client_ip_member(None)
            .with_codes_at("error")
            .with_hostname_at(None)
            .with_solved_at(None)
            .with_evidence_kind(EvidenceKind::ProofOfWork)
            .with_status(
                404,
                MISMATCH,
                CodeClass::RefusedWithAlert(Reason::WrongSiteKey),
            )
            .with_status(403, MISMATCH, CodeClass::Misconfigured("secret"))
            .with_status(
                404,
                Some("Token not found"),
                CodeClass::Refused(Reason::Invalid),
            )
            .with_status(
                403,
                Some("Token expired"),
                CodeClass::Refused(Reason::Expired),
            )
            // A token that is not of three parts, or a request of ours that lacks something.
            .with_status(400, None, CodeClass::RefusedWithAlert(Reason::Invalid)))
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
        .with_code(
            "invalid-input-sitekey",
            CodeClass::RefusedWithAlert(Reason::WrongSiteKey),
        )
        .with_code(
            "expired-input-response",
            CodeClass::Refused(Reason::Expired),
        ))
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
        .with_json_body()
        .with_secret_header(HeaderName::from_static("x-api-key"))
        .with_client_ip_member(None)
        .with_constant("sitekey", site_key)
        .with_codes_at("error.error_code")
        .with_hostname_at(Some("data.challenge.origin"))
        .with_solved_at(Some("data.challenge.timestamp"))
        .with_unavailable_prefix('.')
        .with_code("response_invalid", CodeClass::Refused(Reason::Invalid))
        .with_code("response_timeout", CodeClass::Refused(Reason::Expired))
        .with_code("response_duplicate", CodeClass::Refused(Reason::Replayed))
        .with_code("response_missing", CodeClass::Refused(Reason::Missing))
        .with_code("bad_request", CodeClass::Misconfigured("request"))
        .with_code("sitekey_invalid", CodeClass::Misconfigured("site_key"))
        .with_code("auth_required", CodeClass::Misconfigured("secret"))
        .with_code("auth_invalid", CodeClass::Misconfigured("secret")))
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
            .with_json_body()
            .with_token_member("token")
            .with_client_ip_member(None)
            .with_constant("key", site_key)
            .with_success_at("valid")
            .with_codes_at("error")
            .with_hostname_at(None)
            .with_solved_at(None)
            .with_evidence_kind(EvidenceKind::ProofOfWork)
            .with_status(401, None, CodeClass::Misconfigured("secret"))
            .with_status(404, None, CodeClass::Misconfigured("site_key"))
            .with_status(400, None, CodeClass::RefusedWithAlert(Reason::Other)))
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
