use std::str::FromStr;
use std::sync::Arc;

use human_check_altcha::Difficulty;
use human_check_core::{ConfigError, HumanCheck, MemorySpent, Secret, TestingCredentials, Widget};
use human_check_guard::{Challenges, Guard, GuardBuilder, OnOutage, Settings};
use human_check_http::{Exchange, HyperTransport};

use crate::vendor::Issuer;
use crate::{EnterpriseKey, Setup, Vendor, base_url};

/// One vendor and one guard's settings, as the environment describes them.
///
/// The variables are listed on the [front page](crate). One that is empty counts as not set. An
/// unknown one that begins with `HUMAN_CHECK_` is an error, so that a misspelt rule is not a missing
/// rule.
#[derive(Debug)]
pub struct Site {
    /// The vendor.
    pub check: Arc<dyn HumanCheck>,
    /// Its widget.
    pub widget: Widget,
    /// What the guard is told.
    pub settings: Settings,
    issuer: Option<Issuer>,
}

const PREFIX: &str = "HUMAN_CHECK_";

const KNOWN: [&str; 20] = [
    "ACTION",
    "BASE_URL",
    "CLIENT_ADDRESS",
    "DIFFICULTY",
    "ENTERPRISE_KEY",
    "FIELD",
    "HEADER",
    "HOSTNAMES",
    "MAX_RISK",
    "MIN_SCORE",
    "ON_OUTAGE",
    "PROJECT",
    "PROVIDER",
    "SECRET",
    "SECRET_FILE",
    "SITE",
    "SITE_KEY",
    "TESTING_KEYS",
    "TRUSTED_PROXIES",
    WIDGET,
];

/// Where an application that serves altcha's widget finds it. Nothing of it is read here.
const WIDGET: &str = "WIDGET";

impl Site {
    /// Reads the environment of this process.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the variable, what is wrong with it, and what to write instead.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            // In any case, since a rule in small letters is misspelt and not absent.
            let ours = |name: &&str| {
                let prefix = name.get(..PREFIX.len());
                prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
            };
            let Some(name) = name.to_str().filter(ours) else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                ConfigError::new(name.to_owned(), "is not UTF-8", "write plain text")
            })?;
            variables.push((name.to_owned(), value));
        }
        Self::from_vars(variables)
    }

    /// Reads variables given as names and values. Those of another prefix are ignored.
    ///
    /// # Errors
    ///
    /// As for [`from_env`](Self::from_env).
    pub fn from_vars(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let variables = Variables::checked(variables)?;
        Self::read(&variables).map_err(as_variable)
    }

    fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let vendor = variables.vendor()?;
        if vendor != Vendor::RecaptchaEnterprise {
            variables.refuse(&["ENTERPRISE_KEY", "PROJECT"], vendor)?;
        }
        let mut setup = Setup::new(vendor);
        if vendor == Vendor::Altcha {
            let theirs = [
                "BASE_URL",
                "HOSTNAMES",
                "MAX_RISK",
                "MIN_SCORE",
                "TESTING_KEYS",
            ];
            variables.refuse(&theirs, vendor)?;
            setup.site_key = variables.get("SITE_KEY").map(str::to_owned);
            let site = variables.required("SITE", "name the site, such as www.example.com")?;
            setup.proof_of_work.site = Some(site);
            setup.proof_of_work.difficulty = variables.difficulty()?;
            setup.proof_of_work.spent = Some(Arc::new(MemorySpent::new(1_000_000)));
        } else {
            variables.refuse(&["DIFFICULTY", "SITE"], vendor)?;
            let remedy = "copy it from the vendor's dashboard";
            setup.site_key = Some(variables.required("SITE_KEY", remedy)?);
        }
        setup.secret = Some(variables.secret()?);
        setup.testing = match variables.get("TESTING_KEYS") {
            None => TestingCredentials::Refused,
            Some("allowed") => TestingCredentials::Allowed,
            Some(_) => {
                return Err(wrong("TESTING_KEYS", "write `allowed`, or leave it out"));
            }
        };
        setup.base = variables.get("BASE_URL").map(base_url).transpose()?;
        setup.project = variables.get("PROJECT").map(str::to_owned);
        setup.min_score = variables.parsed("MIN_SCORE", "write a number from 0 to 1")?;
        setup.max_risk = variables.parsed("MAX_RISK", "write a number on the vendor's scale")?;
        setup.key = match variables.get("ENTERPRISE_KEY") {
            None => None,
            Some("score") => Some(EnterpriseKey::Score),
            Some("checkbox") => Some(EnterpriseKey::Checkbox),
            Some("challenge") => Some(EnterpriseKey::Challenge),
            Some(_) => {
                return Err(wrong(
                    "ENTERPRISE_KEY",
                    "write score, checkbox or challenge",
                ));
            }
        };
        setup.fields = variables.list("FIELD")?;
        if setup
            .fields
            .iter()
            .any(|name| !name.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(wrong(
                "FIELD",
                "write a name without spaces, such as captcha-token",
            ));
        }
        setup.fields.dedup();

        let mut settings = Settings::new(match variables.get("ON_OUTAGE") {
            None | Some("refuse") => OnOutage::Refuse,
            Some("let-in") => OnOutage::LetIn,
            Some(_) => return Err(wrong("ON_OUTAGE", "write refuse or let-in")),
        });
        settings.action = variables.get("ACTION").map(str::to_owned);
        let hostnames = variables.list("HOSTNAMES")?;
        settings.hostnames = (!hostnames.is_empty()).then_some(hostnames);
        settings.min_score = setup.policy_score()?.map(|score| score.human());
        settings.header = variables.get("HEADER").map(str::to_owned);
        settings.client_address = variables.get("CLIENT_ADDRESS").map(str::to_owned);
        settings.trusted_proxies = variables.list("TRUSTED_PROXIES")?;
        settings.allow_testing_credentials = setup.testing.allowed();

        let widget = setup.widget()?;
        let (check, issuer) = setup.build_both(&Exchange::new(HyperTransport::new()?))?;
        Ok(Self {
            check: Arc::from(check),
            widget,
            settings,
            issuer,
        })
    }

    /// A guard to set up further.
    pub fn builder(&self) -> GuardBuilder {
        Guard::builder(Arc::clone(&self.check)).with_widget(self.widget.clone())
    }

    /// The guard, for the route of this name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a setting is wrong, or does not fit the vendor.
    pub fn guard(&self, route: impl Into<String>) -> Result<Guard, ConfigError> {
        let mut settings = self.settings.clone();
        settings.route = Some(route.into());
        settings.build(self.builder()).map_err(as_variable)
    }

    /// What an endpoint answers that hands challenges to pages whose forms lead to this route, where
    /// the application makes them: altcha's, or CaptchaLa's server tokens.
    ///
    /// # Errors
    ///
    /// As for [`guard`](Self::guard).
    pub fn challenges(&self, route: impl Into<String>) -> Result<Option<Challenges>, ConfigError> {
        let guard = self.guard(route)?;
        let issuer = self.issuer.clone();
        Ok(issuer.map(|issuer| Challenges::new(issuer).for_guard(guard)))
    }
}

/// Names the variable behind a setting.
fn as_variable(error: ConfigError) -> ConfigError {
    let name = match error.field() {
        // What altcha's widget calls it.
        "challenge" => "SITE_KEY".to_owned(),
        field => field.to_ascii_uppercase(),
    };
    if !KNOWN.contains(&name.as_str()) {
        return error;
    }
    let (problem, remedy) = (error.problem().to_owned(), error.remedy().to_owned());
    ConfigError::new(format!("{PREFIX}{name}"), problem, remedy)
}

/// Refuses variables of a single vendor where a file says everything: one of them that is ignored looks
/// like a rule.
pub(crate) fn refuse_beside_a_file(
    variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<(), ConfigError> {
    // A file may refer to a secret by any name, and says nothing of where the widget is.
    let ignored =
        |name: &&str| KNOWN.contains(name) && !name.starts_with("SECRET") && *name != WIDGET;
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let short = name.strip_prefix(PREFIX).filter(ignored);
        if short.is_some() && !value.is_empty() {
            return Err(ConfigError::new(
                name.to_owned(),
                "is set beside a configuration file, which says all of that",
                "unset it, or write HUMAN_CHECK__… with the table and key that it is to change",
            ));
        }
    }
    Ok(())
}

fn wrong(name: &str, remedy: &'static str) -> ConfigError {
    ConfigError::new(
        format!("{PREFIX}{name}"),
        "is not one of its values",
        remedy,
    )
}

/// The variables that are set, without their prefix. Never shown: one of them is a secret.
struct Variables(Vec<(String, String)>);

impl Variables {
    fn checked(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut set = Vec::new();
        for (name, value) in variables {
            let prefix = name.get(..PREFIX.len()).unwrap_or_default();
            if !prefix.eq_ignore_ascii_case(PREFIX) {
                continue;
            }
            let short = name.strip_prefix(PREFIX).unwrap_or_default();
            if !KNOWN.contains(&short) {
                return Err(ConfigError::new(
                    name.clone(),
                    "is not known",
                    format!(
                        "write one of {PREFIX}{}",
                        KNOWN.join(&format!(", {PREFIX}"))
                    ),
                ));
            }
            if !value.trim().is_empty() {
                set.push((short.to_owned(), value.trim().to_owned()));
            }
        }
        Ok(Self(set))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &str, remedy: &'static str) -> Result<String, ConfigError> {
        let missing = || ConfigError::new(format!("{PREFIX}{name}"), "is not set", remedy);
        self.get(name).map(str::to_owned).ok_or_else(missing)
    }

    fn parsed<T: FromStr>(
        &self,
        name: &str,
        remedy: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| wrong(name, remedy))
    }

    fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        let Some(text) = self.get(name) else {
            return Ok(Vec::new());
        };
        let entries: Vec<_> = text
            .split(',')
            .map(|entry| entry.trim().to_owned())
            .collect();
        if entries.iter().any(String::is_empty) {
            return Err(ConfigError::new(
                format!("{PREFIX}{name}"),
                "lists something empty, so a rule may be missing",
                "write entries separated by commas, or unset it",
            ));
        }
        Ok(entries)
    }

    /// Refuses what means nothing for this vendor: a setting that is ignored looks like a rule.
    fn refuse(&self, names: &[&str], vendor: Vendor) -> Result<(), ConfigError> {
        match names.iter().find(|name| self.get(name).is_some()) {
            None => Ok(()),
            Some(name) => Err(ConfigError::new(
                format!("{PREFIX}{name}"),
                format!("means nothing for {}", vendor.provider()),
                "leave it out",
            )),
        }
    }

    fn vendor(&self) -> Result<Vendor, ConfigError> {
        let names = "write turnstile, hcaptcha, recaptcha-v2, recaptcha-v3, recaptcha-enterprise, captchala or altcha";
        let name = self.required("PROVIDER", names)?;
        let known = Vendor::ALL.into_iter();
        let mut known = known.filter(|vendor| vendor.provider().name().eq_ignore_ascii_case(&name));
        known.next().ok_or_else(|| wrong("PROVIDER", names))
    }

    fn difficulty(&self) -> Result<Option<Difficulty>, ConfigError> {
        let unknown = || wrong("DIFFICULTY", "write light, standard or sha");
        // Others would need more of the adapter than configuration builds.
        let known = |name: &&str| ["light", "standard", "sha"].contains(name);
        match self.get("DIFFICULTY") {
            None => Ok(None),
            Some(name) => {
                let named = Some(name).filter(known).and_then(Difficulty::named);
                named.map(Some).ok_or_else(unknown)
            }
        }
    }

    fn secret(&self) -> Result<Secret, ConfigError> {
        let field = "HUMAN_CHECK_SECRET_FILE";
        match (self.get("SECRET"), self.get("SECRET_FILE")) {
            (Some(_), Some(_)) => Err(ConfigError::new(
                field,
                "is set beside HUMAN_CHECK_SECRET",
                "set one of them",
            )),
            (Some(secret), None) => Secret::new(secret),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    ConfigError::new(
                        field,
                        format!("names {path}, which cannot be read ({error})"),
                        "check the path and its permissions",
                    )
                })?;
                Secret::new(text.trim())
            }
            (None, None) => Err(ConfigError::new(
                "HUMAN_CHECK_SECRET",
                "is not set",
                "set it to the secret key, or HUMAN_CHECK_SECRET_FILE to a file that holds it",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNSTILE: [(&str, &str); 3] = [
        ("PROVIDER", "turnstile"),
        ("SITE_KEY", "0x4AAAAAAADemoSiteKey"),
        ("SECRET", "0x4AAAAAAADemoSecret"),
    ];

    fn site(changes: &[(&str, &str)]) -> Result<Site, ConfigError> {
        let mut variables = TURNSTILE.to_vec();
        variables.retain(|(name, _)| !changes.iter().any(|(other, _)| other == name));
        variables.extend(changes);
        let named = |(name, value): (&str, &str)| (format!("{PREFIX}{name}"), value.to_owned());
        Site::from_vars(variables.into_iter().map(named))
    }

    #[test]
    fn what_is_missing_misspelt_or_wrong_is_named() {
        for (changes, field) in [
            (&[("PROVIDER", "")][..], "HUMAN_CHECK_PROVIDER"),
            (&[("PROVIDER", "turnstyle")], "HUMAN_CHECK_PROVIDER"),
            (&[("SITE_KEY", " ")], "HUMAN_CHECK_SITE_KEY"),
            (&[("SECRET", "")], "HUMAN_CHECK_SECRET"),
            (&[("SECRET_FILE", "/x")], "HUMAN_CHECK_SECRET_FILE"),
            (
                &[("SECRET", ""), ("SECRET_FILE", "/no/such/file")],
                "HUMAN_CHECK_SECRET_FILE",
            ),
            (&[("HOSTNAME", "a.example")], "HUMAN_CHECK_HOSTNAME"),
            (&[("FIELD", "bad field")], "HUMAN_CHECK_FIELD"),
            (&[("HOSTNAMES", ",")], "HUMAN_CHECK_HOSTNAMES"),
            (
                &[("HOSTNAMES", "a.example,,b.example")],
                "HUMAN_CHECK_HOSTNAMES",
            ),
            (&[("TRUSTED_PROXIES", " , ")], "HUMAN_CHECK_TRUSTED_PROXIES"),
            (&[("PROJECT", "x")], "HUMAN_CHECK_PROJECT"),
            (&[("ON_OUTAGE", "open")], "HUMAN_CHECK_ON_OUTAGE"),
            (&[("TESTING_KEYS", "yes")], "HUMAN_CHECK_TESTING_KEYS"),
            (&[("MIN_SCORE", "high")], "HUMAN_CHECK_MIN_SCORE"),
            (
                &[("BASE_URL", "https://x.example/path")],
                "HUMAN_CHECK_BASE_URL",
            ),
            (&[("PROVIDER", "recaptcha-v3")], "HUMAN_CHECK_MIN_SCORE"),
        ] {
            let error = site(changes).unwrap_err();
            assert_eq!(error.field(), field, "{changes:?}");
            assert!(!error.to_string().contains("DemoSecret"), "{error}");
        }
    }

    #[test]
    fn a_variable_in_small_letters_is_misspelt_and_not_absent() {
        let odd = ("Human_Check_Hostnames".to_owned(), "a.example".to_owned());
        let named = |(name, value): (&str, &str)| (format!("{PREFIX}{name}"), value.to_owned());
        let variables = TURNSTILE.into_iter().map(named).chain([odd]);
        let error = Site::from_vars(variables).unwrap_err();
        assert_eq!(error.field(), "Human_Check_Hostnames");
    }

    #[test]
    fn a_rule_that_does_not_fit_is_refused_by_the_guard() {
        let guard = |changes: &[(&str, &str)]| site(changes).unwrap().guard("signup");
        for (changes, field) in [
            (&[("HOSTNAMES", "not a host")][..], "HUMAN_CHECK_HOSTNAMES"),
            (
                &[("TRUSTED_PROXIES", "10.0.0.0/8")],
                "HUMAN_CHECK_TRUSTED_PROXIES",
            ),
            (
                &[("CLIENT_ADDRESS", "x-forwarded-for")],
                "HUMAN_CHECK_TRUSTED_PROXIES",
            ),
            (
                &[("CLIENT_ADDRESS", "X Y"), ("TRUSTED_PROXIES", "10.0.0.1")],
                "HUMAN_CHECK_CLIENT_ADDRESS",
            ),
            (&[("HEADER", "X Token")], "HUMAN_CHECK_HEADER"),
            (
                &[("PROVIDER", "hcaptcha"), ("ACTION", "signup")],
                "HUMAN_CHECK_ACTION",
            ),
        ] {
            assert_eq!(guard(changes).unwrap_err().field(), field, "{changes:?}");
        }
        assert!(guard(&[("ACTION", "signup"), ("CLIENT_ADDRESS", "Cloudflare")]).is_ok());
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_never_shown() {
        let path = std::env::temp_dir().join(format!("human-check-secret-{}", std::process::id()));
        std::fs::write(&path, "0x4AAAAAAAFileSecret\n").unwrap();
        let name = path.to_str().unwrap().to_owned();
        let site = site(&[("SECRET", ""), ("SECRET_FILE", &name)]).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(!format!("{site:?}").contains("FileSecret"));
    }

    #[test]
    fn the_field_reaches_the_check_and_the_widget() {
        let site = site(&[("FIELD", "captcha")]).unwrap();
        assert_eq!(
            site.check.accepts()[0].fields().collect::<Vec<_>>(),
            ["captcha"]
        );
        assert_eq!(site.widget.field(), "captcha");
    }
}
