use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::ConfigError;

use super::attempts::{add_attempt, uncounted};
use crate::{AttemptKey, AttemptStore};

/// What a guard knows about a request without a token. [`Trigger::when`] receives it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Signals {
    /// The client's address. `None` if it is unknown.
    pub client_ip: Option<IpAddr>,
    /// The header `User-Agent`. `None` if it is missing, blank or repeated.
    pub user_agent: Option<String>,
    /// The client's country as two upper-case letters. `None` unless a trusted proxy states it in
    /// the header of
    /// [`GuardBuilder::with_country_header`](crate::GuardBuilder::with_country_header).
    pub country: Option<String>,
    /// The method in upper case.
    pub method: String,
}

/// The rule by which a guard challenges a request without a token.
///
/// Set it with [`RoutePolicy::with_trigger`](crate::RoutePolicy::with_trigger). A request that has
/// a token is verified whatever the trigger says.
///
/// An unknown value challenges: an unknown address or country, a missing or blank user agent, and a
/// store that fails or is full.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use human_check_guard::{MemoryAttemptStore, Trigger};
///
/// let failures = Arc::new(MemoryAttemptStore::new(100_000));
/// let trigger = Trigger::any([
///     Trigger::after_attempts(failures, 3),
///     Trigger::user_agent_contains(["curl", "python"]),
///     Trigger::country_outside(["CH", "DE", "AT"]),
/// ]);
/// ```
#[derive(Clone)]
pub struct Trigger(Rule);

type KeyOf = dyn Fn(&Signals) -> Option<AttemptKey> + Send + Sync;

#[derive(Clone)]
enum Rule {
    Always,
    Attempts {
        store: Arc<dyn AttemptStore>,
        limit: u32,
        /// The window in which the trigger counts requests. `None` if the application counts
        /// attempts.
        counting: Option<Duration>,
        key: Arc<KeyOf>,
    },
    UserAgent(Vec<String>),
    Country {
        listed: Vec<String>,
        /// Whether the listed countries are challenged, or all others.
        challenged: bool,
    },
    When(Arc<dyn Fn(&Signals) -> bool + Send + Sync>),
    Any(Vec<Trigger>),
    All(Vec<Trigger>),
}

impl Trigger {
    /// Creates a trigger that challenges every request without a token. It is the default of a
    /// [`RoutePolicy`](crate::RoutePolicy).
    pub fn always() -> Self {
        Self(Rule::Always)
    }

    /// Creates a trigger that challenges when `store` has `limit` attempts or more for the client's
    /// address.
    ///
    /// The application counts the attempts, for example each login that failed. Attempts that run
    /// at the same time may all be evaluated before the first of them is counted.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use human_check_guard::{
    ///     AttemptKey, AttemptStore, AttemptStoreError, MemoryAttemptStore, RoutePolicy, Trigger,
    /// };
    ///
    /// let failures = Arc::new(MemoryAttemptStore::new(100_000));
    /// let login = RoutePolicy::fail_closed("login")
    ///     .with_trigger(Trigger::after_attempts(failures.clone(), 3));
    ///
    /// async fn login_failed(
    ///     failures: &MemoryAttemptStore,
    ///     ip: IpAddr,
    /// ) -> Result<(), AttemptStoreError> {
    ///     let window = Duration::from_secs(3_600);
    ///     failures.add(&AttemptKey::address(ip), window).await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn after_attempts(store: Arc<dyn AttemptStore>, limit: u32) -> Self {
        Self::attempts(store, limit, None)
    }

    /// Creates a trigger that challenges an address after `limit` requests without a token within
    /// `window`, which begins with the first of them.
    ///
    /// The trigger counts these requests itself, as often as it is evaluated. With 0 it challenges
    /// every request. [`Guard::new`](crate::Guard::new) fails if `window` is zero.
    pub fn after_requests(store: Arc<dyn AttemptStore>, limit: u32, window: Duration) -> Self {
        Self::attempts(store, limit, Some(window))
    }

    fn attempts(store: Arc<dyn AttemptStore>, limit: u32, counting: Option<Duration>) -> Self {
        Self(Rule::Attempts {
            store,
            limit,
            counting,
            key: Arc::new(|signals| signals.client_ip.map(AttemptKey::address)),
        })
    }

    /// Sets the key by which attempts are counted. Default: the client's address.
    ///
    /// It affects [`after_attempts`](Self::after_attempts) and
    /// [`after_requests`](Self::after_requests) only. On other triggers, also on combined ones, it
    /// has no effect. A request for which `by` returns `None` is challenged.
    #[must_use]
    pub fn keyed_by(
        mut self,
        by: impl Fn(&Signals) -> Option<AttemptKey> + Send + Sync + 'static,
    ) -> Self {
        if let Rule::Attempts { key, .. } = &mut self.0 {
            *key = Arc::new(by);
        }
        self
    }

    /// Creates a trigger that challenges when the user agent contains one of `parts`, or is missing
    /// or blank. Upper and lower case ASCII letters are equal.
    pub fn user_agent_contains<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> Self {
        let lower = |part: S| part.as_ref().to_ascii_lowercase();
        Self(Rule::UserAgent(parts.into_iter().map(lower).collect()))
    }

    /// Creates a trigger that challenges clients in these countries, and clients whose country is
    /// unknown. Countries are two-letter codes of ISO 3166, such as `CH`.
    ///
    /// It needs [`GuardBuilder::with_country_header`](crate::GuardBuilder::with_country_header).
    pub fn country_in<S: AsRef<str>>(countries: impl IntoIterator<Item = S>) -> Self {
        Self::country(countries, true)
    }

    /// Creates a trigger that challenges clients in all countries except these, and clients whose
    /// country is unknown. Countries are two-letter codes of ISO 3166, such as `CH`.
    ///
    /// It needs [`GuardBuilder::with_country_header`](crate::GuardBuilder::with_country_header).
    pub fn country_outside<S: AsRef<str>>(countries: impl IntoIterator<Item = S>) -> Self {
        Self::country(countries, false)
    }

    fn country<S: AsRef<str>>(countries: impl IntoIterator<Item = S>, challenged: bool) -> Self {
        let upper = |code: S| code.as_ref().to_ascii_uppercase();
        Self(Rule::Country {
            listed: countries.into_iter().map(upper).collect(),
            challenged,
        })
    }

    /// Creates a trigger that challenges when `rule` returns `true`. The rule runs for each request
    /// without a token and must not block.
    ///
    /// ```
    /// use human_check_guard::Trigger;
    ///
    /// let trigger = Trigger::when(|signals| signals.method != "GET");
    /// ```
    pub fn when(rule: impl Fn(&Signals) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::When(Arc::new(rule)))
    }

    /// Creates a trigger that challenges when at least one of `triggers` does.
    ///
    /// They are evaluated in order, and those after the first that challenges are not evaluated: an
    /// [`after_requests`](Self::after_requests) among them does not count the request.
    pub fn any(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self(Rule::Any(triggers.into_iter().collect()))
    }

    /// Creates a trigger that challenges when all `triggers` do.
    ///
    /// They are evaluated in order, and those after the first that does not challenge are not
    /// evaluated.
    pub fn all(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self(Rule::All(triggers.into_iter().collect()))
    }

    /// Returns whether the trigger challenges every request, so that it needs no signals.
    pub(crate) fn is_always(&self) -> bool {
        matches!(self.0, Rule::Always)
    }

    /// Returns an error for a trigger that could never challenge, or that does not do what it says.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |problem: &'static str, remedy: &'static str| {
            Err(ConfigError::new("trigger", problem, remedy))
        };
        match &self.0 {
            Rule::Always | Rule::When(_) => Ok(()),
            Rule::Attempts {
                counting: Some(window),
                ..
            } if window.is_zero() => wrong(
                "counts requests in a window of zero length",
                "set a window, for example one minute",
            ),
            Rule::Attempts { .. } => Ok(()),
            Rule::UserAgent(parts) if parts.iter().any(String::is_empty) => wrong(
                "looks for an empty text, which every user agent contains",
                "write what the user agent should contain, or use Trigger::always",
            ),
            Rule::UserAgent(_) => Ok(()),
            Rule::Country { listed, .. } => {
                let is_code = |code: &String| {
                    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
                };
                if listed.is_empty() || !listed.iter().all(is_code) {
                    return wrong(
                        "has an empty list of countries, or an entry that is not a country code",
                        "write two letters for each country, for example CH",
                    );
                }
                Ok(())
            }
            Rule::Any(inner) | Rule::All(inner) if inner.is_empty() => wrong(
                "combines an empty list of triggers",
                "give at least one trigger, or use Trigger::always",
            ),
            Rule::Any(inner) | Rule::All(inner) => inner.iter().try_for_each(Self::validate),
        }
    }

    /// Returns whether a request without a token is challenged. Counts the request where the rule
    /// counts requests.
    pub(crate) async fn challenges(&self, signals: &Signals) -> bool {
        match &self.0 {
            Rule::Always => true,
            Rule::Attempts {
                store,
                limit,
                counting,
                key,
            } => {
                let Some(key) = key(signals) else { return true };
                let counted = match counting {
                    // This request is counted as well. The limit is for the requests before it.
                    Some(window) => add_attempt(&**store, &key, *window)
                        .await
                        .map(|count| count.saturating_sub(1)),
                    None => store.count(&key).await,
                };
                match counted {
                    Ok(count) => count >= *limit,
                    Err(error) => {
                        uncounted("trigger");
                        tracing::warn!(
                            target: "human_check_guard",
                            error = &error as &(dyn std::error::Error + 'static),
                            "attempts could not be counted; a challenge is required"
                        );
                        true
                    }
                }
            }
            Rule::UserAgent(parts) => match &signals.user_agent {
                None => true,
                Some(agent) => {
                    let agent = agent.to_ascii_lowercase();
                    parts.iter().any(|part| agent.contains(part.as_str()))
                }
            },
            Rule::Country { listed, challenged } => match &signals.country {
                None => true,
                Some(country) => listed.contains(country) == *challenged,
            },
            Rule::When(rule) => rule(signals),
            Rule::Any(inner) => {
                for trigger in inner {
                    if Box::pin(trigger.challenges(signals)).await {
                        return true;
                    }
                }
                false
            }
            Rule::All(inner) => {
                for trigger in inner {
                    if !Box::pin(trigger.challenges(signals)).await {
                        return false;
                    }
                }
                true
            }
        }
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Always => f.write_str("Always"),
            Rule::Attempts {
                limit, counting, ..
            } => f
                .debug_struct("Attempts")
                .field("limit", limit)
                .field("counting", counting)
                .finish_non_exhaustive(),
            Rule::UserAgent(parts) => f.debug_tuple("UserAgent").field(parts).finish(),
            Rule::Country { listed, challenged } => f
                .debug_struct("Country")
                .field("listed", listed)
                .field("challenged", challenged)
                .finish(),
            Rule::When(_) => f.write_str("When(..)"),
            Rule::Any(inner) => f.debug_tuple("Any").field(inner).finish(),
            Rule::All(inner) => f.debug_tuple("All").field(inner).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttemptStoreError, MemoryAttemptStore};
    use async_trait::async_trait;

    fn visitor() -> Signals {
        Signals {
            client_ip: Some("203.0.113.7".parse().unwrap()),
            user_agent: Some("Mozilla/5.0".to_owned()),
            country: Some("CH".to_owned()),
            method: "POST".to_owned(),
        }
    }

    #[tokio::test]
    async fn attempts_that_the_application_counts_challenge_at_the_limit() {
        let store = Arc::new(MemoryAttemptStore::new(10));
        let trigger = Trigger::after_attempts(store.clone(), 2);
        let key = AttemptKey::address("203.0.113.7".parse().unwrap());
        let minute = Duration::from_secs(60);
        assert!(!trigger.challenges(&visitor()).await);
        store.add(&key, minute).await.unwrap();
        assert!(!trigger.challenges(&visitor()).await);
        store.add(&key, minute).await.unwrap();
        assert!(trigger.challenges(&visitor()).await);
        store.clear(&key).await.unwrap();
        assert!(!trigger.challenges(&visitor()).await);
    }

    #[tokio::test]
    async fn rapid_requests_count_themselves() {
        let store = Arc::new(MemoryAttemptStore::new(10));
        let trigger = Trigger::after_requests(store, 2, Duration::from_secs(60));
        assert!(!trigger.challenges(&visitor()).await);
        assert!(!trigger.challenges(&visitor()).await);
        assert!(trigger.challenges(&visitor()).await);
    }

    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl AttemptStore for Broken {
        async fn add(&self, _: &AttemptKey, _: Duration) -> Result<u32, AttemptStoreError> {
            Err(AttemptStoreError::new("broken"))
        }
        async fn count(&self, _: &AttemptKey) -> Result<u32, AttemptStoreError> {
            Err(AttemptStoreError::new("broken"))
        }
        async fn clear(&self, _: &AttemptKey) -> Result<(), AttemptStoreError> {
            Err(AttemptStoreError::new("broken"))
        }
    }

    #[tokio::test]
    async fn what_is_not_known_is_challenged() {
        let unknown = Signals::default();
        let store = Arc::new(MemoryAttemptStore::new(10));
        assert!(Trigger::after_attempts(store, 5).challenges(&unknown).await);
        assert!(
            Trigger::after_attempts(Arc::new(Broken), 5)
                .challenges(&visitor())
                .await
        );
        assert!(
            Trigger::user_agent_contains(["curl"])
                .challenges(&unknown)
                .await
        );
        assert!(Trigger::country_in(["KP"]).challenges(&unknown).await);
        assert!(Trigger::country_outside(["CH"]).challenges(&unknown).await);
    }

    #[tokio::test]
    async fn rules_on_headers_and_their_combinations() {
        let visitor = visitor();
        let yes = || Trigger::when(|_| true);
        let no = || Trigger::when(|_| false);
        for (trigger, challenges) in [
            (Trigger::user_agent_contains(["MOZILLA"]), true),
            (Trigger::user_agent_contains(["curl"]), false),
            (Trigger::country_in(["ch"]), true),
            (Trigger::country_in(["DE"]), false),
            (Trigger::country_outside(["CH"]), false),
            (Trigger::country_outside(["DE"]), true),
            (Trigger::any([no(), yes()]), true),
            (Trigger::any([no(), no()]), false),
            (Trigger::all([yes(), yes()]), true),
            (Trigger::all([yes(), no()]), false),
            (Trigger::any([Trigger::all([yes(), no()]), no()]), false),
        ] {
            assert_eq!(
                trigger.challenges(&visitor).await,
                challenges,
                "{trigger:?}"
            );
        }
    }

    #[test]
    fn triggers_that_mean_nothing_are_refused() {
        for trigger in [
            Trigger::any([]),
            Trigger::all([]),
            Trigger::any([Trigger::all([])]),
            Trigger::country_in([""; 0]),
            Trigger::country_in(["Switzerland"]),
            Trigger::user_agent_contains([""]),
            Trigger::after_requests(Arc::new(MemoryAttemptStore::new(1)), 1, Duration::ZERO),
        ] {
            assert!(trigger.validate().is_err(), "{trigger:?}");
        }
    }
}
