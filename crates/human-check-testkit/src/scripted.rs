use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ErrorKind, Facts, Health, HumanCheck, Provider, Reason, Refusal,
    Submission, Verdict,
};

/// The provider that [`Scripted`] checks accept, named `scripted`. Its form field is
/// `scripted-response`.
pub static SCRIPTED: Provider = Provider::new("scripted", &["scripted-response"]);

/// One step of a script.
type Step = Arc<dyn Fn(&Submission) -> Result<Verdict, CheckError> + Send + Sync>;

/// A check whose results a test decides, in place of a real provider.
///
/// It ignores the token: every submission gets the next result of the script, even one without a
/// token. The last result repeats without end. The check records the submissions it receives.
///
/// Clones share script and records. Give one clone to the application, and keep one for assertions.
///
/// ```
/// use human_check_core::{HumanCheck, Reason, Submission};
/// use human_check_testkit::Scripted;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // The first call passes, all further calls are refused as replays.
/// let check = Scripted::human().then(&Scripted::refused(Reason::Replayed));
/// assert!(check.check(&Submission::new()).await.unwrap().is_human());
/// assert!(!check.check(&Submission::new()).await.unwrap().is_human());
/// assert_eq!(check.submissions().len(), 2);
/// # });
/// ```
#[derive(Clone)]
pub struct Scripted {
    provider: Provider,
    capabilities: Capabilities,
    /// The results to come. The last one stays.
    script: Arc<Mutex<VecDeque<Step>>>,
    submissions: Arc<Mutex<Vec<Submission>>>,
}

impl Scripted {
    /// Creates a check whose verdict is always human, with no facts but the provider.
    pub fn human() -> Self {
        Self::from_script(|_| Ok(Verdict::Human(Facts::new(&SCRIPTED))))
    }

    /// Creates a check whose verdict is always human, with these facts.
    ///
    /// A policy requires the check to declare the facts, too: see [`Scripted::with_capabilities`].
    pub fn human_with(facts: Facts) -> Self {
        Self::from_script(move |_| Ok(Verdict::Human(facts.clone())))
    }

    /// Creates a check that refuses every submission, with `reason`.
    pub fn refused(reason: Reason) -> Self {
        Self::from_script(move |_| Ok(Refusal::new(reason).into()))
    }

    /// Creates a check that always fails with [`ErrorKind::Unavailable`], as in an outage of the
    /// provider. Its reason is `scripted-outage`.
    pub fn unavailable() -> Self {
        Self::failing(ErrorKind::Unavailable, "scripted-outage")
    }

    /// Creates a check that always fails with [`ErrorKind::Declined`], as with an exhausted quota.
    /// Its reason is `scripted-quota`.
    pub fn declined() -> Self {
        Self::failing(ErrorKind::Declined, "scripted-quota")
    }

    /// Creates a check that always fails with [`ErrorKind::Misconfigured`], as with a wrong secret.
    /// Its reason is `scripted-secret`.
    pub fn misconfigured() -> Self {
        Self::failing(ErrorKind::Misconfigured, "scripted-secret")
    }

    /// Creates a check that always fails with [`ErrorKind::Protocol`], as after an invalid reply of
    /// the provider. Its reason is `scripted-nonsense`.
    pub fn protocol() -> Self {
        Self::failing(ErrorKind::Protocol, "scripted-nonsense")
    }

    fn failing(kind: ErrorKind, reason: &'static str) -> Self {
        Self::from_script(move |_| Err(CheckError::new(kind, &SCRIPTED, reason)))
    }

    /// Creates a check that computes each result from the submission.
    ///
    /// ```
    /// use human_check_core::{Facts, Reason, Refusal, Verdict};
    /// use human_check_testkit::{SCRIPTED, Scripted};
    ///
    /// // Passes when the client address is known.
    /// let check = Scripted::from_script(|submission| match submission.client_ip() {
    ///     Some(_) => Ok(Verdict::Human(Facts::new(&SCRIPTED))),
    ///     None => Ok(Refusal::new(Reason::Invalid).into()),
    /// });
    /// # let _ = check;
    /// ```
    pub fn from_script(
        step: impl Fn(&Submission) -> Result<Verdict, CheckError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            provider: SCRIPTED.clone(),
            capabilities: Capabilities::nothing(),
            script: Arc::new(Mutex::new(VecDeque::from([Arc::new(step) as Step]))),
            submissions: Arc::default(),
        }
    }

    /// Appends the script of `next`: the last result of this check then occurs once, and the
    /// results of `next` follow.
    #[must_use]
    pub fn then(self, next: &Self) -> Self {
        let next: Vec<Step> = lock(&next.script).iter().cloned().collect();
        lock(&self.script).extend(next);
        self
    }

    /// Sets the provider whose tokens the check accepts. Default: [`SCRIPTED`].
    ///
    /// Verdicts and errors still name [`SCRIPTED`], unless [`Scripted::human_with`] or
    /// [`Scripted::from_script`] makes others.
    #[must_use]
    pub fn with_provider(mut self, provider: &Provider) -> Self {
        self.provider = provider.clone();
        self
    }

    /// Sets what the check declares to report. Default: nothing.
    ///
    /// A policy or a guard that requires a fact refuses at start to use a check that never reports
    /// it.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Returns the submissions that the check received, oldest first.
    pub fn submissions(&self) -> Vec<Submission> {
        lock(&self.submissions).clone()
    }
}

impl Scripted {
    /// Attributes an outcome of the script to the provider that [`with_provider`](Self::with_provider)
    /// has set.
    fn named(&self, outcome: Result<Verdict, CheckError>) -> Result<Verdict, CheckError> {
        match outcome {
            Ok(Verdict::Human(mut facts)) if facts.provider == SCRIPTED => {
                facts.provider = self.provider.clone();
                Ok(Verdict::Human(facts))
            }
            Err(error) if *error.provider() == SCRIPTED => {
                let named = CheckError::new(error.kind(), &self.provider, error.reason())
                    .with_codes(error.codes().to_vec())
                    .with_retry_after(error.retry_after());
                Err(match error.token_may_be_used() {
                    true => named,
                    false => named.with_token_unused(),
                })
            }
            outcome => outcome,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted")
            .field("provider", &self.provider)
            .field("submissions", &lock(&self.submissions).len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HumanCheck for Scripted {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Returns what the next result of the script says about the provider: down if it is an outage.
    /// It uses up no step of the script, and records no submission.
    async fn probe_health(&self) -> Health {
        let step = lock(&self.script).front().cloned();
        match step {
            Some(step) => Health::of(&step(&Submission::new())),
            None => Health::Down("script-empty"),
        }
    }

    /// Returns the next result of the script, whatever the submission holds.
    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        lock(&self.submissions).push(submission.clone());
        let step = {
            let mut script = lock(&self.script);
            match script.len() {
                0 | 1 => script.front().cloned(),
                _ => script.pop_front(),
            }
        };
        match step {
            Some(step) => self.named(step(submission)),
            None => Err(CheckError::new(
                ErrorKind::Unavailable,
                &self.provider,
                "script-empty",
            )),
        }
    }
}
