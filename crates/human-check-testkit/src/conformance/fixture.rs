use std::any::Any;
use std::fmt;
use std::sync::Arc;

use human_check_core::{HumanCheck, Provider, Reason, Submission};

/// A check, and what the suite needs in order to try it.
pub struct Fixture {
    pub(super) check: Arc<dyn HumanCheck>,
    pub(super) good: Box<dyn Fn(&Wanted) -> Submission + Send + Sync>,
    pub(super) bad: Option<Box<dyn Fn() -> Submission + Send + Sync>>,
    calls: Option<Box<dyn Fn() -> usize + Send + Sync>>,
    pub(super) outage: Option<Box<dyn Fn(bool) + Send + Sync>>,
    pub(super) status: Option<Box<dyn Fn(u16) + Send + Sync>>,
    pub(super) secrets: Vec<String>,
    /// Lives as long as the test, such as an emulator.
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

/// What a good submission is to be good for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Wanted {
    /// The action the challenge is to be solved for.
    pub action: Option<String>,
    /// The value it is to be tied to.
    pub binding: Option<String>,
}

impl Fixture {
    /// A check, and a way to make submissions that pass it: each with a fresh token, solved for
    /// what is wanted, and without expectations.
    pub fn new(
        check: impl HumanCheck,
        good: impl Fn(&Wanted) -> Submission + Send + Sync + 'static,
    ) -> Self {
        Self {
            check: Arc::new(check),
            good: Box::new(good),
            bad: None,
            calls: None,
            outage: None,
            status: None,
            secrets: Vec::new(),
            _kept: None,
        }
    }

    /// A way to make submissions that look like good ones and must be refused.
    #[must_use]
    pub fn with_bad(mut self, bad: impl Fn() -> Submission + Send + Sync + 'static) -> Self {
        self.bad = Some(Box::new(bad));
        self
    }

    /// A way to count how often the provider was asked.
    #[must_use]
    pub fn with_calls(mut self, calls: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.calls = Some(Box::new(calls));
        self
    }

    /// A way to take the provider down (`true`) and bring it back.
    #[must_use]
    pub fn with_outage(mut self, outage: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.outage = Some(Box::new(outage));
        self
    }

    /// A way to make the provider send its answers under this HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: impl Fn(u16) + Send + Sync + 'static) -> Self {
        self.status = Some(Box::new(status));
        self
    }

    /// A text that nothing the check prints may hold.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Keeps something alive for the length of the test.
    #[must_use]
    pub fn with_resource(mut self, kept: impl Any + Send + Sync) -> Self {
        self._kept = Some(Box::new(kept));
        self
    }

    pub(super) fn good(&self) -> Submission {
        (self.good)(&Wanted::default())
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.as_ref().map_or(0, |calls| calls())
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.check.providers()[0]
    }

    pub(super) async fn reason(&self, submission: &Submission) -> Option<Reason> {
        let verdict = self.check.check(submission).await.expect("somebody speaks");
        verdict.refusal().map(human_check_core::Refusal::reason)
    }

    /// The reason, when nobody was asked for it.
    pub(super) async fn local_reason(&self, submission: &Submission) -> Option<Reason> {
        let before = self.calls();
        let reason = self.reason(submission).await;
        assert_eq!(self.calls(), before, "the provider was asked");
        reason
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}

/// Says on the output of a passing test that it had nothing to try.
#[allow(
    clippy::print_stdout,
    reason = "the test harness shows it with --nocapture"
)]
pub(super) fn skipped(needs: &str) {
    println!("skipped: the fixture has no `{needs}`");
}
