//! What a verdict says, and what holds it.

use std::sync::Arc;

use human_check_core::{
    ErrorKind, FactKind, HumanCheck, Policy, ReplayProtection, Score, Submission, Support, Verdict,
};

use crate::conformance::fixture::skipped;
use crate::conformance::{Fixture, Wanted};

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

/// Applications hold a check in one of these.
pub async fn decides_alike_through_box_and_arc(fixture: Fixture) {
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
