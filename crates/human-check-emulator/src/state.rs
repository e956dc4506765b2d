//! What the emulated providers remember.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::Clock;
use serde::Deserialize;
use serde_json::Value;

use crate::emulated_account::EmulatedAccount;
use crate::fault::Faults;
use crate::http::RecordedRequest;
use crate::kept::Kept;

/// How many requests are remembered.
/// Providers are sent a kilobyte or two.
const MOST_OF_A_BODY: usize = 16_384;

const MOST_SEEN: usize = 10_000;

pub(crate) struct State {
    clock: Arc<dyn Clock>,
    pub(crate) sites: Vec<EmulatedAccount>,
    pub(crate) tokens: Kept<Token>,
    pub(crate) server_tokens: Kept<ServerToken>,
    /// Access tokens of the emulated Google Cloud, and when they end.
    pub(crate) access_tokens: Kept<SystemTime>,
    /// Names of assessments, which may be annotated.
    pub(crate) assessments: Kept<()>,
    pub(crate) knobs: Knobs,
    pub(crate) faults: Faults,
    pub(crate) seen: VecDeque<RecordedRequest>,
    pub(crate) connections: usize,
}

/// Settings of the emulated services.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Knobs {
    /// Every provider's tokens live no longer than this, at the widget and at the service.
    pub token_ttl_ms: Option<u64>,
    /// Widgets give up waiting for a click after this.
    pub challenge_ttl_ms: Option<u64>,
    /// Widgets hand out what a bot would get: a bad score, or where the provider gives none a token that is
    /// refused.
    pub visitors_are_bots: bool,
    /// Turnstile: testing secrets take only the dummy token, as the documentation says.
    pub strict_test_tokens: bool,
    /// hCaptcha: every answer has a score, as for Enterprise accounts.
    pub hcaptcha_enterprise: bool,
    /// reCAPTCHA and `CaptchaLa`: the monthly quota is spent.
    pub quota_spent: bool,
    /// Enterprise: too many requests a minute. `CaptchaLa`: rate limited.
    pub rate_limited: bool,
    /// Enterprise: what the challenge of solved tokens is said to be, such as `PASSED`.
    pub challenge: Option<String>,
    /// Enterprise: leave members out that hold their default.
    pub omit_defaults: bool,
    /// Enterprise: report a token of another key as older services did.
    pub legacy_mismatch: bool,
    /// Enterprise: the API is not enabled in the project.
    pub service_disabled: bool,
    /// Siteverify: print scores as texts.
    pub score_as_text: bool,
    /// `CaptchaLa`: the main service is down, so that the backup service answers.
    pub main_down: bool,
    /// `CaptchaLa`: the backup service says `ok` instead of `valid`.
    pub backup_says_ok: bool,
    /// `CaptchaLa`: the app is switched off.
    pub app_disabled: bool,
    /// `CaptchaLa`: challenges need a server token.
    pub server_token_required: bool,
    /// `CaptchaLa`: addresses are compared, as before June 2026.
    pub strict_ip: bool,
    /// `CaptchaLa`: which of its published shapes answers have.
    pub captchala_shape: CaptchaLaShape,
    /// `CaptchaLa`: the other spelling of its code for used tokens.
    pub token_already_used: bool,
}

/// The shapes that `CaptchaLa`'s documentation and libraries know.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum CaptchaLaShape {
    /// With `captcha_args`.
    #[default]
    Current,
    /// With the risk beside the verdict.
    Flat,
    /// The verdict alone.
    Minimal,
}

/// A token that a visitor may hand in.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) provider: String,
    pub(crate) site_key: String,
    pub(crate) hostname: String,
    pub(crate) action: Option<String>,
    pub(crate) binding: Option<String>,
    pub(crate) score: Option<f64>,
    pub(crate) issued: SystemTime,
    pub(crate) solved: bool,
    pub(crate) browser_error: bool,
    pub(crate) interactive: bool,
    pub(crate) app: Option<String>,
    pub(crate) user_ip: Option<String>,
    /// Set when it was verified: the idempotency key and the answer, where the provider keeps them.
    pub(crate) redeemed: Option<(Option<String>, Value)>,
}

/// A server token of `CaptchaLa`.
#[derive(Clone, Debug)]
pub(crate) struct ServerToken {
    pub(crate) site_key: String,
    pub(crate) action: String,
    pub(crate) ip: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) uses_left: u64,
    pub(crate) expires: SystemTime,
}

impl State {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            sites: EmulatedAccount::built_in(),
            tokens: Kept::new(),
            server_tokens: Kept::new(),
            access_tokens: Kept::new(),
            assessments: Kept::new(),
            knobs: Knobs::default(),
            faults: Faults::default(),
            seen: VecDeque::new(),
            connections: 0,
        }
    }

    /// Remembers a request, and forgets the oldest of too many.
    pub(crate) fn see(&mut self, request: &RecordedRequest) {
        if self.seen.len() >= MOST_SEEN {
            self.seen.pop_front();
        }
        let mut seen = request.clone();
        seen.body.truncate(MOST_OF_A_BODY);
        self.seen.push_back(seen);
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The site with this secret.
    pub(crate) fn site_by_secret(&self, provider: &str, secret: &str) -> Option<EmulatedAccount> {
        let mut sites = self.sites.iter();
        sites
            .find(|site| site.provider == provider && site.secret == secret)
            .cloned()
    }

    /// A token of this provider, good or bad.
    pub(crate) fn token(&mut self, provider: &str, text: &str) -> Option<&mut Token> {
        self.tokens
            .get_mut(text)
            .filter(|token| token.provider == provider)
    }

    /// Whether it outlived this many seconds, or the ttl that a knob gives it.
    pub(crate) fn is_older(&self, token: &Token, ttl: u64) -> bool {
        let usual = Duration::from_secs(ttl);
        let own = self.knobs.token_ttl_ms.map(Duration::from_millis);
        let ttl = own.map_or(usual, |own| own.min(usual));
        self.now()
            .duration_since(token.issued)
            .is_ok_and(|age| age > ttl)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("sites", &self.sites.len())
            .field("tokens", &self.tokens.len())
            .field("seen", &self.seen.len())
            .finish_non_exhaustive()
    }
}

/// A time as the providers print it, with milliseconds or in whole seconds.
pub(crate) fn rfc3339(time: SystemTime, milliseconds: bool) -> String {
    let format = if milliseconds {
        "%Y-%m-%dT%H:%M:%S%.3fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| String::new(), |t| t.strftime(format).to_string())
}

pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
