//! Which account a visitor meets: lists of accounts, their health, and the offers that carry a
//! selection from one request to the next.

mod account;
mod fallback_on;
mod health;
mod offer;
mod offer_keys;
mod old_account;
mod report_limit;
mod reported;
mod script_watch;
mod signed_text;
mod used_offers;
mod why;

use std::sync::Arc;
use std::time::Duration;

use human_check_core::{
    Clock, ConfigError, FactKind, HumanCheck, Policy, ReplayStore, Score, Support, SystemClock,
    Widget,
};

use crate::Experiment;

pub use account::Account;
pub use fallback_on::FallbackOn;
pub(crate) use health::Outcome;
pub(crate) use offer::{
    MAX_TEXT_BYTES as MAX_OFFER_BYTES, NameDigest, OFFER_FIELD, OFFER_HEADER, Offer, OfferFault,
    SINGLE_USE_TTL,
};
pub use offer_keys::OfferKeys;
pub(crate) use offer_keys::{fill_random, is_equal, name_digest, sign};
pub(crate) use old_account::OldAccount;
pub use report_limit::ReportLimit;
pub(crate) use reported::{offer as report_offer, selected as report_selected};
pub use script_watch::ScriptProbe;
pub(crate) use signed_text::{part, seconds};
pub(crate) use used_offers::UsedOffers;
pub use why::Why;

/// The default time for a decision.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(3);

/// The accounts that may judge the requests of a route, in order: the primary, and those that
/// visitors meet while it is down.
#[derive(Clone, Debug)]
pub struct AccountList(Vec<Account>);

impl AccountList {
    /// Creates a list with a primary account and no fallback.
    pub fn new(primary: Account) -> Self {
        Self(vec![primary])
    }

    /// Adds accounts that visitors meet while all accounts before them are down. Default: none.
    #[must_use]
    pub fn with_fallback(mut self, accounts: impl IntoIterator<Item = Account>) -> Self {
        self.0.extend(accounts);
        self
    }

    /// Returns the accounts in order, the primary first.
    pub fn accounts(&self) -> &[Account] {
        &self.0
    }
}

/// Which account a visitor of a route meets.
///
/// [`Guard::builder_for`](crate::Guard::builder_for) takes one. A guard that is built from a check
/// alone has a selection of one account.
///
/// The first account of the list that is not down is shown to the visitor, and its tokens count. The
/// list is that of the request's host or country, if there is one, or else the default list. An
/// account other than the primary counts with an offer only: a text that this server signed, and
/// that the page sends along in the field `human-check-offer` or in the header `X-Captcha-Offer`.
///
/// See docs/how-to/survive-an-outage.md.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(crate) list: AccountList,
    pub(crate) by_host: Vec<(String, AccountList)>,
    pub(crate) by_country: Vec<(String, AccountList)>,
    pub(crate) step_up: Option<(Account, Score)>,
    pub(crate) old: Option<OldAccount>,
    pub(crate) experiment: Option<Experiment>,
    /// The lists of the arms but the first: the account of the arm, and then those of the default list.
    arm_lists: Vec<AccountList>,
    pub(crate) without: Vec<(String, FactKind)>,
    pub(crate) fallback_on: FallbackOn,
    pub(crate) falls_back_on_widget_failure: bool,
    pub(crate) keys: Option<OfferKeys>,
    pub(crate) single_use: Option<Arc<dyn ReplayStore>>,
    pub(crate) report_limit: ReportLimit,
    pub(crate) total_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Selection {
    /// Creates a selection from one list of accounts.
    pub fn new(list: AccountList) -> Self {
        Self {
            list,
            by_host: Vec::new(),
            by_country: Vec::new(),
            step_up: None,
            old: None,
            experiment: None,
            arm_lists: Vec::new(),
            without: Vec::new(),
            fallback_on: FallbackOn::default(),
            falls_back_on_widget_failure: false,
            keys: None,
            single_use: None,
            report_limit: ReportLimit::default(),
            total_timeout: TOTAL_TIMEOUT,
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the list for requests to one host, such as `shop.example`. Default: the list of
    /// [`new`](Self::new).
    ///
    /// The client chooses the host that it names. So each account of such a list needs a rule for the
    /// hosts of its challenges, or the weakest list of all would be the strength of the check. A
    /// request that names the host of a list has this list, whatever its country is.
    #[must_use]
    pub fn with_host(mut self, host: &str, list: AccountList) -> Self {
        self.by_host.push((normal_host(host), list));
        self
    }

    /// Sets the list for clients in one country, as two letters. Default: the list of
    /// [`new`](Self::new).
    ///
    /// It needs [`GuardBuilder::with_country_header`](crate::GuardBuilder::with_country_header). A
    /// client can choose its country by a proxy server, so the weakest list of all is the strength
    /// of the check.
    #[must_use]
    pub fn with_country(mut self, country: &str, list: AccountList) -> Self {
        self.by_country.push((country.to_ascii_uppercase(), list));
        self
    }

    /// Sets the account that a visitor meets whose score is below the threshold of the primary and
    /// not below `floor`. Default: such a visitor is refused.
    ///
    /// It needs a [store](Self::with_replay_store), because an offer for it counts once.
    #[must_use]
    pub fn with_step_up(mut self, account: Account, floor: Score) -> Self {
        self.step_up = Some((account, floor));
        self
    }

    /// Sets a second account with the provider of the primary, whose tokens still count until
    /// `sunset`. Default: none.
    ///
    /// A page of the primary sends an offer along, so a token without one is the old account's. For
    /// an old account with another provider use a [`DualAccept`](human_check_core::DualAccept).
    #[must_use]
    pub fn with_old_account(
        mut self,
        account: Account,
        sunset: Option<std::time::SystemTime>,
    ) -> Self {
        self.old = Some(OldAccount { account, sunset });
        self
    }

    /// Sets an experiment, whose arms visitors without a list for their host or country meet. Default:
    /// none.
    ///
    /// The first arm must be the first account of the default list. While the account of another arm is
    /// down, its visitors meet the default list. Several routes take part in one experiment by clones of
    /// it.
    #[must_use]
    pub fn with_experiment(mut self, experiment: Experiment) -> Self {
        let others = experiment.accounts().skip(1);
        self.arm_lists = others
            .map(|account| {
                let rest = self
                    .list
                    .0
                    .iter()
                    .filter(|other| other.name() != account.name());
                AccountList::new(account.clone()).with_fallback(rest.cloned())
            })
            .collect();
        self.experiment = Some(experiment);
        self
    }

    /// Takes a fact out of what the route demands, for the account of this name. Default: all
    /// accounts meet all demands.
    ///
    /// For a fallback that never reports, for example, the action. The check is weaker while that
    /// account judges.
    #[must_use]
    pub fn without(mut self, account: impl Into<String>, fact: FactKind) -> Self {
        self.without.push((account.into(), fact));
        self
    }

    /// Sets which troubles, apart from being down, lead to a fallback. Default: none.
    #[must_use]
    pub fn with_fallback_on(mut self, troubles: FallbackOn) -> Self {
        self.fallback_on = troubles;
        self
    }

    /// Lets a browser report that the widget of the primary failed, and shows it the fallback then.
    /// Default: reports have no effect.
    ///
    /// Risk: a client chooses the account by such a report. Five reports a minute count for each
    /// address, and few for all together, see docs/threat-model.md. It needs a
    /// [store](Self::with_replay_store), because each offer for it counts once.
    #[must_use]
    pub fn with_fallback_on_widget_failure(mut self) -> Self {
        self.falls_back_on_widget_failure = true;
        self
    }

    /// Sets the keys that sign offers. Default: a random key of this process, so that no offer of
    /// another process or of an earlier start holds.
    #[must_use]
    pub fn with_offer_keys(mut self, keys: OfferKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Sets the store that remembers offers which count once. Default: none.
    ///
    /// It must remember an offer for 13 minutes: give a
    /// [`MemoryReplayStore`](human_check_core::MemoryReplayStore) that ttl. All machines need a common
    /// store, for example one on Redis. With a store in memory an offer counts once on each machine.
    #[must_use]
    pub fn with_replay_store(mut self, store: impl ReplayStore) -> Self {
        self.single_use = Some(Arc::new(store));
        self
    }

    /// Sets the limit on the reports of failed widgets, which several guards may share. Default: one of
    /// its own.
    #[must_use]
    pub fn with_report_limit(mut self, limit: ReportLimit) -> Self {
        self.report_limit = limit;
        self
    }

    /// Sets how long a decision may take, with the wait for health probes. Default 3 seconds.
    #[must_use]
    pub fn with_total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = timeout;
        self
    }

    /// Sets the clock that offers are dated with. Default the system's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the selection with other checks in its accounts, and without its store.
    pub(crate) fn map_checks(&self, map: impl Fn(&dyn HumanCheck) -> Arc<dyn HumanCheck>) -> Self {
        let account = |account: &Account| account.without_check(map(&**account.check()));
        let list = |list: &AccountList| AccountList(list.0.iter().map(account).collect());
        let named = |lists: &[(String, AccountList)]| {
            let lists = lists.iter();
            lists
                .map(|(name, accounts)| (name.clone(), list(accounts)))
                .collect()
        };
        Self {
            list: list(&self.list),
            by_host: named(&self.by_host),
            by_country: named(&self.by_country),
            step_up: self
                .step_up
                .as_ref()
                .map(|(to, floor)| (account(to), *floor)),
            old: self.old.as_ref().map(|old| OldAccount {
                account: account(&old.account),
                sunset: old.sunset,
            }),
            // It holds the checks of its arms.
            experiment: None,
            arm_lists: self.arm_lists.iter().map(list).collect(),
            single_use: None,
            ..self.clone()
        }
    }

    /// Returns all lists: the default, those of hosts, those of countries, and those of arms.
    pub(crate) fn lists(&self) -> impl Iterator<Item = &AccountList> {
        let others = self.by_host.iter().chain(&self.by_country);
        std::iter::once(&self.list)
            .chain(others.map(|(_, list)| list))
            .chain(&self.arm_lists)
    }

    /// Returns the list of an arm: its index among [`lists`](Self::lists).
    pub(crate) fn list_of_arm(&self, place: usize) -> usize {
        match place {
            0 => 0,
            place => self.by_host.len() + self.by_country.len() + place,
        }
    }

    /// Returns how many lists are those of arms, at the end of [`lists`](Self::lists).
    pub(crate) fn arm_lists(&self) -> usize {
        self.arm_lists.len()
    }

    /// Returns all accounts. One that is in several lists comes several times.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        let lists = self.lists().flat_map(|list| &list.0);
        let step_up = self.step_up.iter().map(|(account, _)| account);
        lists
            .chain(step_up)
            .chain(self.old.iter().map(|old| &old.account))
    }

    /// Returns whether a request may meet an account other than the primary.
    pub(crate) fn has_fallback(&self) -> bool {
        self.lists().any(|list| list.0.len() > 1)
    }

    /// Returns the facts that the route does not demand of an account.
    pub(crate) fn not_demanded(&self, account: &Account) -> impl Iterator<Item = FactKind> {
        let own = self
            .without
            .iter()
            .filter(|(name, _)| name == account.name());
        own.map(|(_, fact)| *fact)
    }

    /// Returns the rules of a route for one account.
    pub(crate) fn rules_for(&self, account: &Account, rules: &Policy) -> Policy {
        self.not_demanded(account)
            .fold(rules.clone(), Policy::without)
    }

    /// Checks that the settings fit together.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for list in self.lists() {
            for (place, account) in list.0.iter().enumerate() {
                let before = &list.0[..place];
                if before.iter().any(|other| other.name() == account.name()) {
                    return Err(ConfigError::new(
                        "fallback",
                        format!("names {:?} twice", account.name()),
                        "name each account once",
                    ));
                }
            }
        }
        self.validate_site_keys()?;
        if let Some(first) = self.experiment.as_ref().and_then(|e| e.accounts().next())
            && first.name() != self.list.0[0].name()
        {
            return Err(ConfigError::new(
                "arms",
                format!(
                    "begins with {:?}, which is not the primary account",
                    first.name()
                ),
                format!("name {:?} first", self.list.0[0].name()),
            ));
        }
        if !self.has_fallback() {
            let settings = [
                ("on_widget_failure", self.falls_back_on_widget_failure),
                ("fallback_on", self.fallback_on != FallbackOn::default()),
            ];
            if let Some((key, _)) = settings.into_iter().find(|(_, is_set)| *is_set) {
                return Err(ConfigError::new(
                    key,
                    "is set, and no list has a fallback",
                    "name the accounts to fall back to with fallback, or leave it out",
                ));
            }
        }
        if let Some((account, _)) = &self.step_up {
            self.validate_step_up(account)?;
        }
        if let Some(OldAccount { account, .. }) = &self.old
            && account.provider() != self.list.0[0].provider()
        {
            return Err(ConfigError::new(
                "dual_accept",
                format!("is {:?}, which has another provider", account.name()),
                "accept it with a dual accept of both checks",
            ));
        }
        let needs_store = match (&self.step_up, self.falls_back_on_widget_failure) {
            (Some(_), _) => Some("step_up"),
            (None, true) => Some("on_widget_failure"),
            (None, false) => None,
        };
        match (needs_store, &self.single_use) {
            (Some(key), None) => Err(ConfigError::new(
                key,
                "is set without a replay store, so one offer would count many times",
                "set one, in a file `[replay_store]` with `kind = \"memory\"`, or with several machines \
                 `kind = \"redis\"`",
            )),
            (Some(key), Some(store)) if store.max_ttl() < SINGLE_USE_TTL => Err(ConfigError::new(
                key,
                format!(
                    "needs a replay store that remembers offers for {} s, and this one does for {} s",
                    SINGLE_USE_TTL.as_secs(),
                    store.max_ttl().as_secs()
                ),
                "let the replay store remember longer",
            )),
            _ => Ok(()),
        }
    }

    /// Two accounts of one provider with one site key cannot be told apart.
    fn validate_site_keys(&self) -> Result<(), ConfigError> {
        let mut seen: Vec<&Account> = Vec::new();
        for account in self.accounts() {
            let key =
                |account: &Account| account.widget().map(|widget| widget.site_key().to_owned());
            let same = |other: &&&Account| {
                other.name() != account.name()
                    && other.provider() == account.provider()
                    && key(other).is_some()
                    && key(other) == key(account)
            };
            if let Some(other) = seen.iter().find(same) {
                return Err(ConfigError::new(
                    "fallback",
                    format!(
                        "has two accounts with one site key, {:?} and {:?}",
                        other.name(),
                        account.name()
                    ),
                    "give each account the site key of its own site, or name one of them only",
                ));
            }
            seen.push(account);
        }
        Ok(())
    }

    fn validate_step_up(&self, account: &Account) -> Result<(), ConfigError> {
        let primary = &self.list.0[0];
        let (problem, remedy) = if account.name() == primary.name() {
            (
                format!("leads to {:?}, where it begins", account.name()),
                "name another account",
            )
        } else if primary.own_capabilities().of(FactKind::Score) == Support::Never {
            (
                format!("begins at {:?}, which reports no score", primary.name()),
                "leave it out, or use a primary account that reports a score",
            )
        } else if !account.is_interactive() {
            (
                format!("leads to {:?}, which shows no challenge", account.name()),
                "name an account that shows a challenge, such as one of reCAPTCHA v2",
            )
        } else {
            return Ok(());
        };
        Err(ConfigError::new("step_up", problem, remedy))
    }

    /// Returns the list of a request: its index among [`lists`](Self::lists).
    pub(crate) fn list_for(&self, host: Option<&str>, country: Option<&str>) -> usize {
        if let Some(host) = host.filter(|_| !self.by_host.is_empty()).map(normal_host)
            && let Some(index) = self.by_host.iter().position(|(known, _)| *known == host)
        {
            return 1 + index;
        }
        let index = country.and_then(|country| {
            self.by_country
                .iter()
                .position(|(known, _)| known == country)
        });
        index.map_or(0, |index| 1 + self.by_host.len() + index)
    }

    /// Returns the widgets of all accounts that a request may meet, for the sources of a content
    /// security policy.
    pub(crate) fn widgets(&self) -> impl Iterator<Item = &Widget> {
        self.accounts().filter_map(Account::widget)
    }
}

/// Returns a host without its port and its trailing dot, in small letters.
fn normal_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}
