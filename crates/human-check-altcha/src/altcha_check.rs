use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::adapter::report_check;
use human_check_core::{
    Capabilities, ChallengeRequest, CheckError, Claimed, Clock, ConfigError, DetailValue,
    ErrorKind, FactKind, Health, HumanCheck, Provider, Reason, Refusal, ReplayProtection,
    ReplayStore, SteadyClock, Submission, TokenId, Verdict,
};

use crate::altcha_token::AltchaToken;
use crate::derivations::{Derivations, NotRun};
use crate::{Difficulty, Keys};

/// The maximum length of a payload, in bytes. A challenge of this library makes about 600.
const MAX_TOKEN_BYTES: usize = 8_192;

/// The provider of ALTCHA proofs of work, with the form field of the widget, `altcha`.
///
/// See docs/providers/altcha.md#tokens.
pub static ALTCHA: Provider = Provider::new("altcha", &["altcha"]);

/// How far the clocks of two machines that share a replay store may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// How much longer than the ttl of a challenge a replay store must keep its entries: two minutes.
///
/// The machine that issues a challenge may have a clock that is a minute ahead of the machine that
/// verifies the token first, and a third machine may have a clock that is a minute behind that one.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// Issues proof-of-work challenges and verifies their tokens, without a call to a third party.
///
/// A token that passes shows that a machine used CPU time on a challenge that this site issued for
/// this action, and that the token was not used before. It does not show a human: a bot can do the
/// same work.
///
/// Share one value between the guard and the challenge endpoint: `Arc<Altcha<_>>` is a check and a
/// [`ChallengeIssuer`](human_check_core::ChallengeIssuer). Several machines must share the secret,
/// the site and the replay store.
///
/// ```
/// use std::sync::Arc;
///
/// use human_check_altcha::{Altcha, Difficulty, Keys};
/// use human_check_core::{ChallengeIssuer, ChallengeRequest, MemoryReplayStore, Secret};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = Keys::new(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?)?;
/// let altcha = Altcha::new(keys, "www.example.com", MemoryReplayStore::new(100_000))?
///     .with_difficulty(Difficulty::light());
/// let altcha = Arc::new(altcha);
///
/// let challenge = altcha.issue(&ChallengeRequest::new().with_action("signup")).await?;
/// assert!(challenge.json().contains("signature"));
/// # Ok(()) }
/// ```
///
/// A replay store is required, because the protocol keeps no state: without one the same token
/// would pass until its challenge ends. So this does not compile:
///
/// ```compile_fail,E0061
/// # use human_check_core::Secret;
/// # use human_check_altcha::{Altcha, Keys};
/// # let secret = Secret::new("from openssl rand -base64 32").unwrap();
/// let check = Altcha::new(Keys::new(secret).unwrap(), "www.example.com");
/// ```
///
/// See docs/providers/altcha.md#what-it-proves-and-what-it-does-not.
///
/// # Runtime
///
/// Issuing a challenge derives a key on tokio's threads for blocking work, so it needs a tokio
/// runtime. Verifying a token derives no key.
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
    /// Creates a check for one site. Challenges have a ttl of five minutes and the difficulty
    /// [`standard`](Difficulty::standard).
    ///
    /// `site` is a name that the operator chooses, such as the host. Tokens of another site with
    /// the same secret are refused. No browser states the site, so it becomes the detail `site` of
    /// a verdict and not its host.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `site` is not 1 to 255 characters of printable ASCII without spaces, or
    /// when `store` keeps entries for less than seven minutes.
    pub fn new(keys: Keys, site: impl Into<String>, store: S) -> Result<Self, ConfigError> {
        let site = site.into();
        if site.is_empty() || site.len() > 255 || !site.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::new(
                "site",
                format!("is {site:?}"),
                "name the site with 1 to 255 letters, digits, dots and hyphens, such as `www.example.com`",
            ));
        }
        // Half of the cores, so that a flood of challenge requests leaves the other half free.
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            provider: ALTCHA.clone(),
            keys,
            site,
            ttl: Duration::ZERO,
            difficulty: Arc::new(|_| Difficulty::default()),
            derivations: Derivations::new(cores.div_ceil(2), 64),
            clock: Box::new(SteadyClock::system()),
            store,
        }
        .with_ttl(Duration::from_secs(300))
    }

    /// Sets the ttl of challenges, from ten seconds to a day, in whole seconds. Default: five
    /// minutes.
    ///
    /// The widget fetches another challenge when one ends while the page is open.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `ttl` is out of range, or when `ttl` and [`CLOCK_TOLERANCE`] together
    /// are longer than the replay store keeps entries.
    pub fn with_ttl(mut self, ttl: Duration) -> Result<Self, ConfigError> {
        let max_ttl = self.store.max_ttl();
        let allowed = Duration::from_secs(10)..=Duration::from_secs(86_400);
        if !allowed.contains(&ttl) || ttl + CLOCK_TOLERANCE > max_ttl {
            return Err(ConfigError::new(
                "challenge_ttl",
                format!(
                    "is {ttl:?}, and the replay store keeps entries for {max_ttl:?}, of which two \
                     minutes are for differences between clocks"
                ),
                "use ten seconds to a day, and a replay store that keeps entries two minutes longer",
            ));
        }
        self.ttl = Duration::from_secs(ttl.as_secs());
        Ok(self)
    }

    /// Sets one difficulty for all challenges. Default: [`Difficulty::standard`].
    #[must_use]
    pub fn with_difficulty(self, difficulty: Difficulty) -> Self {
        self.with_difficulty_for(move |_| difficulty)
    }

    /// Sets a function that chooses the difficulty of each challenge, such as more work for an
    /// address that fetches many challenges.
    ///
    /// ```
    /// # use human_check_core::{ChallengeRequest, MemoryReplayStore, Secret};
    /// # use human_check_altcha::{Altcha, Difficulty, Keys};
    /// # let keys = Keys::new(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?)?;
    /// let check = Altcha::new(keys, "www.example.com", MemoryReplayStore::new(100_000))?
    ///     .with_difficulty_for(|request| {
    ///         // Twice the work for each five challenges that this address fetched lately.
    ///         Difficulty::standard().multiplied_by(1 << (request.earlier() / 5).min(4))
    ///     });
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// `difficulty` is called for every challenge and must not block. An attacker may use many
    /// addresses.
    ///
    /// See docs/providers/altcha.md#difficulty.
    #[must_use]
    pub fn with_difficulty_for(
        mut self,
        difficulty: impl Fn(&ChallengeRequest) -> Difficulty + Send + Sync + 'static,
    ) -> Self {
        self.difficulty = Arc::new(difficulty);
        self
    }

    /// Sets how many key derivations run at the same time, and how many may wait. Default: half of
    /// the cores, and 64.
    ///
    /// Beyond both, a challenge is not issued: `Declined`, with the reason `derivations-busy`.
    /// Tokens are verified all the same, because that derives no key.
    #[must_use]
    pub fn with_derivations(mut self, running: NonZeroUsize, waiting: usize) -> Self {
        self.derivations = Derivations::new(running.get(), waiting);
        self
    }

    /// Sets the names of the form fields that may hold the token. Default: `altcha`.
    ///
    /// The given names replace the default. Give the name to the widget, too, with
    /// [`Widget::with_field`](human_check_core::Widget::with_field).
    #[must_use]
    pub fn with_form_fields<F: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.provider = self.provider.with_fields(fields);
        self
    }

    /// Sets the clock that decides when challenges end. Default: the system clock. For tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(SteadyClock::new(clock));
        self
    }

    async fn verify(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let now = self.clock.now();
        let field = submission.token_for(&ALTCHA, MAX_TOKEN_BYTES);
        let mut token = match field.and_then(|field| AltchaToken::open(field, &self.keys, now)) {
            Ok(token) => token,
            Err(refusal) => return Ok(refusal.into()),
        };
        let mut facts = token.take_facts(&ALTCHA);
        let refused = |reason, facts| Ok(Refusal::new(reason).with_facts(facts).into());
        let invalid = |code: &str, facts| {
            let refusal = Refusal::new(Reason::Invalid).with_facts(facts);
            Ok(refusal.with_codes(vec![code.to_owned()]).into())
        };
        match token.is_solved() {
            Some(true) => {}
            Some(false) => return refused(Reason::Invalid, facts),
            // Verifying it takes a derivation, and the same challenge could be sent again and
            // again.
            None => return invalid("unsigned-key", facts),
        }
        match token.take_site() {
            Some(site) if site == self.site => {
                facts.details.push(("site", DetailValue::Text(site)));
            }
            _ => return refused(Reason::WrongSiteKey, facts),
        }
        facts.replay_protection = ReplayProtection::Store;
        let verdict = Verdict::Human(facts).check_expectations(submission);
        let Verdict::Human(facts) = verdict else {
            return Ok(verdict);
        };
        // A challenge that was issued before the ttl was shortened may outlive its entry in the
        // store and pass twice. This is a refusal, because routes may fail open when the store is
        // unavailable.
        let ttl = token.expires_at().duration_since(now).unwrap_or_default() + CLOCK_SKEW;
        if ttl > self.store.max_ttl() {
            return invalid("outlives-store", facts);
        }
        // The claim comes last, so that only tokens that would pass take a place in the store.
        let token_id = TokenId::from_bytes(&ALTCHA, token.signature());
        match self.store.claim(token_id, ttl).await {
            Ok(Claimed::First) => Ok(Verdict::Human(facts)),
            Ok(Claimed::Duplicate) => refused(Reason::Replayed, facts),
            Err(error) => Err(error.into_check_error(&ALTCHA)),
        }
    }
}

/// Returns the error for a derivation that did not run.
pub(crate) fn derivation_error(cause: NotRun) -> CheckError {
    match cause {
        // A flood of requests causes it, so it is no outage.
        NotRun::Busy => CheckError::new(ErrorKind::Declined, &ALTCHA, "derivations-busy")
            .with_retry_after(Some(Duration::from_secs(1)))
            .with_token_unused(),
        NotRun::Lost => {
            CheckError::new(ErrorKind::Protocol, &ALTCHA, "derivation-lost").with_token_unused()
        }
    }
}

/// Verifies a token against the signed challenge that it holds. No key is derived for that.
///
/// A token is refused when its challenge has ended, its signature is wrong, it is not solved, it
/// was issued for another site, action or binding, or it was used before. Dropping the future
/// during the claim leaves the token claimed or not.
///
/// See docs/providers/altcha.md#error-codes.
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
        let outcome = self.verify(submission).await;
        report_check(&ALTCHA, &outcome, 0, Duration::ZERO);
        outcome
    }

    /// Always up: no other server takes part.
    async fn probe_health(&self) -> Health {
        Health::Up
    }
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
