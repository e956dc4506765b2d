//! Several vendors by name, for `compare`.

use std::path::Path;

use human_check_config::{Account, Setup, Vendor, accounts, base_url};
use human_check_core::{ConfigError, Fact, HumanCheck, Presence, Secret};
use human_check_emulator::PROJECT;
use human_check_emulator::Site;
use human_check_http::Exchange;

/// A vendor under the name that the file of tokens gives it.
#[derive(Debug)]
pub(crate) struct NamedCheck {
    /// The name.
    pub(crate) name: String,
    /// Which vendor.
    pub(crate) vendor: Vendor,
    /// The check behind its rules.
    pub(crate) check: Box<dyn HumanCheck>,
}

impl NamedCheck {
    /// Whether an expected action may be asked for.
    pub(crate) fn reports_action(&self) -> bool {
        self.check.reports().of(Fact::Action) != Presence::Never
    }

    fn of(account: Account, exchange: &Exchange) -> Result<Self, ConfigError> {
        let (name, vendor) = (account.name.clone(), account.setup.vendor);
        if vendor == Vendor::Altcha {
            return Err(ConfigError::new(
                format!("vendors.{name}.provider"),
                "is altcha, which judges an answer once and within minutes, so a file of them compares nothing",
                "leave it out here, and compare it behind live traffic, with [check.shadow]",
            ));
        }
        let check = account.build(exchange).map_err(|error| {
            let field = format!("vendors.{name}.{}", error.field());
            ConfigError::new(field, error.problem().to_owned(), error.remedy().to_owned())
        })?;
        Ok(Self {
            name,
            vendor,
            check: Box::new(check),
        })
    }
}

/// The vendors of a file, with the emulator's keys if there is one.
///
/// # Errors
///
/// [`ConfigError`] that names the line or the setting, and shows no value: it may be a secret that
/// somebody wrote into the wrong place.
pub(crate) fn from_file(
    path: &Path,
    emulator: Option<&str>,
    exchange: &Exchange,
) -> Result<Vec<NamedCheck>, ConfigError> {
    let accounts = accounts(path, emulator.is_none())?.into_iter();
    let at_emulator = |mut account: Account| {
        if let Some(emulator) = emulator.filter(|_| account.setup.vendor != Vendor::Altcha) {
            move_to_emulator(&mut account.setup, emulator)?;
        }
        NamedCheck::of(account, exchange)
    };
    accounts.map(at_emulator).collect()
}

/// Vendors of the emulator under their own names, with its keys.
///
/// # Errors
///
/// [`ConfigError`] when the address is wrong.
pub(crate) fn emulated(
    vendors: &[Vendor],
    emulator: &str,
    exchange: &Exchange,
) -> Result<Vec<NamedCheck>, ConfigError> {
    let mut checks: Vec<NamedCheck> = Vec::new();
    for &vendor in vendors {
        let name = vendor.provider().name().to_owned();
        if checks.iter().all(|check| check.name != name) {
            let mut setup = Setup::new(vendor);
            if vendor != Vendor::Altcha {
                move_to_emulator(&mut setup, emulator)?;
            }
            let account = Account {
                name,
                setup,
                hostnames: None,
            };
            checks.push(NamedCheck::of(account, exchange)?);
        }
    }
    Ok(checks)
}

fn move_to_emulator(setup: &mut Setup, emulator: &str) -> Result<(), ConfigError> {
    let site = Site::own(setup.vendor.provider().name());
    setup.site_key = Some(site.site_key);
    setup.secret = Some(Secret::new(site.secret)?);
    setup.project = Some(PROJECT.to_owned());
    setup.base = Some(base_url(emulator)?);
    let scored = matches!(
        setup.vendor,
        Vendor::RecaptchaV3 | Vendor::RecaptchaEnterprise
    );
    if scored && setup.key.is_none() {
        setup.min_score = setup.min_score.or(Some(0.5));
    }
    Ok(())
}
