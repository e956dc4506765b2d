//! The behaviours that every [`HumanCheck`] counts, as tests for any of them.
//!
//! [`conformance!`](macro@crate::conformance) stamps one named test per behaviour. Which of them apply
//! follows from what the check reports and from what its [`Fixture`] can do. The rest pass, and say
//! what they lack when the tests run with `--nocapture`.

pub mod behaviours;
mod fixture;

pub use fixture::{Fixture, Wanted};

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
    (@stamp $fixture:expr; $($behaviour:ident)*) => {$(
        #[test]
        fn $behaviour() {
            $crate::conformance::run($fixture, $crate::conformance::behaviours::$behaviour);
        }
    )*};
}
