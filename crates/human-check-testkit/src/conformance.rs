//! The behaviours that every [`HumanCheck`] counts, as tests for any of them.
//!
//! [`conformance!`](macro@crate::conformance) stamps one named test per behaviour. Which of them apply
//! follows from what the check reports and from what its [`Fixture`] can do. The rest pass, and say
//! what they lack when the tests run with `--nocapture`.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use human_check_core::{
    ErrorKind, FactKind, HumanCheck, MAX_TOKEN_BYTES, Policy, Provider, Reason, ReplayProtection,
    Score, Submission, Support, Verdict,
};

/// A check, and what the suite needs in order to try it.
pub struct Fixture {
    check: Arc<dyn HumanCheck>,
    good: Box<dyn Fn(&Wanted) -> Submission + Send + Sync>,
    bad: Option<Box<dyn Fn() -> Submission + Send + Sync>>,
    calls: Option<Box<dyn Fn() -> usize + Send + Sync>>,
    outage: Option<Box<dyn Fn(bool) + Send + Sync>>,
    status: Option<Box<dyn Fn(u16) + Send + Sync>>,
    secrets: Vec<String>,
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

    fn good(&self) -> Submission {
        (self.good)(&Wanted::default())
    }

    fn calls(&self) -> usize {
        self.calls.as_ref().map_or(0, |calls| calls())
    }

    fn provider(&self) -> &Provider {
        &self.check.providers()[0]
    }

    async fn reason(&self, submission: &Submission) -> Option<Reason> {
        let verdict = self.check.check(submission).await.expect("somebody speaks");
        verdict.refusal().map(human_check_core::Refusal::reason)
    }

    /// The reason, when nobody was asked for it.
    async fn local_reason(&self, submission: &Submission) -> Option<Reason> {
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
fn skipped(needs: &str) {
    println!("skipped: the fixture has no `{needs}`");
}

/// Runs one behaviour. Called by [`conformance!`](macro@crate::conformance).
#[doc(hidden)]
pub fn run<B>(fixture: impl Future<Output = Fixture>, behaviour: impl FnOnce(Fixture) -> B)
where
    B: Future<Output = ()>,
{
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(async { behaviour(fixture.await).await });
}

/// Stamps the suite for one check: a module of that name with one test per behaviour.
///
/// ```
/// use human_check_core::{Facts, Reason, HumanCheck, Submission, Verdict};
/// use human_check_testkit::conformance::{Fixture, Wanted};
/// # use human_check_core::{CheckError, Provider, Capabilities};
/// # use human_check_core::adapter::async_trait;
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # #[derive(Debug)] struct Acme;
/// # #[async_trait] impl HumanCheck for Acme {
/// #     fn providers(&self) -> &[Provider] { std::slice::from_ref(&ACME) }
/// #     fn capabilities(&self) -> Capabilities { Capabilities::nothing() }
/// #     async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
/// #         Ok(match submission.token_for(&ACME, 8192) {
/// #             Ok("good") => Verdict::Human(Facts::new(&ACME)).check_expectations(submission),
/// #             Ok(_) => Verdict::refused(Reason::Invalid),
/// #             Err(refusal) => refusal.into(),
/// #         })
/// #     }
/// # }
///
/// async fn acme() -> Fixture {
///     Fixture::new(Acme, |_: &Wanted| Submission::new().with_token(&ACME, "good"))
///         .with_bad(|| Submission::new().with_token(&ACME, "bad"))
/// }
///
/// human_check_testkit::conformance!(acme_conforms, super::acme());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    ($name:ident, $fixture:expr) => {
        mod $name {
            $crate::conformance!(@stamp $fixture;
                names_a_provider_and_a_field
                refuses_an_absent_answer_without_asking
                refuses_an_empty_token_without_asking
                refuses_an_oversized_token_without_asking
                refuses_an_unprintable_token_without_asking
                refuses_contradicting_tokens_without_asking
                takes_no_typed_token_for_an_outage
                takes_no_answer_meant_for_another_provider
                accepts_a_good_token
                carries_the_facts_it_always_reports
                refuses_a_bad_token
                refuses_a_token_the_second_time
                lets_one_of_many_concurrent_uses_pass
                holds_to_the_expected_action
                holds_to_the_expected_binding
                rejects_a_policy_it_can_never_satisfy
                lets_nobody_pass_on_another_status
                tells_an_outage_from_a_refusal
                recovers_from_an_outage
                survives_being_given_up
                answers_alike_through_box_and_arc
                shows_no_token_and_no_secret
            );
        }
    };
    (@stamp $fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            $crate::conformance::run($fixture, $crate::conformance::behaviours::$behaviour);
        }
    )*};
}

/// The behaviours, one function each.
pub mod behaviours {
    use super::*;

    static NOBODY: Provider = Provider::new("nobody-knows-this-provider", &["nobody"]);

    /// Guards and pages need both.
    pub async fn names_a_provider_and_a_field(fixture: Fixture) {
        let accepts = fixture.check.providers();
        assert!(!accepts.is_empty(), "it accepts nobody's answers");
        let names: HashSet<&str> = accepts.iter().map(Provider::name).collect();
        assert_eq!(names.len(), accepts.len(), "a provider is named twice");
        for provider in accepts {
            assert!(!provider.name().is_empty());
            assert!(
                provider.fields().next().is_some(),
                "{provider} arrives in no field"
            );
        }
    }

    /// No token, no pass, no call.
    pub async fn refuses_an_absent_answer_without_asking(fixture: Fixture) {
        assert_eq!(
            fixture.local_reason(&Submission::new()).await,
            Some(Reason::Missing)
        );
    }

    /// An empty field is no token.
    pub async fn refuses_an_empty_token_without_asking(fixture: Fixture) {
        for provider in fixture.check.providers() {
            let empty = Submission::new().with_token(provider, "");
            assert_eq!(
                fixture.local_reason(&empty).await,
                Some(Reason::Missing),
                "{provider}"
            );
        }
    }

    /// Ours to refuse, before it costs anything.
    pub async fn refuses_an_oversized_token_without_asking(fixture: Fixture) {
        for length in [MAX_TOKEN_BYTES + 1, 20_000, 200_000] {
            let long = Submission::new().with_token(fixture.provider(), "a".repeat(length));
            assert_eq!(fixture.local_reason(&long).await, Some(Reason::Malformed));
        }
    }

    /// Spaces, controls and anything beyond ASCII are in no provider's tokens.
    pub async fn refuses_an_unprintable_token_without_asking(fixture: Fixture) {
        for text in [
            " ",
            "a b",
            "a\nb",
            "a\r\nX-Header: b",
            "a\0b",
            "a\u{7f}",
            "töken",
            "\u{202e}abc",
        ] {
            let odd = Submission::new().with_token(fixture.provider(), text);
            assert_eq!(
                fixture.local_reason(&odd).await,
                Some(Reason::Malformed),
                "{text:?}"
            );
        }
    }

    /// Whatever a visitor types is a refusal, or an answer that makes no sense: never an outage, which a
    /// route may open on, and never our fault.
    pub async fn takes_no_typed_token_for_an_outage(fixture: Fixture) {
        for text in [
            "x",
            "null",
            "{}",
            "[]",
            "a&secret=b",
            "%00%0a",
            "'--",
            "\"><script>",
            "../../x",
            "$(x)",
            "=",
            "_",
            "a:b:c",
            &"a".repeat(MAX_TOKEN_BYTES),
        ] {
            let typed = Submission::new().with_token(fixture.provider(), text);
            match fixture.check.check(&typed).await {
                Ok(verdict) => assert!(!verdict.is_human(), "{text:?} passed"),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::Declined | ErrorKind::Protocol),
                    "{text:?}: {error}"
                ),
            }
        }
    }

    /// Nobody can say which of two tokens is meant.
    pub async fn refuses_contradicting_tokens_without_asking(fixture: Fixture) {
        let both = fixture
            .good()
            .with_token(fixture.provider(), "another-token");
        assert_eq!(fixture.local_reason(&both).await, Some(Reason::Malformed));
    }

    /// A token means nothing to anybody but its provider.
    pub async fn takes_no_answer_meant_for_another_provider(fixture: Fixture) {
        let other = Submission::new().with_token(&NOBODY, "a-token");
        assert_eq!(fixture.local_reason(&other).await, Some(Reason::Missing));
    }

    /// What all of this is for.
    pub async fn accepts_a_good_token(fixture: Fixture) {
        let submission = fixture.good();
        let verdict = fixture
            .check
            .check(&submission)
            .await
            .expect("somebody speaks");
        let Verdict::Human(facts) = verdict else {
            panic!("refused: {verdict:?}");
        };
        assert!(
            fixture.check.providers().contains(&facts.provider),
            "{:?} judged",
            facts.provider
        );
    }

    /// A promise that policies are built on.
    pub async fn carries_the_facts_it_always_reports(fixture: Fixture) {
        let verdict = fixture
            .check
            .check(&fixture.good())
            .await
            .expect("somebody speaks");
        let facts = verdict.facts().expect("it is good");
        let reports = fixture.check.capabilities();
        for (fact, present) in [
            (FactKind::Action, facts.action.is_some()),
            (FactKind::Binding, facts.binding.is_some()),
            (
                FactKind::Hostname,
                facts.hostname.is_some() || facts.app.is_some(),
            ),
            (FactKind::Score, facts.score.is_some()),
            (FactKind::SolvedAt, facts.solved_at.is_some()),
        ] {
            if reports.of(fact) == Support::Always {
                assert!(present, "the {fact} is absent");
            }
        }
    }

    /// Looking like a token is not enough.
    pub async fn refuses_a_bad_token(fixture: Fixture) {
        let Some(bad) = &fixture.bad else {
            return skipped("with_bad");
        };
        let verdict = fixture.check.check(&bad()).await.expect("somebody speaks");
        assert!(!verdict.is_human(), "{verdict:?}");
    }

    /// Where somebody sees to single use, it holds.
    pub async fn refuses_a_token_the_second_time(fixture: Fixture) {
        let submission = fixture.good();
        let first = fixture
            .check
            .check(&submission)
            .await
            .expect("somebody speaks");
        let facts = first.facts().expect("it is good");
        if facts.replay_protection != ReplayProtection::None {
            let second = fixture
                .check
                .check(&submission)
                .await
                .expect("somebody speaks");
            assert!(!second.is_human(), "{second:?}");
        }
    }

    /// And also when the uses come together.
    pub async fn lets_one_of_many_concurrent_uses_pass(fixture: Fixture) {
        let submission = fixture.good();
        let mut uses = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (check, submission) = (Arc::clone(&fixture.check), submission.clone());
            uses.spawn(async move { check.check(&submission).await });
        }
        let mut humans = 0;
        let mut single = true;
        while let Some(outcome) = uses.join_next().await {
            match outcome.expect("no use panics") {
                Ok(Verdict::Human(facts)) => {
                    humans += 1;
                    single &= facts.replay_protection != ReplayProtection::None;
                }
                Ok(Verdict::NotHuman(_)) => {}
                // A replay that reads as an outage would open a route that opens on outages.
                Err(error) => assert_ne!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
        assert!(humans >= 1, "nobody passed");
        assert!(!single || humans == 1, "{humans} uses of one token passed");
    }

    /// With or without a policy in front; and where the provider says nothing of actions, an
    /// expectation refuses everybody.
    pub async fn holds_to_the_expected_action(fixture: Fixture) {
        let wanted = |action: &str| Wanted {
            action: Some(action.to_owned()),
            binding: None,
        };
        let other = (fixture.good)(&wanted("checkout")).with_expected_action("login");
        assert!(
            fixture.reason(&other).await.is_some(),
            "an action that was not expected passed"
        );
        let none = fixture.good().with_expected_action("login");
        assert!(
            fixture.reason(&none).await.is_some(),
            "an action that nobody stated passed"
        );
        let right = (fixture.good)(&wanted("login")).with_expected_action("login");
        match fixture.check.capabilities().of(FactKind::Action) {
            // Of several providers one may report what the others never do. It must have, then.
            Support::Never if fixture.check.providers().len() > 1 => {
                let verdict = fixture.check.check(&right).await.expect("somebody speaks");
                let stated = |facts: &human_check_core::Facts| {
                    facts.action.as_ref().is_some_and(|a| a.matches("login"))
                };
                assert!(verdict.facts().is_none_or(stated), "{verdict:?}");
            }
            Support::Never => assert!(fixture.reason(&right).await.is_some()),
            _ => assert_eq!(fixture.reason(&right).await, None),
        }
    }

    /// The same for the value a challenge was tied to.
    pub async fn holds_to_the_expected_binding(fixture: Fixture) {
        let wanted = |binding: &str| Wanted {
            action: None,
            binding: Some(binding.to_owned()),
        };
        let other = (fixture.good)(&wanted("session-1")).with_expected_binding("session-2");
        assert!(
            fixture.reason(&other).await.is_some(),
            "somebody else's token passed"
        );
        let unbound = fixture.good().with_expected_binding("session-2");
        assert!(
            fixture.reason(&unbound).await.is_some(),
            "an unbound token passed"
        );
        let right = (fixture.good)(&wanted("session-1")).with_expected_binding("session-1");
        match fixture.check.capabilities().of(FactKind::Binding) {
            // Of several providers one may report what the others never do. It must have, then.
            Support::Never if fixture.check.providers().len() > 1 => {
                let verdict = fixture.check.check(&right).await.expect("somebody speaks");
                let stated =
                    |facts: &human_check_core::Facts| facts.binding.as_deref() == Some("session-1");
                assert!(verdict.facts().is_none_or(stated), "{verdict:?}");
            }
            Support::Never => assert!(fixture.reason(&right).await.is_some()),
            _ => assert_eq!(fixture.reason(&right).await, None),
        }
    }

    /// Better an error at start than a route that refuses everybody.
    pub async fn rejects_a_policy_it_can_never_satisfy(fixture: Fixture) {
        let half = Score::humanity(0.5).expect("in range");
        let policies = [
            (FactKind::Action, Policy::new().with_action("login")),
            (FactKind::Binding, Policy::new().with_binding_required()),
            (FactKind::Score, Policy::new().with_min_score(half)),
            (
                FactKind::SolvedAt,
                Policy::new().with_max_age(std::time::Duration::from_secs(60)),
            ),
            (
                FactKind::Hostname,
                Policy::new()
                    .with_hostnames(["www.example.com"])
                    .expect("a host name"),
            ),
        ];
        let reports = fixture.check.capabilities();
        for (fact, policy) in policies {
            let never = reports.of(fact) == Support::Never;
            assert_eq!(policy.validate_for(reports).is_err(), never, "{fact}");
        }
    }

    /// A yes in the body of an error is no yes.
    pub async fn lets_nobody_pass_on_another_status(fixture: Fixture) {
        let Some(status) = &fixture.status else {
            return skipped("with_status");
        };
        for code in [201, 307, 400, 401, 403, 404, 429, 500, 503] {
            status(code);
            let outcome = fixture.check.check(&fixture.good()).await;
            assert!(
                !outcome.is_ok_and(|verdict| verdict.is_human()),
                "passed on {code}"
            );
        }
    }

    /// The one class that a route may choose to open on.
    pub async fn tells_an_outage_from_a_refusal(fixture: Fixture) {
        let Some(outage) = &fixture.outage else {
            return skipped("with_outage");
        };
        let submission = fixture.good();
        outage(true);
        let error = fixture
            .check
            .check(&submission)
            .await
            .expect_err("the provider is down");
        // Where another provider could judge and was given nothing to judge by, it is no outage.
        let several = fixture.check.providers().len() > 1 && error.kind() == ErrorKind::Declined;
        assert!(several || error.kind() == ErrorKind::Unavailable, "{error}");
        // What a visitor sends is refused all the same.
        assert_eq!(
            fixture.reason(&Submission::new()).await,
            Some(Reason::Missing)
        );
    }

    /// And nobody has to restart anything.
    pub async fn recovers_from_an_outage(fixture: Fixture) {
        let Some(outage) = &fixture.outage else {
            return skipped("with_outage");
        };
        outage(true);
        assert!(fixture.check.check(&fixture.good()).await.is_err());
        outage(false);
        assert_eq!(fixture.reason(&fixture.good()).await, None);
    }

    /// Visitors close their browsers.
    pub async fn survives_being_given_up(fixture: Fixture) {
        for _ in 0..8 {
            let submission = fixture.good();
            let mut check = std::pin::pin!(fixture.check.check(&submission));
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(outcome) = check.as_mut().poll(&mut context) {
                assert!(outcome.is_ok());
            }
        }
        assert_eq!(fixture.reason(&fixture.good()).await, None);
    }

    /// Applications hold a check in one of these.
    pub async fn answers_alike_through_box_and_arc(fixture: Fixture) {
        let boxed: Box<dyn HumanCheck> = Box::new(Arc::clone(&fixture.check));
        let shared: Arc<dyn HumanCheck> = Arc::new(boxed);
        assert_eq!(shared.providers(), fixture.check.providers());
        assert_eq!(shared.capabilities(), fixture.check.capabilities());
        let verdict = shared
            .check(&fixture.good())
            .await
            .expect("somebody speaks");
        assert!(verdict.is_human());
        let verdict = shared
            .check(&Submission::new())
            .await
            .expect("somebody speaks");
        assert!(!verdict.is_human());
    }

    /// Not in its own `Debug`, not in a verdict's, not in an error.
    pub async fn shows_no_token_and_no_secret(fixture: Fixture) {
        let canary = "canary-token-0123456789-abcdefghij";
        let submissions = [
            fixture.good(),
            Submission::new().with_token(fixture.provider(), canary),
            Submission::new().with_token(fixture.provider(), format!("{canary} {canary}")),
        ];
        let mut printed = format!("{:?} {:#?}", fixture.check, fixture.check);
        for down in [false, true] {
            if let Some(outage) = &fixture.outage {
                outage(down);
            }
            for submission in &submissions {
                printed.push_str(&format!("{submission:?}"));
                match fixture.check.check(submission).await {
                    Ok(verdict) => printed.push_str(&format!("{verdict:?} {verdict:#?}")),
                    Err(error) => {
                        printed.push_str(&format!("{error} {error:?}"));
                        let mut cause = std::error::Error::source(&error);
                        while let Some(error) = cause {
                            printed.push_str(&format!("{error} {error:?}"));
                            cause = error.source();
                        }
                    }
                }
            }
        }
        let good = submissions[0].token_for(fixture.provider(), usize::MAX);
        let good = good.expect("a good submission has a token");
        assert!(
            !printed.contains(good),
            "the good token is shown: {printed}"
        );
        assert!(
            !printed.contains("canary-token"),
            "a token is shown: {printed}"
        );
        for secret in &fixture.secrets {
            assert!(!printed.contains(secret.as_str()), "a secret is shown");
        }
    }
}
