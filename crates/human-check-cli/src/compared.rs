//! Several providers by name, for `compare`.

use std::path::Path;

use human_check_config::{
    NamedProvider, ProviderConfig, ProviderKind, load_accounts, parse_base_url,
};
use human_check_core::{ConfigError, FactKind, HumanCheck, Secret, Support};
use human_check_emulator::EmulatedAccount;
use human_check_emulator::PROJECT;
use human_check_http::ProviderClient;

/// A provider under the name that the file of tokens gives it.
#[derive(Debug)]
pub(crate) struct NamedCheck {
    /// The name.
    pub(crate) name: String,
    /// Which provider.
    pub(crate) kind: ProviderKind,
    /// The check behind its rules.
    pub(crate) check: Box<dyn HumanCheck>,
}

impl NamedCheck {
    /// Whether an expected action may be asked for.
    pub(crate) fn reports_action(&self) -> bool {
        self.check.capabilities().of(FactKind::Action) != Support::Never
    }

    fn of(account: NamedProvider, client: &ProviderClient) -> Result<Self, ConfigError> {
        let (name, kind) = (account.name.clone(), account.config.kind);
        if kind == ProviderKind::Altcha {
            return Err(ConfigError::new(
                format!("providers.{name}.kind"),
                "is altcha, which judges an answer once and within minutes, so a file of them compares nothing",
                "leave it out here, and compare it behind live traffic, with [check.shadow]",
            ));
        }
        let check = account.build(client).map_err(|error| {
            let field = format!("providers.{name}.{}", error.field());
            error.with_field(field)
        })?;
        Ok(Self {
            name,
            kind,
            check: Box::new(check),
        })
    }
}

/// The providers of a file, with the emulator's keys if there is one.
///
/// # Errors
///
/// [`ConfigError`] that names the line or the setting, and shows no value: it may be a secret that
/// somebody wrote into the wrong place.
pub(crate) fn from_file(
    path: &Path,
    emulator: Option<&str>,
    client: &ProviderClient,
) -> Result<Vec<NamedCheck>, ConfigError> {
    let accounts = load_accounts(path, emulator.is_none())?.into_iter();
    let at_emulator = |mut account: NamedProvider| {
        if let Some(emulator) = emulator.filter(|_| account.config.kind != ProviderKind::Altcha) {
            move_to_emulator(&mut account.config, emulator)?;
        }
        NamedCheck::of(account, client)
    };
    accounts.map(at_emulator).collect()
}

/// Providers of the emulator under their own names, with its keys.
///
/// # Errors
///
/// [`ConfigError`] when the address is wrong.
pub(crate) fn emulated(
    kinds: &[ProviderKind],
    emulator: &str,
    client: &ProviderClient,
) -> Result<Vec<NamedCheck>, ConfigError> {
    let mut checks: Vec<NamedCheck> = Vec::new();
    for &kind in kinds {
        let name = kind.as_str().to_owned();
        if checks.iter().all(|check| check.name != name) {
            let mut config = ProviderConfig::new(kind);
            if kind != ProviderKind::Altcha {
                move_to_emulator(&mut config, emulator)?;
            }
            let account = NamedProvider::new(name, config);
            checks.push(NamedCheck::of(account, client)?);
        }
    }
    Ok(checks)
}

fn move_to_emulator(config: &mut ProviderConfig, emulator: &str) -> Result<(), ConfigError> {
    let site = EmulatedAccount::for_provider(config.kind.provider().name());
    config.site_key = Some(site.site_key);
    config.secret = Some(Secret::new(site.secret)?);
    config.project = Some(PROJECT.to_owned());
    config.base_url = Some(parse_base_url(emulator)?);
    let scored = matches!(
        config.kind,
        ProviderKind::RecaptchaV3 | ProviderKind::RecaptchaEnterprise
    );
    if scored && config.enterprise_key.is_none() {
        config.min_score = config.min_score.or(Some(0.5));
    }
    Ok(())
}
