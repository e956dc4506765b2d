//! Reads the table of an account.

use std::path::Path;

use human_check_core::{ConfigError, Enforce, HumanCheck, Policy, Secret, TestKeyPolicy};
use human_check_http::adapter::TEST_SECRET_REMEDY;
use human_check_http::{Endpoint, ProviderClient};

use crate::context::Context;
use crate::issuer::Issuer;
use crate::keys::check_keys;
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
/// use human_check_http::{Endpoint, ProviderClient};
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
    /// The hosts that may show the challenge. `None` allows every host, unless `apps` is set.
    pub hostnames: Option<Vec<String>>,
    /// The apps that may show the challenge, as package names and bundle ids. `None` allows every
    /// app, unless `hostnames` is set.
    pub apps: Option<Vec<String>>,
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
            apps: None,
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
    /// [`ConfigError`] when a setting is missing, wrong, or does not fit the kind of provider, and
    /// for a key that cannot be right: of another kind or role, in quotes, or published for tests.
    pub fn build(self, client: &ProviderClient) -> Result<EnforcedCheck, ConfigError> {
        Ok(self.build_both(client)?.0)
    }

    /// Builds the check of the account, and the issuer of its challenges or server tokens, if its
    /// kind has one.
    pub(super) fn build_both(
        self,
        client: &ProviderClient,
    ) -> Result<(EnforcedCheck, Option<Issuer>), ConfigError> {
        let policy = self.policy()?;
        let config = &self.config;
        let site_key = config.site_key.as_deref();
        check_keys(
            config.kind,
            site_key,
            config.secret.as_ref(),
            config.test_keys,
        )?;
        let (check, issuer) = self.config.build_both(client)?;
        Ok((Enforce::new(check, policy)?, issuer))
    }

    /// Returns the account's own rules.
    pub(super) fn policy(&self) -> Result<Policy, ConfigError> {
        let mut policy = Policy::new().with_test_keys(self.config.test_keys);
        if let Some(score) = self.config.policy_score()? {
            policy = policy.with_min_score(score);
        }
        with_origins(policy, self.hostnames.as_deref(), self.apps.as_deref())
    }
}

/// Adds the rule for hosts and apps, if there is one.
pub(crate) fn with_origins(
    policy: Policy,
    hostnames: Option<&[String]>,
    apps: Option<&[String]>,
) -> Result<Policy, ConfigError> {
    let hosts = hostnames.unwrap_or_default();
    if let Some(app) = hosts.iter().find(|host| is_app(host)) {
        return Err(ConfigError::new(
            "hostnames",
            format!("contains {app:?}, which looks like the name of an app"),
            "write it in `apps`; hosts are such as www.example.com",
        ));
    }
    match (hostnames, apps) {
        (None, None) => Ok(policy),
        (Some(hosts), None) => policy.with_hostnames(hosts),
        (_, Some(apps)) => {
            let is_name = |app: &String| {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
                app.contains('.') && app.bytes().all(plain)
            };
            if apps.is_empty() || !apps.iter().all(is_name) {
                return Err(ConfigError::new(
                    "apps",
                    "is empty, or has an entry that is no package name and no bundle id",
                    "write names such as com.example.app",
                ));
            }
            policy.with_hostnames_or_apps(hosts, apps)
        }
    }
}

/// Returns whether a text is the name of an app, which is a host in reverse.
///
/// No host begins with `com.` or `io.github.`. With `net.` or `org.` in front the end decides: a host ends in a
/// top-level domain, or in a name that networks use for themselves. Other beginnings may be those of
/// a host in a network of the operator.
fn is_app(text: &str) -> bool {
    const PRIVATE: [&str; 12] = [
        "consul",
        "corp",
        "example",
        "home",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "svc",
        "test",
    ];
    let text = text.to_ascii_lowercase();
    let name = text.trim_start_matches("*.").trim_end_matches('.');
    let is_known = |label: &str| psl::suffix(label.as_bytes()).is_some_and(|s| s.is_known());
    match name.split('.').collect::<Vec<_>>()[..] {
        ["com", _, ..] | ["io", "github", _, ..] => true,
        ["net" | "org", _, .., last] => !is_known(last) && !PRIVATE.contains(&last),
        _ => false,
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
    accounts(path, |_| with_secrets)
}

/// Reads one account of the file at `path`, with its secret. The secrets of the others are not read.
///
/// Without a `name` the file must have one account only.
///
/// # Errors
///
/// [`ConfigError`] as [`load_accounts`], and for `account` when there is none of this name, or
/// several and no name.
pub fn load_account(path: &Path, name: Option<&str>) -> Result<NamedProvider, ConfigError> {
    let mut all = accounts(path, |of| name.is_none_or(|name| name == of))?;
    let index = match name {
        Some(name) => all.iter().position(|account| account.name == name),
        None => (all.len() == 1).then_some(0),
    };
    let index = index.ok_or_else(|| {
        let problem = match name {
            Some(name) => format!("is {name:?}, which is no account of the file"),
            None => "is missing, and the file has several accounts".to_owned(),
        };
        let names: Vec<_> = all.iter().map(|account| account.name.as_str()).collect();
        ConfigError::new(
            "account",
            problem,
            format!("write one of {}", names.join(", ")),
        )
    })?;
    Ok(all.swap_remove(index))
}

/// Reads the accounts of a file, with the secrets of those that `with_secret` says.
fn accounts(
    path: &Path,
    with_secret: impl Fn(&str) -> bool,
) -> Result<Vec<NamedProvider>, ConfigError> {
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
        .map(|(name, table)| context.named_provider(name, table, with_secret(name)))
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
        let needs_site_key = !table.kind.is_self_hosted()
            && !matches!(table.kind.as_str(), "registered" | "siteverify");
        if config.site_key.is_none() && needs_site_key {
            let remedy = "copy it from the provider's dashboard";
            return Err(self.wrong(&account.join("site_key"), "is missing", remedy));
        }
        self.sign_in(name, table, &mut config, with_secret)?;
        #[cfg(feature = "altcha")]
        {
            config.altcha.site = table.site.clone();
            config.altcha.difficulty = table.difficulty.map(Into::into);
            config.altcha.challenge_ttl = table.challenge_ttl;
        }
        if let Some(reference) = table.previous_secret.as_ref().filter(|_| with_secret) {
            let path = account.join("previous_secret");
            let previous = Some(self.secret(&path, Some(reference), "")?);
            match table.kind.is_self_hosted() {
                #[cfg(feature = "altcha")]
                true => config.altcha.previous_secret = previous,
                _ => config.previous_secret = previous,
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
        let instance = table.instance.as_deref().map(Endpoint::parse).transpose();
        let instance = instance.map_err(|error| error.with_field("instance"));
        config.instance = instance.map_err(|error| self.in_account(name, error))?;
        config.script_url = table.script_url.clone();
        config.theme = table.theme.clone();
        config.size = table.size.clone();
        config.language = table.language.clone();
        #[cfg(feature = "siteverify")]
        if let Some(dialect) = &table.dialect {
            use crate::siteverify_config;

            let placed = |error| self.in_account(name, error);
            if config.fields.is_empty() {
                let remedy = "write the form field of the token, such as [\"acme-response\"]";
                return Err(self.wrong(&account.join("fields"), "is missing", remedy));
            }
            let built = siteverify_config::dialect(name, &config.fields, dialect);
            config.dialect = Some(built.map_err(placed)?);
            let spec = dialect
                .widget
                .as_ref()
                .map(siteverify_config::markup)
                .transpose();
            config.widget_spec = spec.map_err(placed)?;
            if config.widget_spec.is_some() && config.site_key.is_none() {
                let remedy = "copy it from the provider's dashboard; the widget needs it";
                return Err(self.wrong(&account.join("site_key"), "is missing", remedy));
            }
        }
        let looks = [
            ("language", config.language.is_some()),
            ("size", config.size.is_some()),
            ("theme", config.theme.is_some()),
        ];
        if !config.has_widget()
            && let Some((key, _)) = looks.iter().find(|(_, is_given)| *is_given)
        {
            let remedy = "leave it out, or give the account a widget with script_url";
            let problem = "is given for an account without a widget";
            return Err(self.wrong(&account.join(*key), problem, remedy));
        }
        if table.allow_test_keys {
            config.test_keys = TestKeyPolicy::Allowed;
        }
        Ok(NamedProvider {
            name: name.to_owned(),
            config,
            hostnames: table.hostnames.clone(),
            apps: table.apps.clone(),
        })
    }

    /// Reads how the account signs in: by its secret, or to Google Cloud in another way.
    fn sign_in(
        &self,
        name: &str,
        table: &ProviderTable,
        config: &mut ProviderConfig,
        with_secret: bool,
    ) -> Result<(), ConfigError> {
        let account = KeyPath::provider(name);
        let ways = [
            ("secret", table.secret.is_some()),
            ("service_account", table.service_account.is_some()),
            ("metadata_server", table.metadata_server),
        ];
        let mut given = ways.iter().filter(|(_, is_given)| *is_given);
        if let (Some(_), Some((second, _))) = (given.next(), given.next()) {
            let remedy = "give one of secret, service_account and metadata_server";
            return Err(self.wrong(
                &account.join(*second),
                "is one way too many to sign in",
                remedy,
            ));
        }
        if !with_secret {
            return Ok(());
        }
        #[cfg(feature = "recaptcha")]
        {
            use human_check_recaptcha::{Credential, MetadataServer};

            if table.metadata_server {
                config.credential = Some(Credential::bearer(MetadataServer::new()?));
                return Ok(());
            }
            #[cfg(feature = "service-account")]
            if let Some(reference) = &table.service_account {
                use human_check_recaptcha::ServiceAccount;

                let path = account.join("service_account");
                let file = self.secret_text(&path, reference)?;
                let key = Secret::multiline(file).and_then(|file| ServiceAccount::from_json(&file));
                let key = key.map_err(|error| self.placed(&path, error))?;
                config.credential = Some(Credential::bearer(key));
                return Ok(());
            }
            #[cfg(not(feature = "service-account"))]
            if table.service_account.is_some() {
                return Err(self.wrong(
                    &account.join("service_account"),
                    "is given, and this program was built without it",
                    "build the program with the feature `service-account`",
                ));
            }
        }
        // A registered adapter may need no secret.
        let is_optional = table.kind.as_str() == "registered" && table.secret.is_none();
        match self.account_secret(name, table) {
            Err(_) if is_optional => Ok(()),
            secret => {
                config.secret = Some(secret?);
                Ok(())
            }
        }
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
                    "use the keys of your own site; a test can set {key}"
                ))
            }
            false => error,
        };
        // A field such as `dialect.codes.used` is a path below the account.
        let key = error.field().to_owned();
        let path = key.splitn(3, '.').fold(account, |path, key| path.join(key));
        self.placed(&path, error)
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
