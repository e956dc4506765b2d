//! Who can stand at the form of the demo, and how each is set up against the emulator.

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

/// One that the demo can put in front of a form. Nothing outside of this file knows the provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DemoProvider(ProviderKind);

/// What a token is to say about whoever brings it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Solver {
    Human,
    Bot,
}

/// What the forms are for, as the widgets declare it.
pub(crate) const ACTION: &str = "signup";

/// Where the proof of work's widget gets its challenges, and everything else that it loads.
pub(crate) const CHALLENGES: &str = "/human-check-altcha/challenge";

/// Room for the tokens of ten minutes, longer than any of them lives.
const SPENT: usize = 10_000;

/// Where the demo's visitors are: the names that a browser may have for this machine.
const HOSTNAMES: [&str; 2] = ["127.0.0.1", "localhost"];

impl DemoProvider {
    /// All of them, in the order of the page. A new visitor meets the first one that has a widget.
    pub(crate) const ALL: [Self; 7] = [
        Self(ProviderKind::Altcha),
        Self(ProviderKind::Turnstile),
        Self(ProviderKind::Hcaptcha),
        Self(ProviderKind::RecaptchaV2),
        Self(ProviderKind::RecaptchaV3),
        Self(ProviderKind::RecaptchaEnterprise),
        Self(ProviderKind::CaptchaLa),
    ];

    /// By the name in an address.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
    }

    /// Its provider's name, also in addresses.
    pub(crate) fn name(self) -> &'static str {
        self.provider().name()
    }

    /// Whose answers it takes.
    pub(crate) fn provider(self) -> &'static Provider {
        self.0.provider()
    }

    /// The form field that its answer is posted in.
    pub(crate) fn field(self) -> &'static str {
        self.provider().fields().next().unwrap_or_default()
    }

    /// What people call it.
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

    /// What a visitor meets.
    pub(crate) fn manner(self) -> &'static str {
        match self.0 {
            ProviderKind::Altcha => {
                "No provider at all: the browser does some work, and this site checks it."
            }
            ProviderKind::CaptchaLa => "A box to click; a risk comes back with the verdict.",
            ProviderKind::Hcaptcha => "A checkbox, now and then a puzzle.",
            ProviderKind::RecaptchaEnterprise => {
                "Nothing to click. A score and an assessment, asked of Google Cloud."
            }
            ProviderKind::RecaptchaV2 => "The checkbox everybody knows.",
            ProviderKind::RecaptchaV3 => {
                "Nothing to click. The score is asked for when the form is sent."
            }
            ProviderKind::Turnstile => "A box that mostly ticks itself.",
            _ => "A challenge.",
        }
    }

    /// What the page shows, with its script from the emulator, or from this site.
    pub(crate) fn widget(self, emulator: &Emulator) -> Result<Widget, ConfigError> {
        let path = match self.0 {
            ProviderKind::Altcha => return human_check_altcha::widget(CHALLENGES),
            ProviderKind::CaptchaLa => "/captchala-loader.js",
            ProviderKind::Hcaptcha => "/1/api.js",
            ProviderKind::RecaptchaEnterprise => "/recaptcha/enterprise.js",
            ProviderKind::RecaptchaV2 | ProviderKind::RecaptchaV3 => "/recaptcha/api.js",
            ProviderKind::Turnstile => "/turnstile/v0/api.js",
            kind => return config(kind, emulator)?.widget(),
        };
        let script = format!("{}{path}", emulator.base_url());
        let widget = config(self.0, emulator)?.widget()?;
        // Light or dark as the page is, where the provider can follow.
        let follows = widget
            .spec()
            .theme
            .is_some_and(|t| t.values.contains(&"auto"));
        let widget = if follows {
            widget.with_theme("auto")?
        } else {
            widget
        };
        widget.with_script_url(script)
    }

    /// Whether it says what the visitor was doing.
    pub(crate) fn has_action(self) -> bool {
        !matches!(self.0, ProviderKind::Hcaptcha | ProviderKind::RecaptchaV2)
    }

    /// Whether it says how human a visitor looks.
    pub(crate) fn has_score(self) -> bool {
        scores(self.0).is_some()
    }

    /// Whether somebody else is asked, who may be slow, down or out of quota.
    pub(crate) fn is_remote(self) -> bool {
        self.0 != ProviderKind::Altcha
    }

    /// Whether a site hears of it when its quota is spent. Others go on as ever.
    pub(crate) fn tells_of_its_quota(self) -> bool {
        !matches!(
            self.0,
            ProviderKind::Altcha | ProviderKind::Hcaptcha | ProviderKind::Turnstile
        )
    }
}

/// A provider at work: its check behind the demo's rules, which lets each answer pass once.
#[derive(Clone, Debug)]
pub(crate) struct ProviderCheck {
    pub(crate) provider: DemoProvider,
    pub(crate) check: Arc<dyn HumanCheck>,
    /// Where the challenges are made here.
    own: Option<Arc<Altcha<MemoryReplayStore>>>,
}

impl ProviderCheck {
    /// Asks at an emulator whoever is to be asked. `work` is how much a proof of work takes.
    pub(crate) fn new(
        provider: DemoProvider,
        emulator: &Emulator,
        client: &ProviderClient,
        work: Work,
    ) -> Result<Self, ConfigError> {
        let spent = MemoryReplayStore::new(SPENT);
        match provider.0 {
            ProviderKind::Altcha => {
                let secret = [(); 2]
                    .map(|()| Uuid::new_v4().simple().to_string())
                    .concat();
                let keys = Keys::new(Secret::new(secret)?)?;
                let altcha = Altcha::new(keys, HOSTNAMES[0], spent)?
                    .with_difficulty(work.difficulty)
                    .with_ttl(work.ttl)?;
                let altcha = Arc::new(altcha);
                Ok(Self {
                    provider,
                    check: Arc::clone(&altcha) as Arc<dyn HumanCheck>,
                    own: Some(altcha),
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
                    check: Arc::new(check.replay_guard(spent)),
                    own: None,
                })
            }
        }
    }

    /// What hands challenges to pages, where they are made here.
    pub(crate) fn challenges(&self) -> Option<ChallengeEndpoint> {
        let own = self.own.as_ref()?;
        Some(ChallengeEndpoint::new(Arc::clone(own)).with_action(ACTION))
    }

    /// The answer that a visitor of this kind would bring from the widget.
    pub(crate) async fn answer(
        &self,
        emulator: &Emulator,
        solver: Solver,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        match self.provider.0 {
            ProviderKind::Altcha => {
                let own = self.own.as_ref().ok_or("no challenges are made here")?;
                let request = ChallengeRequest::new().with_action(ACTION);
                let challenge = own.issue(&request).await?;
                let solved = match solver {
                    Solver::Human => solve(challenge.json()),
                    // Skips the work, and says that it is done.
                    Solver::Bot => skip(challenge.json()),
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

/// An answer as the widget would post it, with a solution out of the air.
pub(crate) fn skip(challenge: &str) -> Option<String> {
    let challenge: serde_json::Value = serde_json::from_str(challenge).ok()?;
    let solution = serde_json::json!({"counter": 1, "derivedKey": "00".repeat(32), "time": 1});
    let payload = serde_json::json!({"challenge": challenge, "solution": solution});
    Some(STANDARD.encode(payload.to_string()))
}

/// How long the demo waits for a provider: less than a service would, so that nobody is bored.
pub(crate) fn limits() -> human_check_http::Limits {
    let mut limits = human_check_http::Limits::default();
    limits.attempt_timeout = Duration::from_millis(800);
    limits.total_timeout = Duration::from_millis(1_200);
    limits
}

/// What the proof of work asks of a browser.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How much of it.
    pub difficulty: Difficulty,
    /// Until when a challenge can be answered.
    pub ttl: Duration,
}

impl Default for Work {
    /// As little as a service may ask, for the same reason.
    fn default() -> Self {
        Self {
            difficulty: Difficulty::light(),
            ttl: Duration::from_secs(300),
        }
    }
}

impl Work {
    /// What is done for visitors who are made up.
    pub(crate) fn made_up() -> Result<Self, ConfigError> {
        Ok(Self {
            difficulty: Difficulty::sha().with_tries(9)?,
            ..Self::default()
        })
    }
}

/// What a provider says of a human and of a bot, on its own scale. `None` where it has no scores.
pub(crate) fn scores(provider: ProviderKind) -> Option<(f64, f64)> {
    match provider {
        ProviderKind::CaptchaLa => Some((12.0, 95.0)),
        ProviderKind::Hcaptcha => Some((0.1, 0.9)),
        ProviderKind::RecaptchaEnterprise | ProviderKind::RecaptchaV3 => Some((0.9, 0.1)),
        _ => None,
    }
}

/// A provider with the emulator's keys, and with a threshold where it has scores.
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
            config.min_score = Some(0.5)
        }
        _ => {}
    }
    Ok(config)
}
