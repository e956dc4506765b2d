//! Failover: when the second provider is called, and that visitors cannot cause it.

use human_check_core::{ErrorKind, HumanCheck, HumanCheckExt, Provider, Reason, Submission};
use human_check_testkit::Scripted;

static ONE: Provider = Provider::new("one", &["one-response"]);
static TWO: Provider = Provider::new("two", &["two-response"]);

fn both() -> Submission {
    Submission::new()
        .with_token(&ONE, "token-1")
        .with_token(&TWO, "token-2")
}

fn one(script: Scripted) -> Scripted {
    script.with_provider(&ONE)
}

fn two(script: Scripted) -> Scripted {
    script.with_provider(&TWO)
}

#[tokio::test]
async fn a_refusal_never_fails_over() {
    for reason in [
        Reason::Invalid,
        Reason::Missing,
        Reason::Malformed,
        Reason::ScoreTooLow,
    ] {
        let second = two(Scripted::human());
        let check = one(Scripted::refused(reason))
            .failover_to(second.clone())
            .unwrap();
        let verdict = check.check(&both()).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason(), reason);
        assert!(second.submissions().is_empty());
    }
}

#[tokio::test]
async fn only_an_outage_fails_over_and_a_used_up_quota_where_that_was_opted_in() {
    for (first, by_default, opted_in) in [
        (Scripted::unavailable(), true, true),
        (Scripted::declined(), false, true),
        (Scripted::misconfigured(), false, false),
        (Scripted::protocol(), false, false),
    ] {
        let first = one(first);
        let check = first.clone().failover_to(two(Scripted::human())).unwrap();
        let passed =
            |outcome: Result<human_check_core::Verdict, _>| outcome.is_ok_and(|v| v.is_human());
        assert_eq!(passed(check.check(&both()).await), by_default);
        assert_eq!(
            passed(check.with_failover_when_declined().check(&both()).await),
            opted_in
        );
    }
}

#[tokio::test]
async fn the_second_is_called_only_with_a_token_of_its_own() {
    let second = two(Scripted::human());
    let check = one(Scripted::unavailable())
        .failover_to(second.clone())
        .unwrap();
    let only_first = Submission::new().with_token(&ONE, "token-1");
    for submission in [only_first.clone(), only_first.with_token(&TWO, "")] {
        let error = check.check(&submission).await.unwrap_err();
        // Not an outage: a bot could omit the token to reach routes that fail open.
        assert_eq!(error.kind(), ErrorKind::Declined);
        assert!(second.submissions().is_empty());
    }
}

#[tokio::test]
async fn a_missing_first_token_is_refused_by_the_first() {
    let emulator = human_check_emulator::Emulator::start().await.unwrap();
    let turnstile = crate::support::check(
        human_check_config::ProviderKind::Turnstile,
        &emulator,
        &crate::support::client(),
    );
    let second = two(Scripted::human());
    let check = turnstile.failover_to(second.clone()).unwrap();
    let only_second = Submission::new().with_token(&TWO, "token-2");
    let verdict = check.check(&only_second).await.unwrap();
    assert_eq!(verdict.refusal().unwrap().reason(), Reason::Missing);
    assert!(second.submissions().is_empty() && emulator.requests().is_empty());
}

#[tokio::test]
async fn when_both_fail_the_kind_is_the_one_on_which_fewer_routes_fail_open() {
    type Make = fn() -> Scripted;
    let kinds: [(Make, ErrorKind); 4] = [
        (Scripted::unavailable, ErrorKind::Unavailable),
        (Scripted::declined, ErrorKind::Declined),
        (Scripted::protocol, ErrorKind::Protocol),
        (Scripted::misconfigured, ErrorKind::Misconfigured),
    ];
    for (rank, (second, kind)) in kinds.iter().enumerate() {
        let after_outage = one(Scripted::unavailable())
            .failover_to(two(second()))
            .unwrap();
        let error = after_outage.check(&both()).await.unwrap_err();
        assert_eq!(error.kind(), *kind);
        let after_quota = one(Scripted::declined())
            .failover_to(two(second()))
            .unwrap();
        let error = after_quota
            .with_failover_when_declined()
            .check(&both())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kinds[rank.max(1)].1);
    }
}

#[test]
fn a_provider_cannot_fail_over_to_itself_since_that_would_send_a_token_twice() {
    let error = one(Scripted::human())
        .failover_to(one(Scripted::human()))
        .unwrap_err();
    assert!(error.to_string().contains("one"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_attributed_to_the_provider_that_refused() {
    for (first, second, provider) in [
        (Scripted::refused(Reason::Invalid), Scripted::human(), "one"),
        (
            Scripted::unavailable(),
            Scripted::refused(Reason::Invalid),
            "two",
        ),
    ] {
        let check = one(first).failover_to(two(second)).unwrap();
        let verdict = check.check(&both()).await.unwrap();
        assert_eq!(
            verdict.refusal().unwrap().provider().unwrap().name(),
            provider
        );
    }
}
