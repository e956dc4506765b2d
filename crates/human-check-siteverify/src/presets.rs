//! Presets: providers that a dialect describes completely.
//!
//! See docs/providers/siteverify.md#error-codes.

use http::HeaderName;
use human_check_core::{ConfigError, EvidenceKind, Provider, Reason};

use crate::Dialect;
use human_check_http::Endpoint;
use human_check_http::adapter::TokenFormat;
use human_check_http::adapter::siteverify::CodeClass;

/// The provider Cap Standalone, with the form field of its widget.
pub static CAP: Provider = Provider::new("cap", &["cap-token"]);

/// The provider CaptchaFox, with the form field of its widget.
pub static CAPTCHAFOX: Provider = Provider::new("captchafox", &["cf-captcha-response"]);

/// The provider Friendly Captcha, with the form field of its widget.
pub static FRIENDLY_CAPTCHA: Provider =
    Provider::new("friendly-captcha", &["frc-captcha-response"]);

/// The provider mCaptcha, with the form field of its widget.
pub static MCAPTCHA: Provider = Provider::new("mcaptcha", &["mcaptcha__token"]);

impl Dialect {
    /// Creates the dialect of Cap Standalone, a self-hosted proof of work. `instance` is the base
    /// URL of the server.
    ///
    /// Cap reports a verdict and no further fact. It refuses by HTTP statuses. The text "Invalid
    /// site key or secret" means a wrong secret with status 403. With status 404 it means an
    /// unknown site key or a token of another key. A visitor can cause the latter by typing, so it
    /// refuses without an alert.
    ///
    /// ```
    /// use human_check_http::Endpoint;
    /// use human_check_siteverify::Dialect;
    ///
    /// let instance = Endpoint::parse("https://cap.example.com")?;
    /// let dialect = Dialect::cap(&instance, "site-key")?;
    /// assert_eq!(dialect.provider().name(), "cap");
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// See docs/providers/siteverify.md#request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn cap(instance: &Endpoint, site_key: &str) -> Result<Self, ConfigError> {
        require_site_key(site_key)?;
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
            .with_status(404, MISMATCH, CodeClass::Refused(Reason::WrongSiteKey))
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
            // The token has not three parts, or the request lacks a member.
            .with_status(400, None, CodeClass::Refused(Reason::Invalid)))
    }

    /// Creates the dialect of CaptchaFox. Which statuses its codes come with is not established, so
    /// the rules are for the codes alone. [`SiteVerify::new`](crate::SiteVerify::new) refuses the
    /// secret that CaptchaFox publishes for tests (observed).
    ///
    /// See docs/providers/siteverify.md#request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn captchafox(site_key: &str) -> Result<Self, ConfigError> {
        require_site_key(site_key)?;
        Ok(Self::new(
            CAPTCHAFOX.clone(),
            Endpoint::literal("https://api.captchafox.com/siteverify"),
        )
        .with_test_secrets(&["ok_11111111000000001111111100000000"])
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

    /// Creates the dialect of Friendly Captcha v2, with the global endpoint.
    ///
    /// For the European endpoint, set `https://eu.frcapi.com` as the client's base URL
    /// ([`ProviderClient::with_base_url`](human_check_http::ProviderClient::with_base_url)). Until
    /// the challenge is solved, the widget fills the field with a word that begins with a dot; the
    /// check refuses such tokens as `missing`, without a call.
    ///
    /// See docs/providers/siteverify.md#request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank. Without a site key a token of any other site of
    /// the account would pass.
    pub fn friendly_captcha(site_key: &str) -> Result<Self, ConfigError> {
        require_site_key(site_key)?;
        Ok(Self::new(
            FRIENDLY_CAPTCHA.clone(),
            Endpoint::literal("https://global.frcapi.com/api/v2/captcha/siteverify"),
        )
        .with_json_body()
        .with_secret_header(HeaderName::from_static("x-api-key"))
        .with_client_ip_member(None)
        .with_constant("sitekey", site_key)
        .with_codes_at("error.error_code")
        .with_hostname_at(Some("data.challenge.origin"))
        .with_solved_at(Some("data.challenge.timestamp"))
        .with_unsolved_prefix('.')
        // The provider documents tokens of up to 16 KB.
        .with_token_format(TokenFormat::new(16_384))
        .with_code("response_invalid", CodeClass::Refused(Reason::Invalid))
        .with_code("response_timeout", CodeClass::Refused(Reason::Expired))
        .with_code("response_duplicate", CodeClass::Refused(Reason::Replayed))
        .with_code("response_missing", CodeClass::Refused(Reason::Missing))
        .with_code("bad_request", CodeClass::Misconfigured("request"))
        .with_code("sitekey_invalid", CodeClass::Misconfigured("site_key"))
        .with_code("auth_required", CodeClass::Misconfigured("secret"))
        .with_code("auth_invalid", CodeClass::Misconfigured("secret")))
    }

    /// Creates the dialect of mCaptcha, a self-hosted proof of work. `instance` is the base URL of
    /// the server.
    ///
    /// mCaptcha reports a verdict and no further fact. Which of its 400s a visitor can cause is not
    /// established, so all of them refuse without an alert.
    ///
    /// See docs/providers/siteverify.md#request.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn mcaptcha(instance: &Endpoint, site_key: &str) -> Result<Self, ConfigError> {
        require_site_key(site_key)?;
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
            .with_status(400, None, CodeClass::Refused(Reason::Other)))
    }
}

/// Refuses a blank site key.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank.
fn require_site_key(site_key: &str) -> Result<(), ConfigError> {
    if site_key.trim().is_empty() {
        return Err(ConfigError::new(
            "site_key",
            "is empty",
            "copy the site key from the provider's dashboard, as the page's widget uses it",
        ));
    }
    Ok(())
}
