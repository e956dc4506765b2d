use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{
    Capabilities, ChallengeRequest, CheckError, Claimed, Clock, ConfigError, DetailValue,
    ErrorKind, FactKind, HumanCheck, MAX_TOKEN_BYTES, Provider, Reason, Refusal, ReplayProtection,
    ReplayStore, Submission, SystemClock, TokenId, Verdict,
};

use crate::altcha_token::AltchaToken;
use crate::derivations::{Derivations, NotRun};
use crate::{Difficulty, Keys};

/// The proof of work and the field that its widget adds (section 3).
pub static ALTCHA: Provider = Provider::new("altcha", &["altcha"]);

/// How far the clocks of machines that share a store may differ.
const SKEW: Duration = Duration::from_secs(60);

/// How much longer than challenges live a store has to remember: the maker's clock may be a minute ahead
/// of the judge's, and another judge's a minute behind it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// A proof of work of our own: makes challenges and judges their answers, and asks nobody.
///
/// Whoever passes has spent CPU time on a challenge of this site, made for this action, once. That is
/// all: it says nothing of who, and an attacker may spend it, too. See `docs/providers/altcha.md`.
///
/// A store of spent tokens belongs to it, since the protocol remembers nothing and the same answer would
/// pass until its challenge ends. There is none without:
///
/// ```compile_fail,E0061
/// # use human_check_core::Secret;
/// # use human_check_altcha::{Altcha, Keys};
/// # let secret = Secret::new("from openssl rand -base64 32").unwrap();
/// let check = Altcha::new(Keys::new(secret).unwrap(), "www.example.com");
/// ```
///
/// Share one between the guard and the challenge endpoint: `Arc<Altcha<_>>` is both a check and a
/// [`ChallengeIssuer`](human_check_core::ChallengeIssuer). Several machines share secret, site and store.
///
/// # Runtime
///
/// Derivations run on tokio's threads for blocking work, so challenges are made inside of a tokio
/// runtime. Judging an answer derives nothing.
pub struct Altcha<S> {
    pub(crate) provider: Provider,
    pub(crate) keys: Keys,
    pub(crate) site: String,
    pub(crate) ttl: Duration,
    pub(crate) difficulty: Arc<dyn Fn(&ChallengeRequest) -> Difficulty + Send + Sync>,
    pub(crate) derivations: Derivations,
    pub(crate) clock: Box<dyn Clock>,
    store: S,
}

impl<S: ReplayStore> Altcha<S> {
    /// ChallengeEndpoint for one site, which live five minutes and are [standard](Difficulty::standard).
    ///
    /// `site` is a name of yours, such as the host: answers to challenges of another site of the same
    /// secret do not pass. Nobody but you says it, so the verdict does not call it a hostname.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site is no short name of printable ASCII, or the store forgets within
    /// seven minutes.
    pub fn new(keys: Keys, site: impl Into<String>, store: S) -> Result<Self, ConfigError> {
        let site = site.into();
        if site.is_empty() || site.len() > 255 || !site.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::new(
                "site",
                format!("is {site:?}"),
                "name the site with 1 to 255 letters, digits, dots and hyphens, such as `www.example.com`",
            ));
        }
        // Half of the cores, so that a flood of challenges leaves the rest to everything else.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            provider: ALTCHA.clone(),
            keys,
            site,
            ttl: Duration::ZERO,
            difficulty: Arc::new(|_| Difficulty::default()),
            derivations: Derivations::new(cores.div_ceil(2), 64),
            clock: Box::new(SystemClock),
            store,
        }
        .with_ttl(Duration::from_secs(300))
    }

    /// Lets challenges live so long instead, in whole seconds. The widget asks for another when one ends
    /// while the page is open.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is under ten seconds or above a day, or with [two minutes](CLOCK_TOLERANCE) longer
    /// than the store remembers.
    pub fn with_ttl(mut self, ttl: Duration) -> Result<Self, ConfigError> {
        let max_ttl = self.store.max_ttl();
        let sensible = Duration::from_secs(10)..=Duration::from_secs(86_400);
        if !sensible.contains(&ttl) || ttl + CLOCK_TOLERANCE > max_ttl {
            return Err(ConfigError::new(
                "challenge_ttl",
                format!(
                    "is {ttl:?}, and the store remembers for {max_ttl:?}, two minutes of which are for \
                     clocks that differ"
                ),
                "write ten seconds to a day, and give the store two minutes more",
            ));
        }
        self.ttl = Duration::from_secs(ttl.as_secs());
        Ok(self)
    }

    /// Asks every visitor for the same work.
    #[must_use]
    pub fn with_difficulty(self, difficulty: Difficulty) -> Self {
        self.with_difficulty_for(move |_| difficulty)
    }

    /// Asks each visitor for the work that `difficulty` says, such as more from who comes again:
    ///
    /// ```
    /// # use human_check_core::{ChallengeRequest, MemoryReplayStore, Secret};
    /// # use human_check_altcha::{Altcha, Difficulty, Keys};
    /// # let keys = Keys::new(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?)?;
    /// let check = Altcha::new(keys, "www.example.com", MemoryReplayStore::new(100_000))?
    ///     .with_difficulty_for(|request| {
    ///         // Twice the work for each five challenges that this address took lately.
    ///         Difficulty::standard().times(1 << (request.earlier() / 5).min(4))
    ///     });
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// It is called for every challenge, so it must not block. An attacker has many addresses.
    #[must_use]
    pub fn with_difficulty_for(
        mut self,
        difficulty: impl Fn(&ChallengeRequest) -> Difficulty + Send + Sync + 'static,
    ) -> Self {
        self.difficulty = Arc::new(difficulty);
        self
    }

    /// Lets so many derivations run at a time, with so many waiting. Default: half of the cores, 64.
    ///
    /// Beyond that a challenge is not made: `Declined`, reason `derivations-busy`. Answers are judged
    /// all the same, as they need none.
    #[must_use]
    pub fn with_derivations(mut self, running: NonZeroUsize, waiting: usize) -> Self {
        self.derivations = Derivations::new(running.get(), waiting);
        self
    }

    /// Looks for the answer in other fields. The widget has to be told too.
    #[must_use]
    pub fn with_form_fields<F: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.provider = self.provider.with_fields(fields);
        self
    }

    /// Tells the time by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    async fn judge(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let now = self.clock.now();
        let field = submission.token_for(&ALTCHA, MAX_TOKEN_BYTES);
        let token = match field.and_then(|field| AltchaToken::open(field, &self.keys, now)) {
            Ok(answer) => answer,
            Err(refusal) => return Ok(refusal.into()),
        };
        let mut facts = token.facts(&ALTCHA);
        let refused = |reason, facts| Ok(Refusal::new(reason).with_facts(facts).into());
        let invalid = |code: &str, facts| {
            let refusal = Refusal::new(Reason::Invalid).with_facts(facts);
            Ok(refusal.with_codes(vec![code.to_owned()]).into())
        };
        match token.is_right() {
            Some(true) => {}
            Some(false) => return refused(Reason::Invalid, facts),
            // Whoever holds one could have any number of derivations for it.
            None => return invalid("unsigned-key", facts),
        }
        match token.site() {
            Some(site) if site == self.site => {
                facts.details.push(("site", DetailValue::Text(site)))
            }
            _ => return refused(Reason::WrongSiteKey, facts),
        }
        facts.replay_protection = ReplayProtection::Store;
        let verdict = Verdict::Human(facts).check_expectations(submission);
        let Verdict::Human(facts) = verdict else {
            return Ok(verdict);
        };
        // Longer than a check of this ttl makes them, such as before it was shortened, and than the store
        // remembers: it could pass again. As an error of the store it would open routes to that.
        let ttl = token.ends().duration_since(now).unwrap_or_default() + SKEW;
        if ttl > self.store.max_ttl() {
            return invalid("outlives-store", facts);
        }
        // Last, so that only what would pass takes a place in the store.
        let claim = TokenId::from_bytes(&ALTCHA, token.signature());
        match self.store.claim(claim, ttl).await {
            Ok(Claimed::First) => Ok(Verdict::Human(facts)),
            Ok(Claimed::Duplicate) => refused(Reason::Replayed, facts),
            Err(error) => {
                let reason = error.reason();
                Err(
                    CheckError::new(ErrorKind::StoreUnavailable, &ALTCHA, reason)
                        .with_source(error),
                )
            }
        }
    }
}

pub(crate) fn not_run(why: NotRun) -> CheckError {
    match why {
        // Whoever floods us causes it, so it is no outage.
        NotRun::Busy => CheckError::new(ErrorKind::Declined, &ALTCHA, "derivations-busy")
            .with_retry_after(Some(Duration::from_secs(1)))
            .with_token_unused(),
        NotRun::Lost => {
            CheckError::new(ErrorKind::Protocol, &ALTCHA, "derivation-lost").with_token_unused()
        }
    }
}

/// The answer is judged against the signed challenge that it carries (section 4): ended, forged,
/// unsolved, made for something else, used before. No key is derived for it.
///
/// Dropping the future while the store is asked leaves the answer claimed or not.
#[async_trait]
impl<S: ReplayStore> HumanCheck for Altcha<S> {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
            .sometimes(FactKind::Action)
            .sometimes(FactKind::Binding)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let outcome = self.judge(submission).await;
        explain(&outcome);
        outcome
    }
}

/// The one event that explains a decision.
fn explain(outcome: &Result<Verdict, CheckError>) {
    let (class, reason, codes): (_, _, &[String]) = match outcome {
        Ok(Verdict::Human(_)) => ("human", "", &[]),
        Ok(Verdict::NotHuman(refusal)) => ("not-human", refusal.reason().as_str(), refusal.codes()),
        Err(error) => {
            tracing::warn!(
                target: "human_check",
                provider = ALTCHA.name(),
                outcome = error.kind().as_str(),
                reason = error.reason(),
                error = error as &dyn std::error::Error,
                "checked"
            );
            return;
        }
    };
    tracing::debug!(
        target: "human_check",
        provider = ALTCHA.name(),
        outcome = class,
        reason,
        codes = ?codes,
        "checked"
    );
}

impl<S: fmt::Debug> fmt::Debug for Altcha<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Altcha")
            .field("site", &self.site)
            .field("ttl", &self.ttl)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
