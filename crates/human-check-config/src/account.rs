use std::path::Path;

use human_check_core::{ConfigError, Enforce, HumanCheck, Policy, TestingCredentials};
use human_check_http::{Exchange, HyperTransport};

use crate::Setup;
use crate::compose::Surroundings;
use crate::document::Document;
use crate::model::VendorTables;
use crate::secrets::Secrets;
use crate::stores::{Sinks, Stores};
use crate::vendor::WithIssuer;

/// An account with one vendor, as a table `[vendors.NAME]` describes it.
#[derive(Debug)]
pub struct Account {
    /// The name of the table.
    pub name: String,
    /// What its adapter needs.
    pub setup: Setup,
    /// The hosts that may show its challenge.
    pub hostnames: Option<Vec<String>>,
}

impl Account {
    /// The adapter behind the account's own rules: hosts, score, testing keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when something is missing, wrong, or does not fit the vendor.
    pub fn build(self, exchange: &Exchange) -> Result<Enforce<Box<dyn HumanCheck>>, ConfigError> {
        Ok(self.build_both(exchange)?.0)
    }

    /// The same, and what issues challenges for it, where the application has to.
    pub(crate) fn build_both(
        self,
        exchange: &Exchange,
    ) -> Result<WithIssuer<Enforce<Box<dyn HumanCheck>>>, ConfigError> {
        let mut policy = Policy::new();
        if self.setup.testing == TestingCredentials::Allowed {
            policy = policy.allowing_testing_credentials();
        }
        if let Some(score) = self.setup.policy_score()? {
            policy = policy.with_min_score(score);
        }
        if let Some(hostnames) = &self.hostnames {
            policy = policy.with_hostnames(hostnames)?;
        }
        let (check, issuer) = self.setup.build_both(exchange)?;
        Ok((Enforce::new(check, policy)?, issuer))
    }
}

/// All accounts of the file at `path`, which may hold nothing but `[vendors]` or a whole deployment.
///
/// `with_secrets` reads the secrets as well; without, the accounts have none, for use against an
/// emulator with keys of its own.
///
/// # Errors
///
/// [`ConfigError`] that names file, line and key, what is wrong, and what to write instead.
pub fn accounts(path: &Path, with_secrets: bool) -> Result<Vec<Account>, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem = format!("cannot be read ({error})");
        ConfigError::new(name.clone(), problem, "check the path and its permissions")
    })?;
    let document = Document::read(name.clone(), text, Vec::new())?;
    let tables: VendorTables = document.read_as()?;
    if tables.vendors.is_empty() {
        return Err(ConfigError::new(
            name,
            "names no vendor",
            "add a table [vendors.NAME]",
        ));
    }
    let around = Surroundings {
        document: &document,
        directory: path.parent().unwrap_or(Path::new(".")),
        variable: &|name| std::env::var(name).ok(),
        exchange: &Exchange::new(HyperTransport::new()?),
        stores: &Stores::none(),
        sinks: &Sinks::dry(),
        secrets: &Secrets::default(),
        now: std::time::SystemTime::now(),
    };
    let tables = tables.vendors.iter();
    tables
        .map(|(name, table)| around.account(name, table, with_secrets))
        .collect()
}
