use std::time::Duration;

use serde::Deserialize;

use crate::state::{State, Token};

/// Which token to make. What is left out is what an honest visitor's token would have.
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

/// Longer tokens than any provider's, for tests of caps.
const LONGEST: usize = 65_536;

/// A token that cannot be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MintError(pub(crate) String);

impl std::fmt::Display for MintError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MintError {}

impl Mint {
    /// A good token of our own site, by the name of the provider's provider.
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

    /// Made on another site: the second built-in one is `EmulatedAccount::built_in()`'s, with a key that ends in 2.
    #[must_use]
    pub fn with_site_key(mut self, site_key: impl Into<String>) -> Self {
        self.site_key = Some(site_key.into());
        self
    }

    /// Solved on this host. Default `www.example.com`.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Solved for this action.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Tied to this value (cdata, uid).
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// With this score, on the provider's own scale.
    #[must_use]
    pub fn with_score(mut self, score: f64) -> Self {
        self.score = Some(score);
        self
    }

    /// Solved this long ago.
    #[must_use]
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age_s = age.as_secs();
        self
    }

    /// Handed out although the challenge was not solved.
    #[must_use]
    pub fn with_unsolved(mut self) -> Self {
        self.unsolved = true;
        self
    }

    /// Turnstile: the visitor had to do something.
    #[must_use]
    pub fn with_interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// Rejection by the browser side, as when the page's domain is not the key's.
    #[must_use]
    pub fn with_browser_error(mut self) -> Self {
        self.browser_error = true;
        self
    }

    /// Solved in this app instead of on a page.
    #[must_use]
    pub fn with_app(mut self, app: impl Into<String>) -> Self {
        self.app = Some(app.into());
        self
    }

    /// Solved from this address.
    #[must_use]
    pub fn with_user_ip(mut self, ip: impl Into<String>) -> Self {
        self.user_ip = Some(ip.into());
        self
    }

    /// A kind of `CaptchaLa` token: `pass`, `degraded` or `offline`.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Padded to this many bytes.
    #[must_use]
    pub fn with_length(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Solved with this server token of `CaptchaLa`.
    #[must_use]
    pub fn with_server_token(mut self, token: impl Into<String>) -> Self {
        self.server_token = Some(token.into());
        self
    }
}

impl State {
    pub(crate) fn mint(&mut self, mint: &Mint) -> Result<String, MintError> {
        let mut sites = self
            .sites
            .iter()
            .filter(|site| site.provider == mint.provider);
        let site = match &mint.site_key {
            None => sites
                .next()
                .ok_or_else(|| format!("there is no provider {:?}", mint.provider)),
            Some(key) => sites
                .find(|site| site.site_key == *key)
                .ok_or_else(|| format!("{} has no site {key:?}", mint.provider)),
        };
        let site = site.map_err(MintError)?.clone();
        if mint.length.is_some_and(|length| length > LONGEST) {
            return Err(MintError(format!("length is over {LONGEST} bytes")));
        }
        let mut token = Token {
            provider: site.provider.clone(),
            site_key: site.site_key,
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
                .ok_or_else(|| MintError("age_s goes back before all time".to_owned()))?,
            solved: !mint.unsolved,
            browser_error: mint.browser_error,
            interactive: mint.interactive,
            app: mint.app.clone(),
            user_ip: mint.user_ip.clone(),
            redeemed: None,
        };
        let prefix = match (mint.provider.as_str(), mint.kind.as_deref()) {
            ("captchala", kind) => {
                self.spend_server_token(mint, &mut token)?;
                match kind {
                    None if self.knobs.quota_spent => "dg_",
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
        self.tokens.insert(text.clone(), token);
        Ok(text)
    }

    fn spend_server_token(&mut self, mint: &Mint, token: &mut Token) -> Result<(), MintError> {
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

pub(crate) fn hex(digits: usize) -> String {
    std::iter::repeat_with(|| fastrand::digit(16))
        .take(digits)
        .collect()
}
