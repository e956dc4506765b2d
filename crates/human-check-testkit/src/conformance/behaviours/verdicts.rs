//! Verdicts, their facts, single use, and expectations.

use std::sync::Arc;

use human_check_core::{
    ErrorKind, FactKind, HumanCheck, Policy, ReplayProtection, Score, Submission, Support, Verdict,
};

use crate::conformance::fixture::skipped;
use crate::conformance::{Fixture, Wanted};

/// A good token passes, and the facts name a provider that the check accepts.
pub async fn accepts_a_good_token(fixture: Fixture) {
    let submission = fixture.good();
    let verdict = fixture.verdict(&submission).await;
    let Verdict::Human(facts) = verdict else {
        panic!("refused: {verdict:?}");
    };
    assert!(
        fixture.check.providers().contains(&facts.provider),
        "{:?} is not a provider of the check",
        facts.provider
    );
}

/// Every fact that [`HumanCheck::capabilities`] declares as [`Support::Always`] is in the facts.
pub async fn carries_the_facts_it_always_reports(fixture: Fixture) {
    let verdict = fixture.verdict(&fixture.good()).await;
    let facts = verdict.facts().expect("a good token passes");
    let capabilities = fixture.check.capabilities();
    for (fact, is_present) in [
        (FactKind::Action, facts.action.is_some()),
        (FactKind::Binding, facts.binding.is_some()),
        (
            FactKind::Hostname,
            facts.hostname.is_some() || facts.app.is_some(),
        ),
        (FactKind::Score, facts.score.is_some()),
        (FactKind::SolvedAt, facts.solved_at.is_some()),
    ] {
        if capabilities.of(fact) == Support::Always {
            assert!(is_present, "the {fact} is absent");
        }
    }
}

/// A bad token is refused. Needs [`Fixture::with_bad`].
pub async fn refuses_a_bad_token(fixture: Fixture) {
    let Some(bad) = &fixture.bad else {
        return skipped("with_bad");
    };
    let verdict = fixture.verdict(&bad()).await;
    assert!(!verdict.is_human(), "{verdict:?}");
}

/// A token is refused the second time, where the facts state a [`ReplayProtection`].
pub async fn refuses_a_token_the_second_time(fixture: Fixture) {
    let submission = fixture.good();
    let first = fixture.verdict(&submission).await;
    let facts = first.facts().expect("a good token passes");
    if facts.replay_protection != ReplayProtection::None {
        let second = fixture.verdict(&submission).await;
        assert!(!second.is_human(), "{second:?}");
    }
}

/// Of 16 concurrent uses of one token exactly one passes, where the facts state a
/// [`ReplayProtection`].
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
            // A route that fails open on outages would let such a replay through.
            Err(error) => assert_ne!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    assert!(humans >= 1, "no use passed");
    assert!(!single || humans == 1, "{humans} uses of one token passed");
}

/// An expected action refuses a token with another action, or with none.
///
/// A check that never reports an action refuses every token that is expected to have one.
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
        "a token without an action passed"
    );
    let right = (fixture.good)(&wanted("login")).with_expected_action("login");
    match fixture.check.capabilities().of(FactKind::Action) {
        // One of several providers may report what the check as a whole never does.
        Support::Never if fixture.check.providers().len() > 1 => {
            let verdict = fixture.verdict(&right).await;
            let stated = |facts: &human_check_core::Facts| {
                facts.action.as_ref().is_some_and(|a| a.matches("login"))
            };
            assert!(verdict.facts().is_none_or(stated), "{verdict:?}");
        }
        Support::Never => assert!(fixture.reason(&right).await.is_some()),
        _ => assert_eq!(fixture.reason(&right).await, None),
    }
}

/// An expected binding refuses a token with another binding, or with none.
///
/// A check that never reports a binding refuses every token that is expected to have one.
pub async fn holds_to_the_expected_binding(fixture: Fixture) {
    let wanted = |binding: &str| Wanted {
        action: None,
        binding: Some(binding.to_owned()),
    };
    let other = (fixture.good)(&wanted("session-1")).with_expected_binding("session-2");
    assert!(
        fixture.reason(&other).await.is_some(),
        "a token with another binding passed"
    );
    let unbound = fixture.good().with_expected_binding("session-2");
    assert!(
        fixture.reason(&unbound).await.is_some(),
        "an unbound token passed"
    );
    let right = (fixture.good)(&wanted("session-1")).with_expected_binding("session-1");
    match fixture.check.capabilities().of(FactKind::Binding) {
        // One of several providers may report what the check as a whole never does.
        Support::Never if fixture.check.providers().len() > 1 => {
            let verdict = fixture.verdict(&right).await;
            let stated =
                |facts: &human_check_core::Facts| facts.binding.as_deref() == Some("session-1");
            assert!(verdict.facts().is_none_or(stated), "{verdict:?}");
        }
        Support::Never => assert!(fixture.reason(&right).await.is_some()),
        _ => assert_eq!(fixture.reason(&right).await, None),
    }
}

/// A policy that requires a fact which the check never reports is an error at start. Any other
/// policy is accepted.
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
    let capabilities = fixture.check.capabilities();
    for (fact, policy) in policies {
        let is_impossible = capabilities.of(fact) == Support::Never;
        let is_error = policy.validate_for(capabilities).is_err();
        assert_eq!(is_error, is_impossible, "{fact}");
    }
}

/// The check behaves in the same way behind a `Box` and an `Arc`, in which applications hold it.
pub async fn decides_alike_through_box_and_arc(fixture: Fixture) {
    let boxed: Box<dyn HumanCheck> = Box::new(Arc::clone(&fixture.check));
    let shared: Arc<dyn HumanCheck> = Arc::new(boxed);
    assert_eq!(shared.providers(), fixture.check.providers());
    assert_eq!(shared.capabilities(), fixture.check.capabilities());
    let verdict = shared
        .check(&fixture.good())
        .await
        .expect("the check reaches a verdict");
    assert!(verdict.is_human());
    let verdict = shared
        .check(&Submission::new())
        .await
        .expect("the check reaches a verdict");
    assert!(!verdict.is_human());
}
