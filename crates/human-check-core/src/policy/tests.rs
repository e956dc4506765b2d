use std::time::SystemTime;

use super::*;
use crate::{Facts, Hostname, Provider, Reason, Refusal, ReportedAction, Submission, Verdict};

static ACME: Provider = Provider::new("acme", &["acme-response"]);

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn facts() -> Facts {
    Facts {
        hostname: Hostname::parse("www.example.com"),
        action: Some(ReportedAction::exact("signup")),
        binding: Some("session-1".into()),
        score: Some(Score::humanity(0.7).unwrap()),
        solved_at: Some(at(1_000)),
        ..Facts::new(&ACME)
    }
}

fn reason(policy: &Policy, facts: Facts, submission: &Submission, now: u64) -> Option<Reason> {
    policy
        .judge(Verdict::Human(facts), submission, at(now))
        .refusal()
        .map(Refusal::reason)
}

type Rule = (
    &'static str,
    fn(Policy) -> Policy,
    fn(Policy) -> Policy,
    FactKind,
);

/// Every rule: its name, a policy that the facts satisfy, one that they break, and the fact it
/// needs.
fn rules() -> Vec<Rule> {
    vec![
        (
            "hostnames",
            |p| p.with_hostnames(["www.example.com"]).unwrap(),
            |p| p.with_hostnames(["other.example"]).unwrap(),
            FactKind::Hostname,
        ),
        (
            "action",
            |p| p.with_action("signup"),
            |p| p.with_action("login"),
            FactKind::Action,
        ),
        (
            "score",
            |p| p.with_min_score(Score::humanity(0.7).unwrap()),
            |p| p.with_min_score(Score::humanity(0.8).unwrap()),
            FactKind::Score,
        ),
        (
            "age",
            |p| p.with_max_age(Duration::from_secs(100)),
            |p| p.with_max_age(Duration::ZERO),
            FactKind::SolvedAt,
        ),
        (
            "binding",
            Policy::with_binding_required,
            Policy::with_binding_required,
            FactKind::Binding,
        ),
    ]
}

fn without(mut facts: Facts, fact: FactKind) -> Facts {
    match fact {
        FactKind::Action => facts.action = None,
        FactKind::Binding => facts.binding = None,
        FactKind::Hostname => facts.hostname = None,
        FactKind::Score => facts.score = None,
        FactKind::SolvedAt => facts.solved_at = None,
    }
    facts
}

#[test]
fn each_rule_passes_what_fits_and_refuses_what_is_absent() {
    let submission = Submission::new().with_expected_binding("session-1");
    for (name, fits, _, fact) in rules() {
        let policy = fits(Policy::new());
        assert_eq!(reason(&policy, facts(), &submission, 1_100), None, "{name}");
        assert_eq!(
            reason(&policy, without(facts(), fact), &submission, 1_100),
            Some(Reason::EvidenceAbsent(fact)),
            "{name}"
        );
        assert!(
            policy.validate_for(Capabilities::nothing()).is_err(),
            "{name}"
        );
        assert!(
            policy
                .validate_for(Capabilities::nothing().sometimes(fact))
                .is_ok(),
            "{name}"
        );
    }
}

#[test]
fn adding_a_rule_never_turns_a_refusal_into_a_pass() {
    // All pairs of policies, one with the rules of the other and more: what the smaller one
    // refuses, the larger one refuses, too.
    let submission = Submission::new().with_expected_binding("session-1");
    let rules = rules();
    let mut all: Vec<(u32, Policy)> = Vec::new();
    for choice in 0..3_u32.pow(5) {
        let mut policy = Policy::new();
        let mut rest = choice;
        for (_, fits, breaks, _) in &rules {
            policy = match rest % 3 {
                0 => policy,
                1 => fits(policy),
                _ => breaks(policy),
            };
            rest /= 3;
        }
        all.push((choice, policy));
    }
    let digits = |mut n: u32| {
        std::array::from_fn::<u32, 5, _>(|_| {
            let d = n % 3;
            n /= 3;
            d
        })
    };
    for missing in [
        None,
        Some(FactKind::Action),
        Some(FactKind::Binding),
        Some(FactKind::Hostname),
        Some(FactKind::Score),
        Some(FactKind::SolvedAt),
    ] {
        let facts = missing.map_or_else(facts, |fact| without(facts(), fact));
        let refused: Vec<bool> = all
            .iter()
            .map(|(_, p)| reason(p, facts.clone(), &submission, 1_100).is_some())
            .collect();
        for (a, _) in &all {
            for (b, _) in &all {
                let (da, db) = (digits(*a), digits(*b));
                let b_adds_to_a = da.iter().zip(db).all(|(&x, y)| x == 0 || x == y);
                if b_adds_to_a && refused[*a as usize] {
                    assert!(refused[*b as usize], "{a} refused, {b} passed");
                }
            }
        }
    }
}

#[test]
fn refusals_are_never_turned_into_passes() {
    let policy = Policy::new().with_test_keys(TestKeyPolicy::Allowed);
    let verdict = policy.judge(Verdict::refused(Reason::Invalid), &Submission::new(), at(0));
    assert_eq!(verdict.refusal().unwrap().reason(), Reason::Invalid);
}

#[test]
fn age_allows_for_skewed_clocks_in_both_directions() {
    let policy = Policy::new().with_max_age(Duration::from_secs(100));
    let none = Submission::new();
    for (now, expected) in [
        (1_000, None),
        (1_160, None),
        (1_161, Some(Reason::TooOld)),
        (940, None),
        (939, Some(Reason::SolvedInFuture)),
    ] {
        assert_eq!(reason(&policy, facts(), &none, now), expected, "{now}");
    }
    assert_eq!(
        reason(&Policy::new(), facts(), &none, 0),
        None,
        "without the rule the future passes"
    );
}

#[test]
fn an_empty_host_list_fails_when_built() {
    let error = Policy::new().with_hostnames([] as [&str; 0]).unwrap_err();
    assert_eq!(error.field(), "hostnames");
    assert!(
        Policy::new()
            .with_hostnames_or_apps([] as [&str; 0], [" "])
            .is_err()
    );
}

#[test]
fn an_app_and_a_host_are_one_rule() {
    let policy = Policy::new()
        .with_hostnames_or_apps(["www.example.com"], ["com.example.app"])
        .unwrap();
    let none = Submission::new();
    let app = |name: &str| Facts {
        app: Some(name.into()),
        hostname: None,
        ..facts()
    };
    assert_eq!(reason(&policy, facts(), &none, 1_000), None);
    assert_eq!(reason(&policy, app("com.example.app"), &none, 1_000), None);
    assert_eq!(
        reason(&policy, app("com.evil.app"), &none, 1_000),
        Some(Reason::WrongHostname)
    );
    let neither = Facts {
        hostname: Hostname::parse("evil.example"),
        ..app("com.evil.app")
    };
    assert_eq!(
        reason(&policy, neither, &none, 1_000),
        Some(Reason::WrongHostname)
    );
}

#[test]
fn test_keys_need_permission_and_raise_an_alert() {
    let testing = Facts {
        test_key: true,
        ..facts()
    };
    let none = Submission::new();
    let verdict = Policy::new().judge(Verdict::Human(testing.clone()), &none, at(1_000));
    let refusal = verdict.refusal().unwrap();
    assert_eq!(refusal.reason(), Reason::TestKey);
    assert!(refusal.is_alert());
    assert_eq!(
        reason(
            &Policy::new().with_test_keys(TestKeyPolicy::Allowed),
            testing,
            &none,
            1_000
        ),
        None
    );
}

#[test]
fn the_action_of_the_submission_holds_beside_the_policys() {
    let policy = Policy::new().with_action("signup");
    let submission = Submission::new().with_expected_action("login");
    assert_eq!(
        reason(&policy, facts(), &submission, 1_000),
        Some(Reason::WrongAction)
    );
}

#[test]
fn a_required_binding_must_be_expected_too() {
    // A route that requires a binding but forgets to state it would let the token of any session
    // pass.
    let policy = Policy::new().with_binding_required();
    let unexpected = reason(&policy, facts(), &Submission::new(), 1_000);
    assert_eq!(unexpected, Some(Reason::EvidenceAbsent(FactKind::Binding)));
}

#[test]
fn a_score_as_good_as_the_floor_passes_within_a_millionth() {
    let policy = Policy::new().with_min_score(Score::humanity(0.9).unwrap());
    let scored = |x| Facts {
        score: Some(Score::humanity(x).unwrap()),
        ..facts()
    };
    let none = Submission::new();
    assert_eq!(reason(&policy, scored(0.9), &none, 1_000), None);
    assert_eq!(
        reason(&policy, scored(0.899_999_976_158_142_1), &none, 1_000),
        None
    );
    for low in [0.89, 0.8999, 0.899_99] {
        assert_eq!(
            reason(&policy, scored(low), &none, 1_000),
            Some(Reason::ScoreTooLow)
        );
    }
}
