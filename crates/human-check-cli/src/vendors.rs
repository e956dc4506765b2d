//! Several vendors by name, for `compare`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use human_check::{
    ConfigError, Enforce, Fact, HumanCheck, Policy, Presence, Secret, TestingCredentials,
};
use human_check_config::{EnterpriseKey, Setup, Vendor, base_url};
use human_check_http::Exchange;
use human_check_testkit::Site;
use human_check_testkit::emulator::PROJECT;
use serde::Deserialize;

/// A vendor under the name that the file of tokens gives it.
#[derive(Debug)]
pub struct NamedCheck {
    /// The name.
    pub name: String,
    /// Which vendor.
    pub vendor: Vendor,
    /// The check behind its rules.
    pub check: Box<dyn HumanCheck>,
}

impl NamedCheck {
    /// Whether an expected action may be asked for.
    pub fn reports_action(&self) -> bool {
        self.check.reports().of(Fact::Action) != Presence::Never
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vendors {
    vendors: BTreeMap<String, Entry>,
}

/// One table, `[vendors.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: Vendor,
    site_key: Option<String>,
    secret: Option<Source>,
    base_url: Option<String>,
    project: Option<String>,
    enterprise_key: Option<EnterpriseKey>,
    min_score: Option<f64>,
    max_risk: Option<f64>,
    hostnames: Option<Vec<String>>,
    #[serde(default)]
    testing_keys: bool,
}

/// Where a secret is. Never in the file itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    env: Option<String>,
    file: Option<PathBuf>,
}

/// The vendors of a file.
///
/// # Errors
///
/// [`ConfigError`] that names the line or the setting, and shows no value: it may be a secret that
/// somebody wrote into the wrong place.
pub fn from_file(
    path: &Path,
    emulator: Option<&str>,
    exchange: &Exchange,
) -> Result<Vec<NamedCheck>, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError::new(
            name.clone(),
            format!("cannot be read ({})", error.kind()),
            "check the path and its permissions",
        )
    })?;
    let vendors: Vendors = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        ConfigError::new(
            format!("{name}:{line}"),
            "is no setting of a vendor, or of the wrong type",
            "write [vendors.NAME] with provider, site_key, secret = { env = \"NAME\" } or { file = \"PATH\" }, and base_url, project, enterprise_key, min_score, max_risk, hostnames or testing_keys",
        )
    })?;
    let entries = vendors.vendors.into_iter();
    let checks: Result<Vec<_>, _> = entries
        .map(|(vendor, entry)| {
            entry
                .named(vendor.clone(), emulator, exchange)
                .map_err(|error| {
                    let (problem, remedy) = (error.problem().to_owned(), error.remedy().to_owned());
                    ConfigError::new(
                        format!("vendors.{vendor}.{}", error.field()),
                        problem,
                        remedy,
                    )
                })
        })
        .collect();
    let checks = checks?;
    if checks.is_empty() {
        return Err(ConfigError::new(
            name,
            "names no vendor",
            "write [vendors.NAME]",
        ));
    }
    Ok(checks)
}

/// Vendors of the emulator under their own names, with its keys.
///
/// # Errors
///
/// [`ConfigError`] when the address is wrong.
pub fn emulated(
    vendors: &[Vendor],
    emulator: &str,
    exchange: &Exchange,
) -> Result<Vec<NamedCheck>, ConfigError> {
    let mut checks: Vec<NamedCheck> = Vec::new();
    for &vendor in vendors {
        let name = vendor.provider().name().to_owned();
        if checks.iter().all(|check| check.name != name) {
            checks.push(Entry::of(vendor).named(name, Some(emulator), exchange)?);
        }
    }
    Ok(checks)
}

impl Entry {
    fn of(provider: Vendor) -> Self {
        Self {
            provider,
            site_key: None,
            secret: None,
            base_url: None,
            project: None,
            enterprise_key: None,
            min_score: None,
            max_risk: None,
            hostnames: None,
            testing_keys: false,
        }
    }

    fn named(
        self,
        name: String,
        emulator: Option<&str>,
        exchange: &Exchange,
    ) -> Result<NamedCheck, ConfigError> {
        let short = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !short {
            return Err(ConfigError::new(
                "name",
                "is no short name",
                "write up to 64 letters, digits, `-`, `_` and `.`",
            ));
        }
        let vendor = self.provider;
        let mut setup = Setup::new(vendor);
        setup.key = self.enterprise_key;
        setup.min_score = self.min_score;
        setup.max_risk = self.max_risk;
        setup.project = self.project;
        if self.testing_keys {
            setup.testing = TestingCredentials::Allowed;
        }
        if let Some(emulator) = emulator {
            let site = Site::own(vendor.provider().name());
            setup.site_key = Some(site.site_key);
            setup.secret = Some(Secret::new(site.secret)?);
            setup.project = Some(PROJECT.to_owned());
            setup.base = Some(base_url(emulator)?);
            if matches!(vendor, Vendor::RecaptchaV3 | Vendor::RecaptchaEnterprise)
                && setup.key.is_none()
            {
                setup.min_score = setup.min_score.or(Some(0.5));
            }
        } else {
            setup.site_key = self.site_key;
            setup.secret = self.secret.map(Source::read).transpose()?;
            setup.base = self.base_url.as_deref().map(base_url).transpose()?;
            if setup.secret.is_none() {
                return Err(ConfigError::new(
                    "secret",
                    "is missing",
                    "write secret = { env = \"NAME\" } or { file = \"PATH\" }",
                ));
            }
        }
        let mut policy = Policy::new();
        if let Some(hostnames) = self.hostnames {
            policy = policy.with_hostnames(hostnames)?;
        }
        if let Some(score) = setup.policy_score()? {
            policy = policy.with_min_score(score);
        }
        if self.testing_keys {
            policy = policy.allowing_testing_credentials();
        }
        let check = Enforce::new(setup.build(exchange)?, policy)?;
        Ok(NamedCheck {
            name,
            vendor,
            check: Box::new(check),
        })
    }
}

impl Source {
    fn read(self) -> Result<Secret, ConfigError> {
        match (self.env, self.file) {
            (Some(name), None) => {
                // The name is not shown: it may be the secret, in the wrong place.
                let value = std::env::var(name).map_err(|_| {
                    ConfigError::new(
                        "secret",
                        "names a variable that is not set",
                        "set it, or name a file",
                    )
                })?;
                Secret::new(value)
            }
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    ConfigError::new(
                        "secret",
                        format!("names a file that cannot be read ({})", error.kind()),
                        "check the path and its permissions",
                    )
                })?;
                Secret::new(text.trim())
            }
            _ => Err(ConfigError::new(
                "secret",
                "names both or neither of env and file",
                "name one of them",
            )),
        }
    }
}
