//! Who can stand at the door of the demo, and how each is set up against the emulator.

use std::sync::Arc;
use std::time::Duration;

use human_check::{ConfigError, HumanCheck, HumanCheckExt, Policy, Provider, Secret, Widget};
use human_check_config::{Setup, Vendor};
use human_check_http::{Endpoint, Exchange};
use human_check_testkit::emulator::{MintError, PROJECT};
use human_check_testkit::{Emulator, Mint, Site};

/// One that the demo can put in front of a form.
///
/// A check that needs no vendor, such as an embedded proof of work, is another variant here: each
/// method below then says in one arm what is different about it. Nothing else knows the variants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Contender {
    Vendor(Vendor),
}

/// What a token is to say about whoever brings it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Solver {
    Human,
    Bot,
}

/// Where the demo's visitors are: the names that a browser may have for this machine.
const HOSTNAMES: [&str; 2] = ["127.0.0.1", "localhost"];

impl Contender {
    /// All of them, in the order of the page. The first is the one that a new visitor meets.
    pub(crate) const ALL: [Self; 6] = [
        Self::Vendor(Vendor::Turnstile),
        Self::Vendor(Vendor::Hcaptcha),
        Self::Vendor(Vendor::RecaptchaV2),
        Self::Vendor(Vendor::RecaptchaV3),
        Self::Vendor(Vendor::RecaptchaEnterprise),
        Self::Vendor(Vendor::CaptchaLa),
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
        match self {
            Self::Vendor(vendor) => vendor.provider(),
        }
    }

    /// The form field that its answer is posted in.
    pub(crate) fn field(self) -> &'static str {
        self.provider().fields().next().unwrap_or_default()
    }

    /// What people call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Vendor(Vendor::CaptchaLa) => "CaptchaLa",
            Self::Vendor(Vendor::Hcaptcha) => "hCaptcha",
            Self::Vendor(Vendor::RecaptchaEnterprise) => "reCAPTCHA Enterprise",
            Self::Vendor(Vendor::RecaptchaV2) => "reCAPTCHA v2",
            Self::Vendor(Vendor::RecaptchaV3) => "reCAPTCHA v3",
            Self::Vendor(Vendor::Turnstile) => "Turnstile",
        }
    }

    /// What a visitor meets.
    pub(crate) fn manner(self) -> &'static str {
        match self {
            Self::Vendor(Vendor::CaptchaLa) => {
                "A box to click; a risk comes back with the verdict."
            }
            Self::Vendor(Vendor::Hcaptcha) => "A checkbox, now and then a puzzle.",
            Self::Vendor(Vendor::RecaptchaEnterprise) => {
                "Nothing to click. A score and an assessment, asked of Google Cloud."
            }
            Self::Vendor(Vendor::RecaptchaV2) => "The checkbox everybody knows.",
            Self::Vendor(Vendor::RecaptchaV3) => {
                "Nothing to click. The score is asked for when the form is sent."
            }
            Self::Vendor(Vendor::Turnstile) => "A box that mostly ticks itself.",
        }
    }

    /// The check behind the rules that the demo holds everybody to, asked at an emulator.
    pub(crate) fn check(
        self,
        emulator: &Emulator,
        exchange: &Exchange,
    ) -> Result<Arc<dyn HumanCheck>, ConfigError> {
        match self {
            Self::Vendor(vendor) => {
                let setup = setup(vendor, emulator)?;
                let mut policy = Policy::new().with_hostnames(HOSTNAMES)?;
                if let Some(score) = setup.policy_score()? {
                    policy = policy.with_min_score(score);
                }
                Ok(Arc::new(setup.build(exchange)?.enforce(policy)?))
            }
        }
    }

    /// What the page shows, with its script from the emulator.
    pub(crate) fn widget(self, emulator: &Emulator) -> Result<Widget, ConfigError> {
        match self {
            Self::Vendor(vendor) => {
                let path = match vendor {
                    Vendor::CaptchaLa => "/captchala-loader.js",
                    Vendor::Hcaptcha => "/1/api.js",
                    Vendor::RecaptchaEnterprise => "/recaptcha/enterprise.js",
                    Vendor::RecaptchaV2 | Vendor::RecaptchaV3 => "/recaptcha/api.js",
                    Vendor::Turnstile => "/turnstile/v0/api.js",
                };
                let script = format!("{}{path}", emulator.base_url());
                let widget = setup(vendor, emulator)?.widget()?;
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
        }
    }

    /// The answer that a visitor of this kind would bring from the widget.
    pub(crate) fn answer(
        self,
        emulator: &Emulator,
        solver: Solver,
        action: &str,
    ) -> Result<String, MintError> {
        match self {
            Self::Vendor(vendor) => {
                let mint = Mint::for_provider(self.name())
                    .hostname(HOSTNAMES[0])
                    .action(action);
                emulator.mint(&match (scores(vendor), solver) {
                    (Some((human, _)), Solver::Human) => mint.score(human),
                    (Some((_, bot)), Solver::Bot) => mint.score(bot),
                    (None, Solver::Human) => mint,
                    (None, Solver::Bot) => mint.unsolved(),
                })
            }
        }
    }

    /// Whether it says what the visitor was doing.
    pub(crate) fn has_action(self) -> bool {
        match self {
            Self::Vendor(vendor) => !matches!(vendor, Vendor::Hcaptcha | Vendor::RecaptchaV2),
        }
    }

    /// Whether it says how human a visitor looks.
    pub(crate) fn has_score(self) -> bool {
        match self {
            Self::Vendor(vendor) => scores(vendor).is_some(),
        }
    }

    /// Whether a site hears of it when its quota is spent. Others go on as ever.
    pub(crate) fn tells_of_its_quota(self) -> bool {
        match self {
            Self::Vendor(vendor) => !matches!(vendor, Vendor::Hcaptcha | Vendor::Turnstile),
        }
    }
}

/// How long the demo waits for a vendor: less than a service would, so that nobody is bored.
pub(crate) fn limits() -> human_check_http::Limits {
    let mut limits = human_check_http::Limits::default();
    limits.attempt = Duration::from_millis(800);
    limits.total = Duration::from_millis(1_200);
    limits
}

/// What a vendor says of a human and of a bot, on its own scale. `None` where it has no scores.
pub(super) fn scores(vendor: Vendor) -> Option<(f64, f64)> {
    match vendor {
        Vendor::CaptchaLa => Some((12.0, 95.0)),
        Vendor::Hcaptcha => Some((0.1, 0.9)),
        Vendor::RecaptchaEnterprise | Vendor::RecaptchaV3 => Some((0.9, 0.1)),
        Vendor::RecaptchaV2 | Vendor::Turnstile => None,
    }
}

/// A vendor with the emulator's keys, and with a threshold where it has scores.
pub(super) fn setup(vendor: Vendor, emulator: &Emulator) -> Result<Setup, ConfigError> {
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
        Vendor::RecaptchaV2 | Vendor::Turnstile => {}
    }
    Ok(setup)
}
