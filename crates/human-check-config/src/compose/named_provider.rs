//! Reads the table of an account.

use std::path::Path;

use human_check_core::{ConfigError, Enforce, HumanCheck, Policy, Secret, TestKeyPolicy};
use human_check_http::ProviderClient;
use human_check_http::adapter::TEST_SECRET_REMEDY;

use crate::context::Context;
use crate::issuer::Issuer;
use crate::model::{ProviderTable, ProviderTables};
use crate::source::{Document, KeyPath, SecretFiles, read};
use crate::{ProviderConfig, parse_base_url};

/// An account with one provider, as a table `[providers.NAME]` describes it.
///
/// Use it to build the check of one account without a whole [`Deployment`](crate::Deployment).
/// [`load_accounts`] reads the accounts of a file.
///
/// ```
/// use human_check_config::{NamedProvider, ProviderConfig, ProviderKind};
/// use human_check_core::{ConfigError, HumanCheck, Secret};
/// use human_check_http::ProviderClient;
///
/// fn turnstile(client: &ProviderClient, secret: Secret) -> Result<impl HumanCheck, ConfigError> {
///     let mut config = ProviderConfig::new(ProviderKind::Turnstile);
///     config.site_key = Some("0x4AAAAAAADemoSiteKey".to_owned());
///     config.secret = Some(secret);
///     let mut account = NamedProvider::new("sign-up", config);
///     account.hostnames = Some(vec!["www.example.com".to_owned()]);
///     account.build(client)
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct NamedProvider {
    /// The name of the account, which is that of its table.
    pub name: String,
    /// The settings of the adapter.
    pub config: ProviderConfig,
    /// The hosts that may show the challenge. `None` allows every host.
    pub hostnames: Option<Vec<String>>,
}

/// An adapter inside of the rules of its account.
type EnforcedCheck = Enforce<Box<dyn HumanCheck>>;

impl NamedProvider {
    /// Creates an account that accepts every host.
    pub fn new(name: impl Into<String>, config: ProviderConfig) -> Self {
        Self {
            name: name.into(),
            config,
            hostnames: None,
        }
    }

    /// Builds the check of the account: the adapter, and the account's own rules for hosts, score
    /// and test keys.
    ///
    /// It has no concurrency limit, circuit breaker, timeout of its own or replay store; a
    /// [`Deployment`](crate::Deployment) adds these. The timeouts are those of the client.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a setting is missing, wrong, or does not fit the kind of provider.
    pub fn build(self, client: &ProviderClient) -> Result<EnforcedCheck, ConfigError> {
        Ok(self.build_both(client)?.0)
    }

    /// Builds the check of the account, and the issuer of its challenges or server tokens, if its
    /// kind has one.
    pub(super) fn build_both(
        self,
        client: &ProviderClient,
    ) -> Result<(EnforcedCheck, Option<Issuer>), ConfigError> {
        let mut policy = Policy::new().with_test_keys(self.config.test_keys);
        if let Some(score) = self.config.policy_score()? {
            policy = policy.with_min_score(score);
        }
        if let Some(hostnames) = &self.hostnames {
            policy = policy.with_hostnames(hostnames)?;
        }
        let (check, issuer) = self.config.build_both(client)?;
        Ok((Enforce::new(check, policy)?, issuer))
    }
}

/// Reads the accounts of the file at `path`, in the order of their names.
///
/// The file needs the tables `[providers.NAME]` only. The file of a whole deployment works, too:
/// its other tables are ignored.
///
/// With `with_secrets` it reads the secrets that the file refers to. Without, the accounts have no
/// secret, for use with an emulator, which has secrets of its own.
///
/// ```no_run
/// use human_check_config::load_accounts;
/// use std::path::Path;
///
/// for account in load_accounts(Path::new("human-check.toml"), true)? {
///     println!("{}: {}", account.name, account.config.kind);
/// }
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// # Errors
///
/// [`ConfigError`] that names file, line and key, what is wrong, and what to write instead.
pub fn load_accounts(path: &Path, with_secrets: bool) -> Result<Vec<NamedProvider>, ConfigError> {
    let name = path.display().to_string();
    let document = Document::from_toml(name.clone(), &read(path)?)?;
    let tables: ProviderTables = document.read_as()?;
    if tables.providers.is_empty() {
        let remedy = "add a table [providers.NAME]";
        return Err(ConfigError::new(name, "names no account", remedy));
    }
    let context = Context {
        document: &document,
        directory: path.parent().unwrap_or(Path::new(".")),
        variable: &|name| std::env::var(name).ok(),
        secrets: &SecretFiles::default(),
    };
    let tables = tables.providers.iter();
    tables
        .map(|(name, table)| context.named_provider(name, table, with_secrets))
        .collect()
}

impl Context<'_> {
    /// Reads the table of the account called `name`. Whether its settings fit together shows when
    /// the account is built.
    pub(crate) fn named_provider(
        &self,
        name: &str,
        table: &ProviderTable,
        with_secret: bool,
    ) -> Result<NamedProvider, ConfigError> {
        let is_plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !is_plain || !(1..=64).contains(&name.len()) {
            return Err(self.wrong(
                &"providers".into(),
                format!("has an account named {name:?}"),
                "name it in up to 64 letters, digits, `-` and `_`",
            ));
        }
        let account = KeyPath::provider(name);
        for (key, why) in table.kind.meaningless_keys() {
            let path = account.join(key);
            if self.document.has(&path) {
                let problem = format!("means nothing for {}{why}", table.kind);
                return Err(self.wrong(&path, problem, "leave it out"));
            }
        }
        let mut config = ProviderConfig::new(table.kind);
        config.site_key = table.site_key.clone();
        if config.site_key.is_none() && !table.kind.is_self_hosted() {
            let remedy = "copy it from the provider's dashboard";
            return Err(self.wrong(&account.join("site_key"), "is missing", remedy));
        }
        if with_secret {
            config.secret = Some(self.account_secret(name, table)?);
        }
        #[cfg(feature = "altcha")]
        {
            config.altcha.site = table.site.clone();
            config.altcha.difficulty = table.difficulty.map(Into::into);
            config.altcha.challenge_ttl = table.challenge_ttl;
            if let Some(reference) = table.previous_secret.as_ref().filter(|_| with_secret) {
                let path = account.join("previous_secret");
                config.altcha.previous_secret = Some(self.secret(&path, Some(reference), "")?);
            }
        }
        config.project = table.project.clone();
        config.enterprise_key = table.enterprise_key;
        config.min_score = table.min_score;
        config.max_risk = table.max_risk;
        config.accept_offline_tokens = table.accept_offline_tokens;
        config.fields = table.fields.clone();
        let is_field_name =
            |field: &String| !field.is_empty() && field.bytes().all(|b| b.is_ascii_graphic());
        if !config.fields.iter().all(is_field_name) {
            return Err(self.wrong(
                &account.join("fields"),
                "holds a name that is empty or has spaces or other than ASCII characters",
                "write names without spaces, such as captcha-token",
            ));
        }
        config.fields.dedup();
        let base = table.base_url.as_deref().map(parse_base_url).transpose();
        config.base_url = base.map_err(|error| self.in_account(name, error))?;
        if table.allow_test_keys {
            config.test_keys = TestKeyPolicy::Allowed;
        }
        Ok(NamedProvider {
            name: name.to_owned(),
            config,
            hostnames: table.hostnames.clone(),
        })
    }

    /// Puts the place of the key at fault into an error of an adapter or a policy. Their settings
    /// have the names of the account's keys.
    pub(super) fn in_account(&self, name: &str, error: ConfigError) -> ConfigError {
        let account = KeyPath::provider(name);
        let error = match error.remedy() == TEST_SECRET_REMEDY {
            true => {
                let key =
                    self.document
                        .setting(&account.join("allow_test_keys"), "true", "allowed");
                error.with_remedy(format!(
                    "use the secret of your own site; a test can set {key}"
                ))
            }
            false => error,
        };
        let key = error.field().to_owned();
        self.placed(&account.join(key), error)
    }

    /// Reads the secret of an account, by default from the variable `HUMAN_CHECK_SECRET_<NAME>`.
    fn account_secret(&self, name: &str, table: &ProviderTable) -> Result<Secret, ConfigError> {
        let variable: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let variable = format!("HUMAN_CHECK_SECRET_{}", variable.to_ascii_uppercase());
        let path = KeyPath::provider(name).join("secret");
        self.secret(&path, table.secret.as_ref(), &variable)
    }
}
