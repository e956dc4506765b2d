use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::ConfigError;

use crate::{AttemptKey, AttemptStore};

/// What a guard knows of a visitor who brings no token.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Signals {
    /// The visitor's address, where it is known.
    pub client_ip: Option<IpAddr>,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// Two capital letters, from a trusted proxy only.
    pub country: Option<String>,
    /// The method, in capitals.
    pub method: String,
}

/// When a visitor without a token is asked for one.
///
/// What is not known counts against the visitor: a missing or blank user agent, an unknown country or address, and a
/// store that does not answer, all ask for a challenge.
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
        /// Every evaluation is an attempt of this window; else the application counts.
        counting: Option<Duration>,
        key: Arc<KeyOf>,
    },
    UserAgent(Vec<String>),
    Country {
        listed: Vec<String>,
        challenged: bool,
    },
    When(Arc<dyn Fn(&Signals) -> bool + Send + Sync>),
    Any(Vec<Trigger>),
    All(Vec<Trigger>),
}

impl Trigger {
    /// Everybody is asked. The default.
    pub fn always() -> Self {
        Self(Rule::Always)
    }

    /// Asks once `store` counts `limit` attempts or more for the visitor's address.
    ///
    /// The application counts them, for example each login that failed:
    /// `failures.add(&AttemptKey::address(ip), window)`. Attempts made at the same time may all see
    /// the count before any of them has failed.
    pub fn after_attempts(store: Arc<dyn AttemptStore>, limit: u32) -> Self {
        Self::attempts(store, limit, None)
    }

    /// Asks from the request after `limit` requests of one address within `window`.
    ///
    /// Every request without a token that gets this far counts as one.
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

    /// The same with attempts counted by something other than the address. Nothing else than
    /// attempts is changed. No key asks for a challenge.
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

    /// Asks when the user agent contains one of `parts`, in any case, or is missing.
    pub fn user_agent_contains<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> Self {
        let lower = |part: S| part.as_ref().to_ascii_lowercase();
        Self(Rule::UserAgent(parts.into_iter().map(lower).collect()))
    }

    /// Asks visitors from these countries (ISO 3166 codes), and those whose country is not known.
    pub fn country_in<S: AsRef<str>>(countries: impl IntoIterator<Item = S>) -> Self {
        Self::country(countries, true)
    }

    /// Asks visitors from all but these countries, and those whose country is not known.
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

    /// Asks when `rule` says so. It runs for each request without a token and must not block.
    pub fn when(rule: impl Fn(&Signals) -> bool + Send + Sync + 'static) -> Self {
        Self(Rule::When(Arc::new(rule)))
    }

    /// Asks when one of `triggers` does. Those after it are not evaluated.
    pub fn any(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self(Rule::Any(triggers.into_iter().collect()))
    }

    /// Asks when all of `triggers` do. Those after one that does not are not evaluated.
    pub fn all(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self(Rule::All(triggers.into_iter().collect()))
    }

    pub(crate) fn is_always(&self) -> bool {
        matches!(self.0, Rule::Always)
    }

    /// Refuses triggers that could never ask anybody, or never mean what they say.
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
                "counts requests in a window of no length",
                "give a window, for example one minute",
            ),
            Rule::Attempts { .. } => Ok(()),
            Rule::UserAgent(parts) if parts.iter().any(String::is_empty) => wrong(
                "looks for an empty piece of a user agent, which all contain",
                "write what it should contain, or use Trigger::always",
            ),
            Rule::UserAgent(_) => Ok(()),
            Rule::Country { listed, .. } => {
                let is_code = |code: &String| {
                    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
                };
                if listed.is_empty() || !listed.iter().all(is_code) {
                    return wrong(
                        "lists no countries, or something that is no country code",
                        "write two letters for each, for example CH",
                    );
                }
                Ok(())
            }
            Rule::Any(inner) | Rule::All(inner) if inner.is_empty() => wrong(
                "combines nothing",
                "give at least one trigger, or use Trigger::always",
            ),
            Rule::Any(inner) | Rule::All(inner) => inner.iter().try_for_each(Self::validate),
        }
    }

    /// Whether a visitor without a token is asked for one.
    pub(crate) async fn asks(&self, signals: &Signals) -> bool {
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
                    // The attempt itself is counted, so the limit is reached one later.
                    Some(window) => store
                        .add(&key, *window)
                        .await
                        .map(|count| count.saturating_sub(1)),
                    None => store.count(&key).await,
                };
                match counted {
                    Ok(count) => count >= *limit,
                    Err(error) => {
                        tracing::warn!(
                            target: "human_check",
                            cause = &error as &(dyn std::error::Error + 'static),
                            "attempts could not be counted; asking for a challenge"
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
                    if Box::pin(trigger.asks(signals)).await {
                        return true;
                    }
                }
                false
            }
            Rule::All(inner) => {
                for trigger in inner {
                    if !Box::pin(trigger.asks(signals)).await {
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
    async fn attempts_that_the_application_counts_ask_at_the_limit() {
        let store = Arc::new(MemoryAttemptStore::new(10));
        let trigger = Trigger::after_attempts(store.clone(), 2);
        let key = AttemptKey::address("203.0.113.7".parse().unwrap());
        let minute = Duration::from_secs(60);
        assert!(!trigger.asks(&visitor()).await);
        store.add(&key, minute).await.unwrap();
        assert!(!trigger.asks(&visitor()).await);
        store.add(&key, minute).await.unwrap();
        assert!(trigger.asks(&visitor()).await);
        store.clear(&key).await.unwrap();
        assert!(!trigger.asks(&visitor()).await);
    }

    #[tokio::test]
    async fn rapid_requests_count_themselves() {
        let store = Arc::new(MemoryAttemptStore::new(10));
        let trigger = Trigger::after_requests(store, 2, Duration::from_secs(60));
        assert!(!trigger.asks(&visitor()).await);
        assert!(!trigger.asks(&visitor()).await);
        assert!(trigger.asks(&visitor()).await);
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
        let nobody = Signals::default();
        let store = Arc::new(MemoryAttemptStore::new(10));
        assert!(Trigger::after_attempts(store, 5).asks(&nobody).await);
        assert!(
            Trigger::after_attempts(Arc::new(Broken), 5)
                .asks(&visitor())
                .await
        );
        assert!(Trigger::user_agent_contains(["curl"]).asks(&nobody).await);
        assert!(Trigger::country_in(["KP"]).asks(&nobody).await);
        assert!(Trigger::country_outside(["CH"]).asks(&nobody).await);
    }

    #[tokio::test]
    async fn rules_on_headers_and_their_combinations() {
        let visitor = visitor();
        let yes = || Trigger::when(|_| true);
        let no = || Trigger::when(|_| false);
        for (trigger, asks) in [
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
            assert_eq!(trigger.asks(&visitor).await, asks, "{trigger:?}");
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
