//! From what a file says to the check it describes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_altcha::CLOCKS;
use human_check_core::{
    Accept, Breaker, BreakerPolicy, ConfigError, Deadline, Failover, HumanCheck, Limit,
    MemorySpent, ReplayGuard, Secret, Shadow, SpentTokens, TestingCredentials, Widget,
};
use human_check_http::{Exchange, Limits};

use crate::document::Document;
use crate::in_time::InTime;
use crate::model::{AcceptTable, BreakerTable, Model, SecretRef, VendorTable};
use crate::secrets::Secrets;
use crate::stores::{Sinks, Stores};
use crate::vendor::Issuer;
use crate::{Account, ProofOfWork, Setup, Vendor, base_url};

/// What surrounds a file: the environment, the directory it is in, what outlives a reload.
pub(crate) struct Surroundings<'a> {
    pub(crate) document: &'a Document,
    pub(crate) directory: &'a Path,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) exchange: &'a Exchange,
    pub(crate) stores: &'a Stores,
    pub(crate) sinks: &'a Sinks,
    pub(crate) secrets: &'a Secrets,
    pub(crate) now: SystemTime,
}

/// The check of a deployment, and what its pages show.
pub(crate) struct Composed {
    pub(crate) check: Arc<dyn HumanCheck>,
    pub(crate) widgets: Vec<Widget>,
    /// What makes challenges for them.
    pub(crate) issuers: Vec<Issuer>,
    /// Whether a vendor's testing keys may prove a human.
    pub(crate) testing: bool,
}

/// How long all claims of one decision may take, after the vendors.
const STORE_DEADLINE: Duration = Duration::from_secs(1);

/// The role of a vendor that only compares.
const SHADOW: &str = "check.shadow.vendor";

/// How many answers to a shadowed proof of work are remembered.
const COMPARED: usize = 100_000;

type Shared = Arc<dyn HumanCheck>;

/// One vendor, set up.
struct Built {
    check: Shared,
    widget: Widget,
    issuer: Option<Issuer>,
    testing: bool,
}

impl Surroundings<'_> {
    pub(crate) fn compose(&self, model: &Model) -> Result<Composed, ConfigError> {
        let table = &model.check;
        let total = Duration::from_millis(table.deadline_ms.unwrap_or(3_000));
        if total < Duration::from_millis(100) {
            return Err(self.wrong(
                "check.deadline_ms",
                format!("is {} ms, in which no vendor can answer", total.as_millis()),
                "write 100 or more",
            ));
        }
        let (mut widgets, mut issuers) = (Vec::new(), Vec::new());
        let mut seen = vec![("check.use", table.vendor.as_str())];
        let mut testing = false;
        // Where somebody stands in for the first vendor, there must be time left for that.
        let each = match &table.failover {
            Some(_) => total * 2 / 3,
            None => total,
        };
        let mut vendor = |path: &'static str, name: &str, show: bool| {
            let built = self.vendor(model, path, name, each)?;
            testing |= built.testing;
            issuers.extend(built.issuer);
            if show {
                widgets.push(built.widget);
            }
            Ok::<Shared, ConfigError>(built.check)
        };

        let mut check = vendor("check.use", &table.vendor, true)?;
        if let Some(name) = &table.failover {
            self.another(&mut seen, "check.failover", name)?;
            let second = vendor("check.failover", name, true)?;
            let failover = Failover::new(check, second);
            let mut failover = failover.map_err(|e| self.placed("check.failover", e))?;
            if table.failover_when_declined {
                failover = failover.also_when_declined();
            }
            check = Arc::new(failover);
        } else if table.failover_when_declined {
            return Err(self.wrong(
                "check.failover_when_declined",
                "is given without a failover",
                "name the vendor to ask with check.failover, or leave this out",
            ));
        }
        if let Some(accept) = &table.accept {
            self.another(&mut seen, "check.accept.vendor", &accept.vendor)?;
            let old = vendor("check.accept.vendor", &accept.vendor, accept.show)?;
            let both =
                Accept::new(check, old).map_err(|e| self.placed("check.accept.vendor", e))?;
            check = match self.sunset(accept)? {
                Some(until) => Arc::new(both.until(until)),
                None => Arc::new(both),
            };
        }
        let mut check: Shared = Arc::new(Deadline::new(check, total));
        if let Some(store) = &self.stores.spent {
            let guard = ReplayGuard::new(check, Arc::clone(store));
            check = Arc::new(guard.with_store_deadline(STORE_DEADLINE));
        }
        if let Some(shadow) = &table.shadow {
            self.another(&mut seen, SHADOW, &shadow.vendor)?;
            let second = vendor(SHADOW, &shadow.vendor, true)?;
            let sink = self
                .sinks
                .open(&self.directory.join(&shadow.file))
                .map_err(|e| self.placed("check.shadow.file", e))?;
            let mut compared = Shadow::new(check, second, sink)
                .and_then(|compared| compared.with_sample(shadow.sample.unwrap_or(1.0)))
                .map_err(|e| match e.field() {
                    "sample" => self.placed("check.shadow.sample", e),
                    _ => self.placed(SHADOW, e),
                })?;
            if shadow.deadline_ms == Some(0) || shadow.in_flight == Some(0) {
                return Err(self.wrong(
                    "check.shadow",
                    "leaves no time or no room for a second opinion",
                    "write numbers above zero for deadline_ms and in_flight, or leave them out",
                ));
            }
            if let Some(most) = shadow.in_flight {
                compared = compared.with_most(most);
            }
            if let Some(deadline) = shadow.deadline_ms {
                compared = compared.with_deadline(Duration::from_millis(deadline));
            }
            check = Arc::new(compared);
        }
        Ok(Composed {
            check,
            widgets,
            issuers,
            testing,
        })
    }

    /// No vendor has two roles: it would be asked twice about one token.
    fn another<'m>(
        &self,
        seen: &mut Vec<(&'static str, &'m str)>,
        path: &'static str,
        name: &'m str,
    ) -> Result<(), ConfigError> {
        if let Some((role, _)) = seen.iter().find(|(_, other)| *other == name) {
            let problem = format!("is {name:?}, which is {role} already");
            return Err(self.wrong(path, problem, "name another vendor, or leave it out"));
        }
        seen.push((path, name));
        Ok(())
    }

    fn vendor(
        &self,
        model: &Model,
        role: &'static str,
        name: &str,
        total: Duration,
    ) -> Result<Built, ConfigError> {
        let Some(table) = model.vendors.get(name) else {
            let known: Vec<_> = model.vendors.keys().map(String::as_str).collect();
            let remedy = match known.as_slice() {
                [] => format!("add a table [vendors.{name}]"),
                known => format!("name one of {}, or add [vendors.{name}]", known.join(", ")),
            };
            return Err(self.wrong(role, format!("names {name:?}, which is no vendor"), remedy));
        };
        let mut account = self.account(name, table, true)?;
        let ours = table.provider == Vendor::Altcha;
        if ours {
            account.setup.proof_of_work.spent = Some(self.spent(role, name, table, total)?);
        }
        let widget = account.setup.widget();
        let widget = widget.map_err(|error| self.in_vendor(name, error))?;
        let mut limits = Limits::default();
        limits.total = total;
        limits.attempt = limits.attempt.min(total);
        let exchange = self.exchange.clone().with_limits(limits);
        let held = account.build_both(&exchange);
        let (held, issuer) = held.map_err(|error| self.in_vendor(name, error))?;
        let built = |check| Built {
            check,
            widget,
            issuer,
            testing: table.allow_testing_keys,
        };
        if ours {
            // Asked over no network, so there is nothing to limit and nothing to leave alone.
            return Ok(built(Arc::new(held)));
        }
        let limited = Limit::new(held, table.in_flight.unwrap_or(512));
        let breaker_table = table.breaker.unwrap_or_default();
        let mut policy = breaker(breaker_table);
        if policy.slow >= total {
            // A vendor that is given up before it counts as slow would never be left alone.
            if breaker_table.slow_ms.is_some() {
                return Err(self.wrong(
                    &format!("vendors.{name}.breaker.slow_ms"),
                    format!(
                        "is not below the {} ms that an answer may take",
                        total.as_millis()
                    ),
                    "write less, or raise check.deadline_ms",
                ));
            }
            policy.slow = total * 9 / 10;
        }
        if table.in_flight == Some(0) {
            return Err(self.wrong(
                &format!("vendors.{name}.in_flight"),
                "is zero, so nobody would ever be asked about",
                "write how many checks may be under way, such as 512",
            ));
        }
        let watched = Breaker::new(limited, policy)
            .map_err(|error| self.placed(&format!("vendors.{name}.breaker"), error))?;
        Ok(built(Arc::new(watched)))
    }

    /// Where altcha remembers its answers: with all others, but apart where it only compares, so that a
    /// second opinion neither spends an answer nor fills the store that decisions need.
    fn spent(
        &self,
        role: &str,
        name: &str,
        table: &VendorTable,
        total: Duration,
    ) -> Result<Arc<dyn SpentTokens>, ConfigError> {
        let Some(store) = &self.stores.spent else {
            return Err(self.wrong(
                &format!("vendors.{name}.provider"),
                "is altcha, whose answers pass again and again where nobody remembers them",
                "add a table [single_use], for example with store = \"memory\"",
            ));
        };
        let life = table.challenge_life_s.unwrap_or(300);
        let most = store
            .longest_life()
            .as_secs()
            .saturating_sub(CLOCKS.as_secs())
            .min(86_400);
        if !(10..=most).contains(&life) {
            return Err(self.wrong(
                &format!("vendors.{name}.challenge_life_s"),
                format!("is {life}, and challenges live for 10 to {most} seconds with this store"),
                format!("write 10 to {most}, or leave it out for 300"),
            ));
        }
        if role == SHADOW {
            let life = Duration::from_secs(life) + CLOCKS;
            return Ok(Arc::new(MemorySpent::with_life(COMPARED, life)));
        }
        Ok(Arc::new(InTime {
            store: Arc::clone(store),
            after: STORE_DEADLINE.min(total / 3),
        }))
    }

    /// What a vendor's table says, without looking at whether it fits together.
    pub(crate) fn account(
        &self,
        name: &str,
        table: &VendorTable,
        with_secret: bool,
    ) -> Result<Account, ConfigError> {
        let short = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if !short || !(1..=64).contains(&name.len()) {
            return Err(self.wrong(
                "vendors",
                format!("has a vendor named {name:?}"),
                "name it in up to 64 letters, digits, `-` and `_`",
            ));
        }
        self.refuse_foreign_keys(name, table)?;
        let mut setup = Setup::new(table.provider);
        setup.site_key = table.site_key.clone();
        if setup.site_key.is_none() && table.provider != Vendor::Altcha {
            return Err(self.wrong(
                &format!("vendors.{name}.site_key"),
                "is missing",
                "copy it from the vendor's dashboard",
            ));
        }
        if with_secret {
            setup.secret = Some(self.vendor_secret(name, table)?);
        }
        setup.proof_of_work = ProofOfWork {
            site: table.site.clone(),
            previous_secret: match &table.previous_secret {
                Some(reference) if with_secret => {
                    let path = format!("vendors.{name}.previous_secret");
                    Some(self.secret(&path, Some(reference), "")?)
                }
                _ => None,
            },
            difficulty: table.difficulty.map(Into::into),
            challenge_life: table.challenge_life_s.map(Duration::from_secs),
            spent: None,
        };
        setup.project = table.project.clone();
        setup.key = table.enterprise_key;
        setup.min_score = table.min_score;
        setup.max_risk = table.max_risk;
        setup.offline = table.accept_offline_tokens;
        setup.fields = table.fields.clone();
        let base = table.base_url.as_deref().map(base_url).transpose();
        setup.base = base.map_err(|error| self.in_vendor(name, error))?;
        if table.allow_testing_keys {
            setup.testing = TestingCredentials::Allowed;
        }
        Ok(Account {
            name: name.to_owned(),
            setup,
            hostnames: table.hostnames.clone(),
        })
    }

    /// A setting that is ignored looks like a rule.
    fn refuse_foreign_keys(&self, name: &str, table: &VendorTable) -> Result<(), ConfigError> {
        let foreign: &[&str] = match table.provider {
            Vendor::Altcha => &[
                "accept_offline_tokens",
                "allow_testing_keys",
                "base_url",
                "breaker",
                "enterprise_key",
                "hostnames",
                "in_flight",
                "max_risk",
                "min_score",
                "project",
            ],
            _ => &["challenge_life_s", "difficulty", "previous_secret", "site"],
        };
        for key in foreign {
            let path = format!("vendors.{name}.{key}");
            if !self.document.has(&path) {
                continue;
            }
            let why = match *key {
                "base_url" | "breaker" | "in_flight" => ", which is asked over no network",
                "hostnames" => ", whose answers do not say where they were solved",
                _ => "",
            };
            let vendor = table.provider.provider();
            let problem = format!("means nothing for {vendor}{why}");
            return Err(self.wrong(&path, problem, "leave it out"));
        }
        Ok(())
    }

    fn in_vendor(&self, name: &str, error: ConfigError) -> ConfigError {
        let key = match error.field() {
            // What adapters and policies call it, where the file has another word.
            "challenge" => "site_key",
            "key" => "enterprise_key",
            "life" => "challenge_life_s",
            "risk" => "max_risk",
            "score" => "min_score",
            "testing" => "allow_testing_keys",
            field => field,
        };
        self.placed(&format!("vendors.{name}.{key}"), error)
    }

    fn vendor_secret(&self, name: &str, table: &VendorTable) -> Result<Secret, ConfigError> {
        let variable: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let variable = format!("HUMAN_CHECK_SECRET_{}", variable.to_ascii_uppercase());
        self.secret(
            &format!("vendors.{name}.secret"),
            table.secret.as_ref(),
            &variable,
        )
    }

    /// The secret that the key at `path` refers to, by default the one in `variable`.
    pub(crate) fn secret(
        &self,
        path: &str,
        reference: Option<&SecretRef>,
        variable: &str,
    ) -> Result<Secret, ConfigError> {
        let default = SecretRef::Env(variable.to_owned());
        let text = match reference.unwrap_or(&default) {
            SecretRef::Env(name) => (self.variable)(name).ok_or_else(|| {
                let shown = shown(name);
                let problem = format!("is in the variable {shown}, which is not set");
                self.wrong(path, problem, format!("set {shown} to the secret"))
            })?,
            SecretRef::File(file) => {
                let path_of_file = self.directory.join(file);
                self.secrets.read(&path_of_file).map_err(|error| {
                    // What is no path may be the secret itself, in the wrong place.
                    let shown = match file.contains([':', '@']) || !file.contains(['/', '.']) {
                        true => "that `file` names".to_owned(),
                        false => path_of_file.display().to_string(),
                    };
                    let problem = format!("is in the file {shown}, which cannot be read ({error})");
                    self.wrong(path, problem, "check the path and its permissions")
                })?
            }
        };
        Secret::new(text.trim()).map_err(|error| self.placed(path, error))
    }

    fn sunset(&self, table: &AcceptTable) -> Result<Option<SystemTime>, ConfigError> {
        let Some(until) = &table.until else {
            return Ok(None);
        };
        let path = "check.accept.until";
        let text = until.to_string();
        let moment = match (until.date, until.time, until.offset) {
            (Some(_), None, None) => format!("{text}T00:00:00Z").parse::<jiff::Timestamp>(),
            _ => text.parse::<jiff::Timestamp>(),
        };
        let moment = moment.map_err(|_| {
            let remedy =
                "write a date, 2027-01-31, or a time with its offset, 2027-01-31T08:00:00Z";
            self.wrong(
                path,
                format!("is {text}, which names no one moment"),
                remedy,
            )
        })?;
        let seconds = u64::try_from(moment.as_second()).unwrap_or_default();
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if moment <= self.now {
            return Err(self.wrong(
                path,
                format!("is {text}, which is over, so that vendor is not accepted any more"),
                "remove the table [check.accept], or write a later date",
            ));
        }
        Ok(Some(moment))
    }

    pub(crate) fn wrong(
        &self,
        path: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        ConfigError::new(self.document.at(path), problem.into(), remedy.into())
    }

    /// An error of something that knows nothing of files, with the place of the key at `path`.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "it is what `map_err` hands over"
    )]
    pub(crate) fn placed(&self, path: &str, error: ConfigError) -> ConfigError {
        let problem = error.problem().to_owned();
        let remedy = error.remedy().to_owned();
        ConfigError::new(self.document.at(path), problem, remedy)
    }
}

/// A variable's name, unless it may be a secret that somebody wrote in its place.
fn shown(name: &str) -> &str {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if letters && digits < 4 {
        name
    } else {
        "that `env` names"
    }
}

fn breaker(table: BreakerTable) -> BreakerPolicy {
    let mut policy = BreakerPolicy::default();
    let millis = |set: Option<u64>, default| set.map_or(default, Duration::from_millis);
    policy.consecutive = table.consecutive.unwrap_or(policy.consecutive);
    policy.share = table.share.unwrap_or(policy.share);
    policy.calls = table.calls.unwrap_or(policy.calls);
    policy.window = millis(table.window_ms, policy.window);
    policy.slow = millis(table.slow_ms, policy.slow);
    policy.open = millis(table.open_ms, policy.open);
    policy.longest_open = millis(table.longest_open_ms, policy.longest_open);
    policy
}
