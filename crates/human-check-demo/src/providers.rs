//! The providers of the demo, each with a configuration that calls the emulator.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_altcha::{Altcha, Difficulty, Keys};
use human_check_config::{ProviderConfig, ProviderKind};
use human_check_core::{
    ChallengeIssuer, ChallengeRequest, ConfigError, HumanCheck, HumanCheckExt, MemoryReplayStore,
    Policy, Provider, Secret, Widget,
};
use human_check_emulator::PROJECT;
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_guard::ChallengeEndpoint;
use human_check_http::{Endpoint, ProviderClient};
use human_check_testkit::solve;
use uuid::Uuid;

/// A provider of the demo. Other modules treat all providers alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DemoProvider(ProviderKind);

/// The kind of simulated visitor that a token is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Solver {
    Human,
    Bot,
}

/// The action of the sign-up form, which the widgets declare.
pub(crate) const ACTION: &str = "signup";

/// The path at which ALTCHA's widget gets its challenges. The files of the widget are beside it.
pub(crate) const CHALLENGES: &str = "/human-check-altcha/challenge";

/// How many used tokens a replay store holds, more than a demo uses before they expire.
const REPLAY_STORE_CAPACITY: usize = 10_000;

/// The hosts of the demo's pages: the names of this machine in a browser.
const HOSTNAMES: [&str; 2] = ["127.0.0.1", "localhost"];

impl DemoProvider {
    pub(crate) const HCAPTCHA: Self = Self(ProviderKind::Hcaptcha);
    pub(crate) const TURNSTILE: Self = Self(ProviderKind::Turnstile);

    /// All providers, in the order of the page. A new visitor gets the first one that has a widget.
    pub(crate) const ALL: [Self; 7] = [
        Self(ProviderKind::Altcha),
        Self::TURNSTILE,
        Self::HCAPTCHA,
        Self(ProviderKind::RecaptchaV2),
        Self(ProviderKind::RecaptchaV3),
        Self(ProviderKind::RecaptchaEnterprise),
        Self(ProviderKind::CaptchaLa),
    ];

    /// Returns the provider of this name, which is part of a URL.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
    }

    /// Returns the name, such as `turnstile`. It is part of URLs.
    pub(crate) fn name(self) -> &'static str {
        self.provider().name()
    }

    /// Returns the provider whose tokens the form accepts.
    pub(crate) fn provider(self) -> &'static Provider {
        self.0.provider()
    }

    /// Returns the form field of the token.
    pub(crate) fn field(self) -> &'static str {
        self.provider().fields().next().unwrap_or_default()
    }

    /// Returns the product's name for people.
    pub(crate) fn title(self) -> &'static str {
        match self.0 {
            ProviderKind::Altcha => "ALTCHA",
            ProviderKind::CaptchaLa => "CaptchaLa",
            ProviderKind::Hcaptcha => "hCaptcha",
            ProviderKind::RecaptchaEnterprise => "reCAPTCHA Enterprise",
            ProviderKind::RecaptchaV2 => "reCAPTCHA v2",
            ProviderKind::RecaptchaV3 => "reCAPTCHA v3",
            ProviderKind::Turnstile => "Turnstile",
            kind => kind.as_str(),
        }
    }

    /// Returns one or two sentences about what a visitor sees.
    pub(crate) fn description(self) -> &'static str {
        match self.0 {
            ProviderKind::Altcha => {
                "A proof of work: the browser computes it, and this site verifies it without a provider."
            }
            ProviderKind::CaptchaLa => "A button to click. The reply has a risk score.",
            ProviderKind::Hcaptcha => "A checkbox, sometimes with a puzzle.",
            ProviderKind::RecaptchaEnterprise => {
                "Nothing to click. Google Cloud assesses the visit and returns a score."
            }
            ProviderKind::RecaptchaV2 => "A checkbox, sometimes with pictures to select.",
            ProviderKind::RecaptchaV3 => {
                "Nothing to click. The page gets a token when the form is sent, and the reply has a score."
            }
            ProviderKind::Turnstile => "A checkbox that usually ticks itself.",
            _ => "A challenge.",
        }
    }

    /// Returns the widget. Its script is served by the emulator, or by this site for ALTCHA.
    pub(crate) fn widget(self, emulator: &Emulator) -> Result<Widget, ConfigError> {
        if self.0 == ProviderKind::Altcha {
            return human_check_altcha::widget(CHALLENGES);
        }
        let widget = config(self.0, emulator)?.widget()?;
        // The widget follows the page's light or dark theme, where the provider supports this.
        let has_auto_theme = widget
            .spec()
            .theme
            .is_some_and(|t| t.values.contains(&"auto"));
        match has_auto_theme {
            true => widget.with_theme("auto"),
            false => Ok(widget),
        }
    }

    /// Returns whether the provider reports the action.
    pub(crate) fn has_action(self) -> bool {
        !matches!(self.0, ProviderKind::Hcaptcha | ProviderKind::RecaptchaV2)
    }

    /// Returns whether the provider reports a score.
    pub(crate) fn has_score(self) -> bool {
        scores(self.0).is_some()
    }

    /// Returns whether a check calls a provider, which may be slow, unavailable, or beyond its
    /// quota.
    pub(crate) fn is_remote(self) -> bool {
        self.0 != ProviderKind::Altcha
    }

    /// Returns whether the provider reports an exhausted quota to the site.
    pub(crate) fn reports_exhausted_quota(self) -> bool {
        !matches!(
            self.0,
            ProviderKind::Altcha | ProviderKind::Hcaptcha | ProviderKind::Turnstile
        )
    }
}

/// A provider's check with the demo's policy and a replay store, so that each token passes once.
#[derive(Clone, Debug)]
pub(crate) struct ProviderCheck {
    pub(crate) provider: DemoProvider,
    pub(crate) check: Arc<dyn HumanCheck>,
    /// The issuer of challenges, for a provider whose challenges this site issues.
    issuer: Option<Arc<Altcha<MemoryReplayStore>>>,
}

impl ProviderCheck {
    /// Creates a check that calls `emulator`; for ALTCHA, one with the difficulty and ttl in
    /// `work`.
    pub(crate) fn new(
        provider: DemoProvider,
        emulator: &Emulator,
        client: &ProviderClient,
        work: Work,
    ) -> Result<Self, ConfigError> {
        let replay_store = MemoryReplayStore::new(REPLAY_STORE_CAPACITY);
        match provider.0 {
            ProviderKind::Altcha => {
                let secret = [(); 2]
                    .map(|()| Uuid::new_v4().simple().to_string())
                    .concat();
                let keys = Keys::new(Secret::new(secret)?)?;
                let altcha = Altcha::new(keys, HOSTNAMES[0], replay_store)?
                    .with_difficulty(work.difficulty)
                    .with_ttl(work.ttl)?;
                let altcha = Arc::new(altcha);
                Ok(Self {
                    provider,
                    check: Arc::clone(&altcha) as Arc<dyn HumanCheck>,
                    issuer: Some(altcha),
                })
            }
            kind => {
                let config = config(kind, emulator)?;
                let mut policy = Policy::new().with_hostnames(HOSTNAMES)?;
                if let Some(score) = config.policy_score()? {
                    policy = policy.with_min_score(score);
                }
                let check = config.build(client)?.enforce(policy)?;
                Ok(Self {
                    provider,
                    check: Arc::new(check.replay_guard(replay_store)),
                    issuer: None,
                })
            }
        }
    }

    /// Returns the endpoint that gives challenges to pages, for a provider whose challenges this
    /// site issues.
    pub(crate) fn challenges(&self) -> Option<ChallengeEndpoint> {
        let issuer = self.issuer.as_ref()?;
        Some(ChallengeEndpoint::new(Arc::clone(issuer)).with_action(ACTION))
    }

    /// Returns a token as the widget gives it to a visitor of this kind.
    pub(crate) async fn token(
        &self,
        emulator: &Emulator,
        solver: Solver,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        match self.provider.0 {
            ProviderKind::Altcha => {
                let issuer = self.issuer.as_ref();
                let issuer = issuer.ok_or("this provider has no challenges")?;
                let request = ChallengeRequest::new().with_action(ACTION);
                let challenge = issuer.issue(&request).await?;
                let solved = match solver {
                    Solver::Human => solve(challenge.json()),
                    // Sends a solution without doing the work.
                    Solver::Bot => forge(challenge.json()),
                };
                Ok(solved.ok_or("the challenge was not solved")?)
            }
            provider => {
                let mint = Mint::for_provider(provider.provider().name())
                    .with_hostname(HOSTNAMES[0])
                    .with_action(ACTION);
                Ok(emulator.mint(&match (scores(provider), solver) {
                    (Some((human, _)), Solver::Human) => mint.with_score(human),
                    (Some((_, bot)), Solver::Bot) => mint.with_score(bot),
                    (None, Solver::Human) => mint,
                    (None, Solver::Bot) => mint.with_unsolved(),
                })?)
            }
        }
    }
}

/// Returns a token with a made-up solution, in the form that ALTCHA's widget posts.
pub(crate) fn forge(challenge: &str) -> Option<String> {
    let challenge: serde_json::Value = serde_json::from_str(challenge).ok()?;
    let solution = serde_json::json!({"counter": 1, "derivedKey": "00".repeat(32), "time": 1});
    let payload = serde_json::json!({"challenge": challenge, "solution": solution});
    Some(STANDARD.encode(payload.to_string()))
}

/// Returns the limits of calls to a provider. The timeouts are shorter than those of a real site,
/// so that visitors of the demo do not wait.
pub(crate) fn limits() -> human_check_http::Limits {
    let mut limits = human_check_http::Limits::default();
    limits.attempt_timeout = Duration::from_millis(800);
    limits.total_timeout = Duration::from_millis(1_200);
    limits
}

/// Settings of ALTCHA's proof of work in the demo.
///
/// The default is [`Difficulty::light`] and a ttl of five minutes.
///
/// ```
/// use human_check_demo::Work;
/// use std::time::Duration;
///
/// let work = Work { ttl: Duration::from_secs(60), ..Work::default() };
/// # let _ = work;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How much work a browser does for one challenge. See docs/providers/altcha.md#difficulty.
    pub difficulty: Difficulty,
    /// How long a challenge is valid.
    pub ttl: Duration,
}

impl Default for Work {
    /// Returns the settings of a demo for visitors: a light difficulty and five minutes.
    fn default() -> Self {
        Self {
            difficulty: Difficulty::light(),
            ttl: Duration::from_secs(300),
        }
    }
}

impl Work {
    /// Returns the settings for simulated visitors, whose work this process does: a minimal
    /// difficulty.
    pub(crate) fn simulated() -> Result<Self, ConfigError> {
        Ok(Self {
            difficulty: Difficulty::sha().with_tries(9)?,
            ..Self::default()
        })
    }
}

/// Returns the scores of a human and of a bot, on the provider's own scale. `None` for a provider
/// without scores.
pub(crate) fn scores(provider: ProviderKind) -> Option<(f64, f64)> {
    match provider {
        ProviderKind::CaptchaLa => Some((12.0, 95.0)),
        ProviderKind::Hcaptcha => Some((0.1, 0.9)),
        ProviderKind::RecaptchaEnterprise | ProviderKind::RecaptchaV3 => Some((0.9, 0.1)),
        _ => None,
    }
}

/// Returns the configuration of a provider: keys and base URL of the emulator, and a threshold for
/// a provider with scores.
pub(crate) fn config(
    provider: ProviderKind,
    emulator: &Emulator,
) -> Result<ProviderConfig, ConfigError> {
    let site = EmulatedAccount::for_provider(provider.provider().name());
    let mut config = ProviderConfig::new(provider);
    config.secret = Some(Secret::new(site.secret)?);
    config.site_key = Some(site.site_key);
    config.project = Some(PROJECT.to_owned());
    config.base_url = Some(Endpoint::parse(&emulator.base_url())?);
    match provider {
        ProviderKind::Hcaptcha => config.max_risk = Some(0.5),
        ProviderKind::CaptchaLa => config.max_risk = Some(50.0),
        ProviderKind::RecaptchaV3 | ProviderKind::RecaptchaEnterprise => {
            config.min_score = Some(0.5);
        }
        _ => {}
    }
    Ok(config)
}
