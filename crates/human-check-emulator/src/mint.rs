use std::time::Duration;

use serde::Deserialize;

use crate::state::{State, Token};

/// A description of the token to mint.
///
/// [`Mint::for_provider`] describes the token of a human on the first built-in account, minted at
/// this moment. Each setter changes one property. A setter that a provider has no use for has no
/// effect, except [`Mint::with_kind`].
///
/// ```
/// use human_check_emulator::{Emulator, Mint};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let emulator = Emulator::start().await.unwrap();
/// let expired = Mint::for_provider("hcaptcha").with_age(Duration::from_secs(600));
/// let token = emulator.mint(&expired).unwrap();
/// assert!(token.starts_with("P1_"));
/// # });
/// ```
///
/// The JSON form, for the control API, has the members `provider` (required), `site_key`,
/// `hostname`, `action`, `binding`, `score`, `age_s`, `unsolved`, `browser_error`, `interactive`,
/// `app`, `user_ip`, `kind`, `length` and `server_token`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mint {
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) site_key: Option<String>,
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    #[serde(default)]
    pub(crate) action: Option<String>,
    #[serde(default)]
    pub(crate) binding: Option<String>,
    #[serde(default)]
    pub(crate) score: Option<f64>,
    #[serde(default)]
    pub(crate) age_s: u64,
    #[serde(default)]
    pub(crate) unsolved: bool,
    #[serde(default)]
    pub(crate) browser_error: bool,
    #[serde(default)]
    pub(crate) interactive: bool,
    #[serde(default)]
    pub(crate) app: Option<String>,
    #[serde(default)]
    pub(crate) user_ip: Option<String>,
    #[serde(default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) length: Option<usize>,
    #[serde(default)]
    pub(crate) server_token: Option<String>,
}

/// The longest token, in bytes. It is longer than every limit of human-check, for tests of them.
const MAX_LENGTH: usize = 65_536;

/// The error of a token that cannot be minted. Its text says why, or is CaptchaLa's code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MintError(pub(crate) String);

impl std::fmt::Display for MintError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MintError {}

impl Mint {
    /// Creates the description of a valid token of this provider, such as `turnstile`.
    ///
    /// The names are those of [`EmulatedAccount::provider`](crate::EmulatedAccount::provider).
    pub fn for_provider(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            site_key: None,
            hostname: None,
            action: None,
            binding: None,
            score: None,
            age_s: 0,
            unsolved: false,
            browser_error: false,
            interactive: false,
            app: None,
            user_ip: None,
            kind: None,
            length: None,
            server_token: None,
        }
    }

    /// Sets the site key of the account that the token belongs to. Default: the provider's first
    /// built-in account.
    ///
    /// For the token of a foreign site, use the second account of
    /// [`EmulatedAccount::built_in`](crate::EmulatedAccount::built_in).
    #[must_use]
    pub fn with_site_key(mut self, site_key: impl Into<String>) -> Self {
        self.site_key = Some(site_key.into());
        self
    }

    /// Sets the host on which the challenge was solved. Default: `www.example.com`.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Sets the action of the widget. Default: none.
    ///
    /// Turnstile, reCAPTCHA v3, reCAPTCHA Enterprise and CaptchaLa report it.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Sets the value that the token is bound to. Default: none.
    ///
    /// Turnstile reports it as `cdata`, CaptchaLa as `uid`.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// Sets the score, on the provider's own scale.
    ///
    /// reCAPTCHA v3 and Enterprise: 0.0 is a bot, 1.0 is a human; default 0.9. hCaptcha: a risk,
    /// 0.0 is a human; default no score, or 0.1 with the knob `hcaptcha_enterprise`. CaptchaLa: a
    /// risk from 0 to 100; default 12. Other providers have no score.
    #[must_use]
    pub fn with_score(mut self, score: f64) -> Self {
        self.score = Some(score);
        self
    }

    /// Sets how long ago the challenge was solved, in whole seconds. Default: 0.
    #[must_use]
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age_s = age.as_secs();
        self
    }

    /// Describes a token without a solved challenge, which the provider refuses.
    #[must_use]
    pub fn with_unsolved(mut self) -> Self {
        self.unsolved = true;
        self
    }

    /// Describes a token of a visitor who had to click. Turnstile reports this in `metadata`.
    #[must_use]
    pub fn with_interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// Describes a token that reCAPTCHA refuses with `browser-error` (Enterprise: `BROWSER_ERROR`),
    /// as when the page's host does not belong to the site key.
    #[must_use]
    pub fn with_browser_error(mut self) -> Self {
        self.browser_error = true;
        self
    }

    /// Sets the package of the app in which the challenge was solved, in place of a page.
    ///
    /// reCAPTCHA and CaptchaLa report it in place of the host.
    #[must_use]
    pub fn with_app(mut self, app: impl Into<String>) -> Self {
        self.app = Some(app.into());
        self
    }

    /// Sets the client address that solved the challenge. Only CaptchaLa uses it: it reports the
    /// address, and compares it with that of a server token.
    #[must_use]
    pub fn with_user_ip(mut self, ip: impl Into<String>) -> Self {
        self.user_ip = Some(ip.into());
        self
    }

    /// Sets the kind of a CaptchaLa token: `pass`, `degraded` or `offline`. Default: `pass`, or
    /// `degraded` with the knob `quota_used_up`. Other providers have no kinds, and minting fails.
    ///
    /// See docs/providers/captchala.md#token-kinds.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets the length of the token, in bytes. Default: 480; at least the token's prefix and 32
    /// bytes, at most 65,536.
    ///
    /// Tokens of CaptchaLa and Cap have a fixed length.
    #[must_use]
    pub fn with_length(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Sets the server token of CaptchaLa with which the challenge was solved. Its action and uid
    /// replace those of this description. Default: none.
    ///
    /// See docs/providers/captchala.md#server-tokens.
    #[must_use]
    pub fn with_server_token(mut self, token: impl Into<String>) -> Self {
        self.server_token = Some(token.into());
        self
    }
}

impl State {
    /// Mints and stores a token.
    pub(crate) fn mint(&mut self, mint: &Mint) -> Result<String, MintError> {
        let mut accounts = self
            .accounts
            .iter()
            .filter(|account| account.provider == mint.provider);
        let account = match &mint.site_key {
            None => accounts
                .next()
                .ok_or_else(|| format!("there is no provider {:?}", mint.provider)),
            Some(key) => accounts
                .find(|account| account.site_key == *key)
                .ok_or_else(|| format!("{} has no site key {key:?}", mint.provider)),
        };
        let account = account.map_err(MintError)?.clone();
        if mint.length.is_some_and(|length| length > MAX_LENGTH) {
            return Err(MintError(format!("length is over {MAX_LENGTH} bytes")));
        }
        let mut token = Token {
            provider: account.provider.clone(),
            site_key: account.site_key,
            hostname: mint
                .hostname
                .clone()
                .unwrap_or_else(|| "www.example.com".to_owned()),
            action: mint.action.clone(),
            binding: mint.binding.clone(),
            score: mint.score,
            issued: self
                .now()
                .checked_sub(Duration::from_secs(mint.age_s))
                .ok_or_else(|| MintError("age_s is too large".to_owned()))?,
            solved: !mint.unsolved,
            browser_error: mint.browser_error,
            interactive: mint.interactive,
            app: mint.app.clone(),
            user_ip: mint.user_ip.clone(),
            redeemed: None,
        };
        let prefix = match (mint.provider.as_str(), mint.kind.as_deref()) {
            ("captchala", kind) => {
                self.use_server_token(mint, &mut token)?;
                match kind {
                    None if self.knobs.quota_used_up => "dg_",
                    None | Some("pass") => "pt_",
                    Some("degraded") => "dg_",
                    Some("offline") => "offline_",
                    Some(kind) => return Err(MintError(format!("captchala has no kind {kind:?}"))),
                }
            }
            (_, Some(_)) => return Err(MintError("only captchala has kinds".to_owned())),
            ("turnstile", None) => "0.",
            ("hcaptcha", None) => "P1_",
            ("cap", None) => "",
            (provider, None) if provider.starts_with("recaptcha") => "03A",
            _ => "",
        };
        let text = if mint.provider == "cap" {
            format!("{}:{}:{}", token.site_key, hex(16), hex(30))
        } else if mint.provider == "captchala" {
            format!("{prefix}{}", hex(32))
        } else {
            let length = mint.length.unwrap_or(480).max(prefix.len() + 32);
            let tail = std::iter::repeat_with(fastrand::alphanumeric).take(length - prefix.len());
            prefix.chars().chain(tail).collect()
        };
        let max = self.knobs.max_given_out();
        self.tokens.insert(text.clone(), token, max);
        Ok(text)
    }

    /// Counts one use of the server token, and copies its action and uid to `token`.
    ///
    /// The error is CaptchaLa's code.
    fn use_server_token(&mut self, mint: &Mint, token: &mut Token) -> Result<(), MintError> {
        let fail = |code: &str| Err(MintError(code.to_owned()));
        let now = self.now();
        let Some(text) = &mint.server_token else {
            return if self.knobs.server_token_required {
                fail("server_token_required")
            } else {
                Ok(())
            };
        };
        let Some(server) = self.server_tokens.get_mut(text) else {
            return fail("server_token_invalid");
        };
        if server.site_key != token.site_key {
            return fail("server_token_app_mismatch");
        }
        if server.expires <= now {
            return fail("server_token_expired");
        }
        if server.uses_left == 0 {
            return fail("server_token_exhausted");
        }
        if server.ip.is_some() && server.ip != mint.user_ip {
            return fail("server_token_binding_mismatch");
        }
        server.uses_left -= 1;
        token.action = Some(server.action.clone());
        token.binding.clone_from(&server.uid);
        Ok(())
    }
}

/// Returns random hexadecimal digits.
pub(crate) fn hex(digits: usize) -> String {
    std::iter::repeat_with(|| fastrand::digit(16))
        .take(digits)
        .collect()
}
