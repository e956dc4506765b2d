//! The deployment of the outage page, and what its visitor breaks of the primary provider.

use std::io;
use std::sync::{Mutex, PoisonError};

use human_check_config::Deployment;
use human_check_core::ConfigError;
use human_check_emulator::{EmulatedAccount, Emulator, Fault};
use human_check_guard::{Guard, OptionsEndpoint};
use serde::Deserialize;
use uuid::Uuid;

use crate::log::Log;

/// The name of the route.
pub(crate) const ROUTE: &str = "outage";

/// The configuration of the page, which it also shows. `{primary}` and `{others}` stand for the
/// addresses of two emulators.
const CONFIGURATION: &str = include_str!("../templates/outage.toml");

/// A visitor's choice of what is broken.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Broken {
    /// The service that verifies tokens resets its connections.
    pub(crate) service: bool,
    /// The script of the widget cannot be loaded.
    pub(crate) script: bool,
    /// The quota of the account is used up.
    pub(crate) quota: bool,
    pub(crate) score: VisitorScore,
}

/// The score that the primary provider gives its visitors.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VisitorScore {
    #[default]
    Good,
    SlightlyLow,
    Low,
}

impl VisitorScore {
    pub(crate) const ALL: [Self; 3] = [Self::Good, Self::SlightlyLow, Self::Low];

    /// Returns the name that the form posts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::SlightlyLow => "slightly-low",
            Self::Low => "low",
        }
    }

    /// Returns the text beside the choice. The thresholds are those of the configuration.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Good => "good: the visitor passes",
            Self::SlightlyLow => "slightly too low: a stronger challenge",
            Self::Low => "low: refused",
        }
    }

    /// Returns the risk that CaptchaLa states, from 0 to 100.
    fn risk(self) -> f64 {
        match self {
            Self::Good => 12.0,
            Self::SlightlyLow => 60.0,
            Self::Low => 95.0,
        }
    }
}

/// The form of the page: a guard that selects between three accounts, on emulators of its own.
#[derive(Debug)]
pub(crate) struct OutageForm {
    primary: Emulator,
    others: Emulator,
    /// Kept because it keeps the guard.
    _deployment: Deployment,
    pub(crate) guard: Guard,
    pub(crate) options: OptionsEndpoint,
    broken: Mutex<Broken>,
}

impl OutageForm {
    pub(crate) async fn new(log: &Log) -> io::Result<Self> {
        let (primary, others) = (Emulator::start().await?, Emulator::start().await?);
        let log = log.clone();
        let deployment = Deployment::builder()
            .with_guard_setup(move |_, builder| builder.with_observer(log.clone()))
            .from_text(&configuration(&primary, &others), secret);
        let build = || -> Result<_, ConfigError> {
            let deployment = deployment?;
            let guard = deployment.guard(ROUTE)?;
            Ok((deployment.options_endpoint()?, guard, deployment))
        };
        let (options, guard, deployment) = build().map_err(io::Error::other)?;
        let form = Self {
            primary,
            others,
            _deployment: deployment,
            guard,
            options,
            broken: Mutex::default(),
        };
        form.set(Broken::default());
        Ok(form)
    }

    /// Breaks and repairs the primary provider.
    pub(crate) fn set(&self, broken: Broken) {
        self.primary.heal();
        if broken.service {
            self.primary.fail(Fault::ResetBefore, None);
        }
        self.primary.configure(|knobs| {
            knobs.scripts_fail = broken.script;
            knobs.quota_used_up = broken.quota;
            knobs.visitor_score = Some(broken.score.risk());
        });
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }

    /// Returns what is broken now.
    pub(crate) fn broken(&self) -> Broken {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the configuration for the page, with the addresses of this run.
    pub(crate) fn configuration(&self) -> String {
        configuration(&self.primary, &self.others)
    }
}

fn configuration(primary: &Emulator, others: &Emulator) -> String {
    let mut text = CONFIGURATION
        .replace("{primary}", &primary.base_url())
        .replace("{others}", &others.base_url());
    for kind in ["captchala", "turnstile", "hcaptcha"] {
        let account = EmulatedAccount::for_provider(kind);
        text = text.replace(&format!("{{site key of {kind}}}"), &account.site_key);
    }
    text
}

/// Returns the value of a variable that the configuration names.
fn secret(name: &str) -> Option<String> {
    let of = |kind| Some(EmulatedAccount::for_provider(kind).secret);
    match name {
        "HUMAN_CHECK_SECRET_MAIN" => of("captchala"),
        "HUMAN_CHECK_SECRET_SPARE" => of("turnstile"),
        "HUMAN_CHECK_SECRET_STRONGER" => of("hcaptcha"),
        "OFFER_KEY" => Some(
            [(); 2]
                .map(|()| Uuid::new_v4().simple().to_string())
                .concat(),
        ),
        _ => None,
    }
}
