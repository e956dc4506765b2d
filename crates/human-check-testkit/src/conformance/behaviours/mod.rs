//! The behaviours, one function each.

mod failures;
mod submissions;
mod verdicts;

pub use failures::{
    lets_nobody_pass_on_another_status, recovers_from_an_outage, shows_no_token_and_no_secret,
    survives_being_given_up, tells_an_outage_from_a_refusal,
};
pub use submissions::{
    names_a_provider_and_a_field, refuses_an_absent_answer_without_asking,
    refuses_an_empty_token_without_asking, refuses_an_oversized_token_without_asking,
    refuses_an_unprintable_token_without_asking, refuses_contradicting_tokens_without_asking,
    takes_no_answer_meant_for_another_provider, takes_no_typed_token_for_an_outage,
};
pub use verdicts::{
    accepts_a_good_token, answers_alike_through_box_and_arc, carries_the_facts_it_always_reports,
    holds_to_the_expected_action, holds_to_the_expected_binding,
    lets_one_of_many_concurrent_uses_pass, refuses_a_bad_token, refuses_a_token_the_second_time,
    rejects_a_policy_it_can_never_satisfy,
};
