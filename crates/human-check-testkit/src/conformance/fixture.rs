use std::any::Any;
use std::fmt;
use std::sync::Arc;

use human_check_core::{HumanCheck, Provider, Reason, Submission, Verdict};

/// A check, and the functions that the conformance suite needs to test it.
///
/// [`Fixture::new`] suffices. Each `with_*` setter enables further tests.
///
/// ```
/// use human_check_core::Submission;
/// use human_check_testkit::conformance::{Fixture, Wanted};
/// use human_check_testkit::{SCRIPTED, Scripted};
///
/// let check = Scripted::human();
/// let calls = check.clone();
/// let fixture = Fixture::new(check, |_: &Wanted| {
///     Submission::new().with_token(&SCRIPTED, "a-good-token")
/// })
/// .with_calls(move || calls.submissions().len());
/// # let _ = fixture;
/// ```
pub struct Fixture {
    pub(super) check: Arc<dyn HumanCheck>,
    pub(super) good: Box<dyn Fn(&Wanted) -> Submission + Send + Sync>,
    pub(super) bad: Option<Box<dyn Fn() -> Submission + Send + Sync>>,
    calls: Option<Box<dyn Fn() -> usize + Send + Sync>>,
    pub(super) outage: Option<Box<dyn Fn(bool) + Send + Sync>>,
    pub(super) status: Option<Box<dyn Fn(u16) + Send + Sync>>,
    pub(super) secrets: Vec<String>,
    /// Dropped after the test, such as an emulator.
    _resource: Option<Box<dyn Any + Send + Sync>>,
}

/// The properties that the suite requires of a good token.
///
/// The function given to [`Fixture::new`] receives this. A provider without actions or bindings
/// ignores the field.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Wanted {
    /// The action that the challenge is solved for, or `None` for a challenge without an action.
    pub action: Option<String>,
    /// The value that the token is bound to, or `None` for an unbound token.
    pub binding: Option<String>,
}

impl Fixture {
    /// Creates a fixture from a check and a function that makes good submissions.
    ///
    /// Each call of `good` must return a submission with a new token that passes the check, with
    /// the properties in [`Wanted`], and without expectations.
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
            _resource: None,
        }
    }

    /// Sets a function that makes submissions with a well-formed token that the check must refuse,
    /// such as a forged one.
    ///
    /// Default: none, and the suite does not test this.
    #[must_use]
    pub fn with_bad(mut self, bad: impl Fn() -> Submission + Send + Sync + 'static) -> Self {
        self.bad = Some(Box::new(bad));
        self
    }

    /// Sets a function that returns how many calls the provider has received so far.
    ///
    /// With it, the suite tests that a malformed token causes no call. Default: none.
    #[must_use]
    pub fn with_calls(mut self, calls: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.calls = Some(Box::new(calls));
        self
    }

    /// Sets a function that starts (`true`) or ends (`false`) an outage of the provider.
    ///
    /// Default: none, and the suite does not test outages.
    #[must_use]
    pub fn with_outage(mut self, outage: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.outage = Some(Box::new(outage));
        self
    }

    /// Sets a function that makes the provider send its further replies under an HTTP status.
    ///
    /// With it, the suite tests that a positive reply under a status of an error does not pass.
    /// Default: none.
    #[must_use]
    pub fn with_status(mut self, status: impl Fn(u16) + Send + Sync + 'static) -> Self {
        self.status = Some(Box::new(status));
        self
    }

    /// Adds a text that the check must not print, such as the secret key.
    ///
    /// The suite searches for it in `Debug` of the check and in `Display` and `Debug` of its
    /// verdicts and errors.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Keeps a value until the end of the test, such as an emulator. A second call replaces the
    /// first value.
    #[must_use]
    pub fn with_resource(mut self, resource: impl Any + Send + Sync) -> Self {
        self._resource = Some(Box::new(resource));
        self
    }

    /// Makes a good submission without action and binding.
    pub(super) fn good(&self) -> Submission {
        (self.good)(&Wanted::default())
    }

    /// Returns the calls so far, or 0 when the fixture does not count them.
    pub(super) fn calls(&self) -> usize {
        self.calls.as_ref().map_or(0, |calls| calls())
    }

    /// Returns the first provider of the check.
    pub(super) fn provider(&self) -> &Provider {
        &self.check.providers()[0]
    }

    /// Returns the verdict of the check.
    ///
    /// # Panics
    ///
    /// When the check returns an error.
    pub(super) async fn verdict(&self, submission: &Submission) -> Verdict {
        let verdict = self.check.check(submission).await;
        verdict.expect("the check reaches a verdict")
    }

    /// Returns the reason of the refusal, or `None` for a human.
    pub(super) async fn reason(&self, submission: &Submission) -> Option<Reason> {
        let verdict = self.verdict(submission).await;
        verdict.refusal().map(human_check_core::Refusal::reason)
    }

    /// Returns the reason of a refusal that caused no call to the provider.
    pub(super) async fn local_reason(&self, submission: &Submission) -> Option<Reason> {
        let before = self.calls();
        let reason = self.reason(submission).await;
        assert_eq!(self.calls(), before, "the provider was called");
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

/// Prints that a test was skipped because the fixture lacks a setting.
#[allow(
    clippy::print_stdout,
    reason = "the test harness shows it with --nocapture"
)]
pub(super) fn skipped(needs: &str) {
    println!("skipped: the fixture has no `{needs}`");
}
