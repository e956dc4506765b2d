//! Who can stand at the door of the demo, and how each is set up against the emulator.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_altcha::{Altcha, Difficulty, Keys};
use human_check_config::{Setup, Vendor};
use human_check_core::{
    ChallengeIssuer, ChallengeRequest, ConfigError, HumanCheck, HumanCheckExt, MemorySpent, Policy,
    Provider, Secret, Widget,
};
use human_check_emulator::PROJECT;
use human_check_emulator::{Emulator, Mint, Site};
use human_check_guard::Challenges;
use human_check_http::{Endpoint, Exchange};
use human_check_testkit::solve;
use uuid::Uuid;

/// One that the demo can put in front of a form. Nothing outside of this file knows the vendor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Contender(Vendor);

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

impl Contender {
    /// All of them, in the order of the page. A new visitor meets the first one that has a widget.
    pub(crate) const ALL: [Self; 7] = [
        Self(Vendor::Altcha),
        Self(Vendor::Turnstile),
        Self(Vendor::Hcaptcha),
        Self(Vendor::RecaptchaV2),
        Self(Vendor::RecaptchaV3),
        Self(Vendor::RecaptchaEnterprise),
        Self(Vendor::CaptchaLa),
    ];

    /// By the name in an address.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|contender| contender.name() == name)
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
            Vendor::Altcha => "ALTCHA",
            Vendor::CaptchaLa => "CaptchaLa",
            Vendor::Hcaptcha => "hCaptcha",
            Vendor::RecaptchaEnterprise => "reCAPTCHA Enterprise",
            Vendor::RecaptchaV2 => "reCAPTCHA v2",
            Vendor::RecaptchaV3 => "reCAPTCHA v3",
            Vendor::Turnstile => "Turnstile",
        }
    }

    /// What a visitor meets.
    pub(crate) fn manner(self) -> &'static str {
        match self.0 {
            Vendor::Altcha => {
                "No vendor at all: the browser does some work, and this site checks it."
            }
            Vendor::CaptchaLa => "A box to click; a risk comes back with the verdict.",
            Vendor::Hcaptcha => "A checkbox, now and then a puzzle.",
            Vendor::RecaptchaEnterprise => {
                "Nothing to click. A score and an assessment, asked of Google Cloud."
            }
            Vendor::RecaptchaV2 => "The checkbox everybody knows.",
            Vendor::RecaptchaV3 => {
                "Nothing to click. The score is asked for when the form is sent."
            }
            Vendor::Turnstile => "A box that mostly ticks itself.",
        }
    }

    /// What the page shows, with its script from the emulator, or from this site.
    pub(crate) fn widget(self, emulator: &Emulator) -> Result<Widget, ConfigError> {
        let path = match self.0 {
            Vendor::Altcha => return human_check_altcha::widget(CHALLENGES),
            Vendor::CaptchaLa => "/captchala-loader.js",
            Vendor::Hcaptcha => "/1/api.js",
            Vendor::RecaptchaEnterprise => "/recaptcha/enterprise.js",
            Vendor::RecaptchaV2 | Vendor::RecaptchaV3 => "/recaptcha/api.js",
            Vendor::Turnstile => "/turnstile/v0/api.js",
        };
        let script = format!("{}{path}", emulator.base_url());
        let widget = setup(self.0, emulator)?.widget()?;
        // Light or dark as the page is, where the vendor can follow.
        let follows = widget
            .facts()
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
        !matches!(self.0, Vendor::Hcaptcha | Vendor::RecaptchaV2)
    }

    /// Whether it says how human a visitor looks.
    pub(crate) fn has_score(self) -> bool {
        scores(self.0).is_some()
    }

    /// Whether somebody else is asked, who may be slow, down or out of quota.
    pub(crate) fn is_vendor(self) -> bool {
        self.0 != Vendor::Altcha
    }

    /// Whether a site hears of it when its quota is spent. Others go on as ever.
    pub(crate) fn tells_of_its_quota(self) -> bool {
        !matches!(
            self.0,
            Vendor::Altcha | Vendor::Hcaptcha | Vendor::Turnstile
        )
    }
}

/// A contender at work: its check behind the demo's rules, which lets each answer pass once.
#[derive(Clone, Debug)]
pub(crate) struct Doorkeeper {
    pub(crate) contender: Contender,
    pub(crate) check: Arc<dyn HumanCheck>,
    /// Where the challenges are made here.
    own: Option<Arc<Altcha<MemorySpent>>>,
}

impl Doorkeeper {
    /// Asks at an emulator whoever is to be asked. `work` is how much a proof of work takes.
    pub(crate) fn new(
        contender: Contender,
        emulator: &Emulator,
        exchange: &Exchange,
        work: Work,
    ) -> Result<Self, ConfigError> {
        let spent = MemorySpent::new(SPENT);
        match contender.0 {
            Vendor::Altcha => {
                let secret = [(); 2]
                    .map(|()| Uuid::new_v4().simple().to_string())
                    .concat();
                let keys = Keys::new(Secret::new(secret)?)?;
                let altcha = Altcha::new(keys, HOSTNAMES[0], spent)?
                    .with_difficulty(work.difficulty)
                    .with_life(work.life)?;
                let altcha = Arc::new(altcha);
                Ok(Self {
                    contender,
                    check: Arc::clone(&altcha) as Arc<dyn HumanCheck>,
                    own: Some(altcha),
                })
            }
            vendor => {
                let setup = setup(vendor, emulator)?;
                let mut policy = Policy::new().with_hostnames(HOSTNAMES)?;
                if let Some(score) = setup.policy_score()? {
                    policy = policy.with_min_score(score);
                }
                let check = setup.build(exchange)?.enforce(policy)?;
                Ok(Self {
                    contender,
                    check: Arc::new(check.single_use(spent)),
                    own: None,
                })
            }
        }
    }

    /// What hands challenges to pages, where they are made here.
    pub(crate) fn challenges(&self) -> Option<Challenges> {
        let own = self.own.as_ref()?;
        Some(Challenges::new(Arc::clone(own)).for_action(ACTION))
    }

    /// The answer that a visitor of this kind would bring from the widget.
    pub(crate) async fn answer(
        &self,
        emulator: &Emulator,
        solver: Solver,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        match self.contender.0 {
            Vendor::Altcha => {
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
            vendor => {
                let mint = Mint::for_provider(vendor.provider().name())
                    .hostname(HOSTNAMES[0])
                    .action(ACTION);
                Ok(emulator.mint(&match (scores(vendor), solver) {
                    (Some((human, _)), Solver::Human) => mint.score(human),
                    (Some((_, bot)), Solver::Bot) => mint.score(bot),
                    (None, Solver::Human) => mint,
                    (None, Solver::Bot) => mint.unsolved(),
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

/// How long the demo waits for a vendor: less than a service would, so that nobody is bored.
pub(crate) fn limits() -> human_check_http::Limits {
    let mut limits = human_check_http::Limits::default();
    limits.attempt = Duration::from_millis(800);
    limits.total = Duration::from_millis(1_200);
    limits
}

/// What the proof of work asks of a browser.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How much of it.
    pub difficulty: Difficulty,
    /// Until when a challenge can be answered.
    pub life: Duration,
}

impl Default for Work {
    /// As little as a service may ask, for the same reason.
    fn default() -> Self {
        Self {
            difficulty: Difficulty::light(),
            life: Duration::from_secs(300),
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

/// What a vendor says of a human and of a bot, on its own scale. `None` where it has no scores.
pub(crate) fn scores(vendor: Vendor) -> Option<(f64, f64)> {
    match vendor {
        Vendor::CaptchaLa => Some((12.0, 95.0)),
        Vendor::Hcaptcha => Some((0.1, 0.9)),
        Vendor::RecaptchaEnterprise | Vendor::RecaptchaV3 => Some((0.9, 0.1)),
        Vendor::Altcha | Vendor::RecaptchaV2 | Vendor::Turnstile => None,
    }
}

/// A vendor with the emulator's keys, and with a threshold where it has scores.
pub(crate) fn setup(vendor: Vendor, emulator: &Emulator) -> Result<Setup, ConfigError> {
    let site = Site::own(vendor.provider().name());
    let mut setup = Setup::new(vendor);
    setup.secret = Some(Secret::new(site.secret)?);
    setup.site_key = Some(site.site_key);
    setup.project = Some(PROJECT.to_owned());
    setup.base = Some(Endpoint::parse(&emulator.base_url())?);
    match vendor {
        Vendor::Hcaptcha => setup.max_risk = Some(0.5),
        Vendor::CaptchaLa => setup.max_risk = Some(50.0),
        Vendor::RecaptchaV3 | Vendor::RecaptchaEnterprise => setup.min_score = Some(0.5),
        Vendor::Altcha | Vendor::RecaptchaV2 | Vendor::Turnstile => {}
    }
    Ok(setup)
}
