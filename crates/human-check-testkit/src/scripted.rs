use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ErrorKind, Facts, HumanCheck, Provider, Reason, Refusal, Submission,
    Verdict,
};

/// The provider that [`Scripted`] doubles accept, with the field `scripted-response`.
pub static SCRIPTED: Provider = Provider::new("scripted", &["scripted-response"]);

type Play = Arc<dyn Fn(&Submission) -> Result<Verdict, CheckError> + Send + Sync>;

/// A check that says what a test tells it to, and remembers what it was asked.
///
/// Clones share script and memory, so keep one and give the other to the application.
///
/// ```
/// use human_check_core::{HumanCheck, Reason, Submission};
/// use human_check_testkit::Scripted;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let check = Scripted::human().then(&Scripted::refused(Reason::Replayed));
/// assert!(check.check(&Submission::new()).await.unwrap().is_human());
/// assert!(!check.check(&Submission::new()).await.unwrap().is_human());
/// assert_eq!(check.submissions().len(), 2);
/// # });
/// ```
#[derive(Clone)]
pub struct Scripted {
    provider: Provider,
    reports: Capabilities,
    /// Played one by one; the last one for ever.
    script: Arc<Mutex<VecDeque<Play>>>,
    submissions: Arc<Mutex<Vec<Submission>>>,
}

impl Scripted {
    /// Everybody is human.
    pub fn human() -> Self {
        Self::playing(|_| Ok(Verdict::Human(Facts::new(&SCRIPTED))))
    }

    /// Everybody is human, with these facts.
    pub fn human_with(facts: Facts) -> Self {
        Self::playing(move |_| Ok(Verdict::Human(facts.clone())))
    }

    /// Nobody passes, for `reason`.
    pub fn refused(reason: Reason) -> Self {
        Self::playing(move |_| Ok(Refusal::new(reason).into()))
    }

    /// The provider is down.
    pub fn unavailable() -> Self {
        Self::failing(ErrorKind::Unavailable, "scripted-outage")
    }

    /// The provider will not judge.
    pub fn declined() -> Self {
        Self::failing(ErrorKind::Declined, "scripted-quota")
    }

    /// Our configuration is wrong.
    pub fn misconfigured() -> Self {
        Self::failing(ErrorKind::Misconfigured, "scripted-secret")
    }

    /// The provider answers nonsense.
    pub fn protocol() -> Self {
        Self::failing(ErrorKind::Protocol, "scripted-nonsense")
    }

    fn failing(kind: ErrorKind, reason: &'static str) -> Self {
        Self::playing(move |_| Err(CheckError::new(kind, &SCRIPTED, reason)))
    }

    /// Answers by a function.
    pub fn playing(
        play: impl Fn(&Submission) -> Result<Verdict, CheckError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            provider: SCRIPTED.clone(),
            reports: Capabilities::nothing(),
            script: Arc::new(Mutex::new(VecDeque::from([Arc::new(play) as Play]))),
            submissions: Arc::default(),
        }
    }

    /// Plays this script once, and then `next`.
    #[must_use]
    pub fn then(self, next: &Self) -> Self {
        let next: Vec<Play> = lock(&next.script).iter().cloned().collect();
        lock(&self.script).extend(next);
        self
    }

    /// Accepts another provider's answers.
    #[must_use]
    pub fn with_provider(mut self, provider: &Provider) -> Self {
        self.provider = provider.clone();
        self
    }

    /// Claims to report these facts.
    #[must_use]
    pub fn with_capabilities(mut self, reports: Capabilities) -> Self {
        self.reports = reports;
        self
    }

    /// What it was asked so far, oldest first.
    pub fn submissions(&self) -> Vec<Submission> {
        lock(&self.submissions).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted")
            .field("provider", &self.provider)
            .field("asked", &lock(&self.submissions).len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl HumanCheck for Scripted {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        self.reports
    }

    /// Says what the script says, whatever the submission holds: a test of an application decides
    /// the outcome, not the token it happened to post.
    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        lock(&self.submissions).push(submission.clone());
        let play = {
            let mut script = lock(&self.script);
            match script.len() {
                0 | 1 => script.front().cloned(),
                _ => script.pop_front(),
            }
        };
        match play {
            Some(play) => play(submission),
            None => Err(CheckError::new(
                ErrorKind::Unavailable,
                &SCRIPTED,
                "script-empty",
            )),
        }
    }
}
