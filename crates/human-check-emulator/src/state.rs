//! What the emulated providers store: accounts, tokens, settings, faults and recorded requests.

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

/// How much of a recorded request's body is kept. A usual request has one or two kilobytes.
const MAX_RECORDED_BODY_BYTES: usize = 16_384;

/// How many values of a kind are kept, unless a knob says otherwise: those that the emulator has
/// given out, and the requests that it has recorded.
const MAX_GIVEN_OUT: usize = 100_000;
const MAX_RECORDED_REQUESTS: usize = 10_000;

/// The state of one emulator, shared by all its connections.
pub(crate) struct State {
    clock: Arc<dyn Clock>,
    pub(crate) accounts: Vec<EmulatedAccount>,
    pub(crate) tokens: Kept<Token>,
    pub(crate) server_tokens: Kept<ServerToken>,
    /// Access tokens of the emulated Google Cloud, and when they expire.
    pub(crate) access_tokens: Kept<SystemTime>,
    /// Names of assessments, which a client may annotate.
    pub(crate) assessments: Kept<()>,
    pub(crate) knobs: Knobs,
    pub(crate) faults: Faults,
    /// The latest requests, oldest first.
    pub(crate) requests: VecDeque<RecordedRequest>,
    /// The number of connections since the start.
    pub(crate) connections: usize,
}

/// Settings of the emulated services.
///
/// Change single settings with [`Emulator::configure`](crate::Emulator::configure). The control API
/// replaces all of them: a member that the JSON omits gets its default. The default of every switch
/// is off.
///
/// ```
/// use human_check_emulator::Knobs;
///
/// let knobs: Knobs = serde_json::from_str(r#"{"quota_used_up":true,"token_ttl_ms":300}"#).unwrap();
/// assert_eq!(knobs.token_ttl_ms, Some(300));
/// assert!(!knobs.rate_limited);
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Knobs {
    /// An upper limit for the ttl of every provider's tokens, in milliseconds. It holds in the
    /// widget and in the service. Default: the ttl of each provider.
    pub token_ttl_ms: Option<u64>,
    /// How long a widget waits for a click before it reports a timeout, in milliseconds. Default:
    /// without a limit.
    pub challenge_ttl_ms: Option<u64>,
    /// Widgets give out the token that a bot gets: one with a bad score, or, from a provider
    /// without scores, one that the service refuses.
    pub visitors_are_bots: bool,
    /// The score of the tokens that widgets give out, on the provider's own scale. Default: a good
    /// one, or a bad one with [`visitors_are_bots`](Self::visitors_are_bots).
    pub visitor_score: Option<f64>,
    /// Widget scripts cannot be loaded: the reply is a 503.
    pub scripts_fail: bool,
    /// Turnstile: the testing secrets accept the dummy token only, as Cloudflare's documentation
    /// says. Default: they accept every token, as the service does.
    ///
    /// See docs/providers/turnstile.md#test-keys.
    pub strict_test_tokens: bool,
    /// hCaptcha: every reply has a score, as for Enterprise accounts.
    pub hcaptcha_enterprise: bool,
    /// reCAPTCHA and CaptchaLa: the monthly quota is used up.
    ///
    /// The siteverify call of reCAPTCHA then replies with a fixed score and the text `Over free
    /// quota.`, reCAPTCHA Enterprise replies 429, and CaptchaLa's widget gives out tokens of the
    /// kind `degraded`.
    pub quota_used_up: bool,
    /// reCAPTCHA Enterprise and CaptchaLa: there were too many requests, so the reply is a 429.
    pub rate_limited: bool,
    /// reCAPTCHA Enterprise: the member `challenge` in the assessment of a solved token, such as
    /// `PASSED`. Default: `CHALLENGE_UNSPECIFIED`.
    pub challenge: Option<String>,
    /// reCAPTCHA Enterprise: the reply omits members that have their default value.
    pub omit_defaults: bool,
    /// reCAPTCHA Enterprise: a token of another site key has the reason
    /// `INVALID_REASON_UNSPECIFIED`, as in older versions of the service, and not `KEY_MISMATCH`.
    pub legacy_mismatch: bool,
    /// reCAPTCHA Enterprise: the API is not enabled in the project, so the reply is a 403.
    pub service_disabled: bool,
    /// reCAPTCHA v3: the reply has the score as a text, not as a number.
    pub score_as_text: bool,
    /// CaptchaLa: the main service replies 503, and the backup service verifies offline tokens.
    ///
    /// See docs/providers/captchala.md#offline-tokens.
    pub main_down: bool,
    /// CaptchaLa: the backup service replies with `ok` in place of `valid`.
    pub backup_says_ok: bool,
    /// CaptchaLa: the app is disabled, so the reply is a 403.
    pub app_disabled: bool,
    /// CaptchaLa: a challenge needs a server token.
    ///
    /// See docs/providers/captchala.md#server-tokens.
    pub server_token_required: bool,
    /// CaptchaLa: a token is refused when the client address in the request differs from the
    /// address that solved the challenge, as before June 2026.
    pub strict_ip: bool,
    /// CaptchaLa: the shape of the reply to a valid token. Default: [`CaptchaLaShape::Current`].
    pub captchala_shape: CaptchaLaShape,
    /// CaptchaLa: the code for a used token is `token_already_used`. Default: `token_consumed`.
    pub token_already_used: bool,
    /// How many tokens the emulator keeps, of all providers together. Beyond that it forgets the
    /// oldest one, which is then as unknown as an invented one. The same number holds for server
    /// tokens, for access tokens and for assessments. Default: 100,000. A token needs about 500
    /// bytes.
    pub max_tokens: Option<usize>,
    /// How many requests are recorded. Beyond that the oldest one is removed. Default: 10,000.
    pub max_requests: Option<usize>,
}

impl Knobs {
    /// Returns how many values of a kind are kept that the emulator has given out.
    pub(crate) fn max_given_out(&self) -> usize {
        self.max_tokens.unwrap_or(MAX_GIVEN_OUT)
    }
}

/// The shapes of a CaptchaLa reply to a valid token, as its documentation and libraries show them.
///
/// See docs/providers/captchala.md#reply.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CaptchaLaShape {
    /// The facts about the visitor are in a member `captcha_args`.
    #[default]
    Current,
    /// The risk score and the client address are members beside `valid`.
    Flat,
    /// The reply has the member `valid` and no facts.
    Minimal,
}

/// A token that a widget gave out.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) provider: String,
    /// The site key of the widget. Only the secret of the same account verifies the token.
    pub(crate) site_key: String,
    pub(crate) hostname: String,
    pub(crate) action: Option<String>,
    /// The value that the token is bound to: `cdata`, or `uid`.
    pub(crate) binding: Option<String>,
    /// The score, on the provider's own scale. `None` for the score of a human.
    pub(crate) score: Option<f64>,
    /// When the challenge was solved. The ttl counts from here.
    pub(crate) issued: SystemTime,
    /// Whether the challenge was solved. The provider refuses the token otherwise.
    pub(crate) solved: bool,
    /// Whether reCAPTCHA refuses the token with `browser-error`.
    pub(crate) browser_error: bool,
    /// Whether the visitor had to click.
    pub(crate) interactive: bool,
    /// The package of the app in which the challenge was solved. `None` for a page.
    pub(crate) app: Option<String>,
    /// The client address that solved the challenge, for CaptchaLa.
    pub(crate) user_ip: Option<String>,
    /// Set by the first verification: the idempotency key and the reply, for providers that repeat
    /// their reply.
    pub(crate) redeemed: Option<(Option<String>, Value)>,
}

/// A server token of CaptchaLa.
#[derive(Clone, Debug)]
pub(crate) struct ServerToken {
    pub(crate) site_key: String,
    /// The action of the tokens that it is used for.
    pub(crate) action: String,
    /// The only client address that may use it. `None` for any address.
    pub(crate) ip: Option<String>,
    /// The uid of the tokens that it is used for.
    pub(crate) uid: Option<String>,
    /// How many challenges it can still start.
    pub(crate) uses_left: u64,
    pub(crate) expires: SystemTime,
}

impl State {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            accounts: EmulatedAccount::built_in(),
            tokens: Kept::new(),
            server_tokens: Kept::new(),
            access_tokens: Kept::new(),
            assessments: Kept::new(),
            knobs: Knobs::default(),
            faults: Faults::default(),
            requests: VecDeque::new(),
            connections: 0,
        }
    }

    /// Records a request.
    pub(crate) fn record(&mut self, request: &RecordedRequest) {
        let max = self.knobs.max_requests.unwrap_or(MAX_RECORDED_REQUESTS);
        while self.requests.len() >= max.max(1) {
            self.requests.pop_front();
        }
        let mut recorded = request.clone();
        recorded.body.truncate(MAX_RECORDED_BODY_BYTES);
        self.requests.push_back(recorded);
    }

    /// Returns the present time of the emulator's clock.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Returns the account of this provider that has this secret.
    pub(crate) fn account_by_secret(
        &self,
        provider: &str,
        secret: &str,
    ) -> Option<EmulatedAccount> {
        let mut accounts = self.accounts.iter();
        accounts
            .find(|account| account.provider == provider && account.secret == secret)
            .cloned()
    }

    /// Returns the token of this provider that has this text. It may be unsolved, expired or used.
    pub(crate) fn token(&mut self, provider: &str, text: &str) -> Option<&mut Token> {
        self.tokens
            .get_mut(text)
            .filter(|token| token.provider == provider)
    }

    /// Returns whether the token is older than `ttl` seconds, or than the ttl of the settings.
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
            .field("accounts", &self.accounts.len())
            .field("tokens", &self.tokens.len())
            .field("requests", &self.requests.len())
            .finish_non_exhaustive()
    }
}

/// Formats a time as the providers print it, with milliseconds or in whole seconds.
pub(crate) fn rfc3339(time: SystemTime, milliseconds: bool) -> String {
    let format = if milliseconds {
        "%Y-%m-%dT%H:%M:%S%.3fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| String::new(), |t| t.strftime(format).to_string())
}

/// Returns the seconds since 1970, or 0 for an earlier time.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
