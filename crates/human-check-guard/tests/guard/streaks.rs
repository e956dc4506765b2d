//! The warning about refusals that a wrong configuration may explain.

use std::sync::atomic::{AtomicUsize, Ordering};

use human_check_core::{
    Capabilities, FactKind, Facts, Hostname, Policy, Provider, Reason, Refusal, Verdict,
};
use human_check_guard::Guard;
use human_check_testkit::{SCRIPTED, Scripted};

use crate::support::{self, Head, closed, decide, guard};

/// A refusal as an adapter makes it for a wrong host.
fn wrong_host() -> Scripted {
    let mut facts = Facts::new(&SCRIPTED);
    facts.hostname = Hostname::parse("shop.example");
    let reported = Capabilities::nothing().sometimes(FactKind::Hostname);
    Scripted::human_with(facts).with_capabilities(reported)
}

async fn decide_from(guard: &Guard, address: &str) {
    let mut head = Head::new();
    head.peer = Some(address.parse().unwrap());
    let _decision = decide(guard, &head, "t").await;
}

#[tokio::test]
async fn a_mistake_that_refuses_everybody_is_one_warning_with_the_values() {
    let log = support::Log::capture();
    let policy = Policy::new()
        .with_hostnames(["www.example.com", "*.example.org"])
        .unwrap();
    let guard = guard(&wrong_host(), closed().with_policy(policy));
    for visitor in 0..19 {
        decide_from(&guard, &format!("198.51.{visitor}.7")).await;
    }
    assert_eq!(log.of("WARN"), [""; 0]);
    for _ in 0..50 {
        decide_from(&guard, "198.51.19.7").await;
    }
    let warnings = log.of("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in [
        "route=\"signup\"",
        "provider=\"scripted\"",
        "reason=\"wrong-hostname\"",
        "expected=\"www.example.com, *.example.org\"",
        "seen=\"shop.example\"",
        "refusals=20",
        "networks=20",
    ] {
        assert!(warnings[0].contains(part), "{part}: {}", warnings[0]);
    }
}

/// A refusal by the provider.
fn invalid() -> Refusal {
    Refusal::new(Reason::Invalid).with_facts(Facts::new(&SCRIPTED))
}

#[tokio::test]
async fn a_token_that_passes_ends_a_streak_and_the_next_one_is_reported_again() {
    let log = support::Log::capture();
    let calls = AtomicUsize::new(0);
    let script = Scripted::from_script(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        6 => Ok(Verdict::Human(Facts::new(&SCRIPTED))),
        _ => Ok(invalid().into()),
    });
    let builder = Guard::builder(script).with_refusals_before_warning(3);
    let guard = builder.build(closed()).unwrap();
    for _ in 0..6 {
        decide_from(&guard, "198.51.100.7").await;
    }
    assert_eq!(log.of("WARN").len(), 1, "of six refusals");
    decide_from(&guard, "198.51.100.7").await;
    assert_eq!(log.of("INFO").len(), 1, "a token passed again");
    for _ in 0..2 {
        decide_from(&guard, "198.51.100.7").await;
    }
    assert_eq!(log.of("WARN").len(), 1);
    decide_from(&guard, "198.51.100.7").await;
    assert_eq!(log.of("WARN").len(), 2);
}

#[tokio::test]
async fn a_provider_whose_tokens_pass_hides_no_other_whose_tokens_do_not() {
    static OTHER: Provider = Provider::new("other", &["other-response"]);
    let log = support::Log::capture();
    let calls = AtomicUsize::new(0);
    let script = Scripted::from_script(move |_| match calls.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Ok(Verdict::Human(Facts::new(&OTHER))),
        _ => Ok(invalid().into()),
    });
    let guard = guard(&script, closed());
    for _ in 0..60 {
        decide_from(&guard, "10.0.0.7").await;
    }
    let warnings = log.of("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("provider=\"scripted\""),
        "{}",
        warnings[0]
    );
    assert!(
        warnings[0].contains("networks=1"),
        "also of an intranet: {}",
        warnings[0]
    );
}

#[tokio::test]
async fn a_pass_also_ends_a_streak_of_refusals_that_name_no_provider() {
    let log = support::Log::capture();
    let calls = AtomicUsize::new(0);
    let script = Scripted::from_script(move |_| match calls.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Ok(Verdict::Human(Facts::new(&SCRIPTED))),
        _ => Ok(Refusal::new(Reason::Invalid)
            .with_codes(vec!["code".to_owned()])
            .into()),
    });
    let guard = guard(&script, closed());
    for _ in 0..60 {
        decide_from(&guard, "198.51.100.7").await;
    }
    assert_eq!(log.of("WARN"), [""; 0]);
}

#[tokio::test]
async fn what_says_nothing_about_the_configuration_is_no_streak() {
    let old = [
        Reason::Expired,
        Reason::ExpiredOrReplayed,
        Reason::Replayed,
        Reason::Missing,
    ];
    let by_provider = |reason| {
        Refusal::new(reason)
            .with_facts(Facts::new(&SCRIPTED))
            .with_codes(vec!["code".to_owned()])
    };
    // Bots post text that no provider is asked about.
    let without_call = [Reason::Malformed, Reason::UnverifiableToken].map(Refusal::new);
    for refusal in old.map(by_provider).into_iter().chain(without_call) {
        let log = support::Log::capture();
        let reason = refusal.reason();
        let script = Scripted::from_script(move |_| Ok(refusal.clone().into()));
        let guard = guard(&script, closed());
        for _ in 0..30 {
            decide_from(&guard, "198.51.100.7").await;
        }
        assert_eq!(log.of("WARN"), [""; 0], "{reason}");
    }
    let log = support::Log::capture();
    let builder = Guard::builder(Scripted::from_script(|_| Ok(invalid().into())));
    let silent = builder
        .with_refusals_before_warning(0)
        .build(closed())
        .unwrap();
    for _ in 0..30 {
        decide_from(&silent, "198.51.100.7").await;
    }
    assert_eq!(log.of("WARN"), [""; 0]);
}
