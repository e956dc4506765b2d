//! The behaviours, one function each.
//!
//! Each function takes a [`Fixture`](crate::conformance::Fixture) and panics when the check does
//! not behave as described. The macro [`conformance!`](macro@crate::conformance) calls all of them;
//! call one directly to test it alone.

mod failures;
mod submissions;
mod verdicts;

pub use failures::{
    recovers_from_an_outage, refuses_on_every_other_status, shows_no_token_and_no_secret,
    survives_being_given_up, tells_an_outage_from_a_refusal,
};
pub use submissions::{
    names_a_provider_and_a_field, refuses_an_absent_token_without_a_call,
    refuses_an_empty_token_without_a_call, refuses_an_oversized_token_without_a_call,
    refuses_an_unprintable_token_without_a_call, refuses_contradicting_tokens_without_a_call,
    takes_no_token_of_another_provider, takes_no_typed_token_for_an_outage,
};
pub use verdicts::{
    accepts_a_good_token, carries_the_facts_it_always_reports, decides_alike_through_box_and_arc,
    holds_to_the_expected_action, holds_to_the_expected_binding,
    lets_one_of_many_concurrent_uses_pass, refuses_a_bad_token, refuses_a_token_the_second_time,
    rejects_a_policy_it_can_never_satisfy,
};
