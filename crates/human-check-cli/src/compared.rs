//! The providers of `compare`, by name.

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
    /// The name, which is also a member of `tokens` in the file of tokens.
    pub(crate) name: String,
    /// The kind of provider.
    pub(crate) kind: ProviderKind,
    /// The check of the account, with the account's own rules.
    pub(crate) check: Box<dyn HumanCheck>,
}

impl NamedCheck {
    /// Returns whether the provider can report an action, so that one can be expected.
    pub(crate) fn reports_action(&self) -> bool {
        self.check.capabilities().of(FactKind::Action) != Support::Never
    }

    /// Builds the check of an account.
    fn of(account: NamedProvider, client: &ProviderClient) -> Result<Self, ConfigError> {
        let (name, kind) = (account.name.clone(), account.config.kind);
        if kind == ProviderKind::Altcha {
            return Err(ConfigError::new(
                format!("providers.{name}.kind"),
                "is altcha, whose tokens last for minutes and are accepted once, so a file of them cannot be compared",
                "leave it out here, and compare altcha on live traffic with [check.shadow]",
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

/// Returns the providers of a file. With an `emulator`, they have its address and its keys.
///
/// # Errors
///
/// [`ConfigError`] that names the line or the setting. It shows no value, which may be a secret in
/// the wrong place.
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

/// Returns providers of the emulator under the names of their kinds, with the emulator's keys.
///
/// # Errors
///
/// [`ConfigError`] when the address of the emulator is wrong, or a kind cannot be compared.
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

/// Replaces address and keys of an account by those of the emulator.
fn move_to_emulator(config: &mut ProviderConfig, emulator: &str) -> Result<(), ConfigError> {
    let emulated = EmulatedAccount::for_provider(config.kind.provider().name());
    config.site_key = Some(emulated.site_key);
    config.secret = Some(Secret::new(emulated.secret)?);
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
