//! A test suite for the behaviours that every [`HumanCheck`](human_check_core::HumanCheck) must
//! have.
//!
//! Use it for an adapter or a combinator of your own. The macro
//! [`conformance!`](macro@crate::conformance) creates one named test for each behaviour in
//! [`behaviours`]. A [`Fixture`] tells the suite how to make submissions for the check, and what
//! else it can do. A test that needs more than the fixture has passes without a test, and prints
//! what it lacks; `cargo test -- --nocapture` shows this.

pub mod behaviours;
mod fixture;

pub use fixture::{Fixture, Wanted};

/// Runs one behaviour on a Tokio runtime. The macro [`conformance!`](macro@crate::conformance)
/// calls it.
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

/// Creates the conformance tests of one check: a module of the given name, with one test for each
/// behaviour.
///
/// The second argument is an expression for a future of a [`Fixture`](crate::conformance::Fixture).
/// Every test builds a fixture of its own. The expression is inside of the new module, so it names
/// an item beside the module with `super::`.
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
            $crate::conformance!(@tests $fixture;
                names_a_provider_and_a_field
                refuses_an_absent_token_without_a_call
                refuses_an_empty_token_without_a_call
                refuses_an_oversized_token_without_a_call
                refuses_an_unprintable_token_without_a_call
                refuses_contradicting_tokens_without_a_call
                takes_no_typed_token_for_an_outage
                takes_no_token_of_another_provider
                accepts_a_good_token
                carries_the_facts_it_always_reports
                refuses_a_bad_token
                refuses_a_token_the_second_time
                lets_one_of_many_concurrent_uses_pass
                holds_to_the_expected_action
                holds_to_the_expected_binding
                rejects_a_policy_it_can_never_satisfy
                refuses_on_every_other_status
                tells_an_outage_from_a_refusal
                recovers_from_an_outage
                survives_being_given_up
                decides_alike_through_box_and_arc
                shows_no_token_and_no_secret
            );
        }
    };
    (@tests $fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            $crate::conformance::run($fixture, $crate::conformance::behaviours::$behaviour);
        }
    )*};
}
