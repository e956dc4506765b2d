//! Submissions that are refused without a call to the provider.

use std::collections::HashSet;

use human_check_core::{MAX_TOKEN_BYTES, Provider, Reason, Submission};

use crate::conformance::Fixture;

/// A provider that no check accepts.
static UNKNOWN: Provider = Provider::new("unknown-provider", &["unknown-response"]);

/// The check accepts at least one provider. Each has a name of its own and a form field. Guards and
/// pages need both.
pub async fn names_a_provider_and_a_field(fixture: Fixture) {
    let providers = fixture.check.providers();
    assert!(!providers.is_empty(), "the check accepts no provider");
    let names: HashSet<&str> = providers.iter().map(Provider::name).collect();
    assert_eq!(names.len(), providers.len(), "a provider is named twice");
    for provider in providers {
        assert!(!provider.name().is_empty());
        assert!(
            provider.fields().next().is_some(),
            "{provider} has no form field"
        );
    }
}

/// A submission without a token is refused with [`Reason::Missing`], without a call.
pub async fn refuses_an_absent_token_without_a_call(fixture: Fixture) {
    assert_eq!(
        fixture.local_reason(&Submission::new()).await,
        Some(Reason::Missing)
    );
}

/// An empty token is refused with [`Reason::Missing`], without a call.
pub async fn refuses_an_empty_token_without_a_call(fixture: Fixture) {
    for provider in fixture.check.providers() {
        let empty = Submission::new().with_token(provider, "");
        assert_eq!(
            fixture.local_reason(&empty).await,
            Some(Reason::Missing),
            "{provider}"
        );
    }
}

/// A token of more than [`MAX_TOKEN_BYTES`] is refused with [`Reason::Malformed`], without a call.
pub async fn refuses_an_oversized_token_without_a_call(fixture: Fixture) {
    for length in [MAX_TOKEN_BYTES + 1, 20_000, 200_000] {
        let long = Submission::new().with_token(fixture.provider(), "a".repeat(length));
        assert_eq!(fixture.local_reason(&long).await, Some(Reason::Malformed));
    }
}

/// A token with spaces, control characters or characters beyond ASCII is refused with
/// [`Reason::Malformed`], without a call.
pub async fn refuses_an_unprintable_token_without_a_call(fixture: Fixture) {
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

/// A text that a visitor types in place of a token is refused, without an alert.
///
/// It never causes an error: a route may fail open on `Unavailable` and `Declined`, and
/// `Misconfigured` and `Protocol` would alert the operator without a reason.
pub async fn takes_no_typed_token_for_an_outage(fixture: Fixture) {
    for text in [
        "x",
        "pt_x",
        "dg_x",
        "co_x",
        ".EXPIRED",
        "03AFcWeA-x",
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
            Ok(verdict) => {
                let refusal = verdict.refusal();
                let refusal = refusal.unwrap_or_else(|| panic!("{text:?} passed"));
                assert!(!refusal.is_alert(), "{text:?} alerts the operator");
            }
            Err(error) => panic!("{text:?}: {error}"),
        }
    }
}

/// Two different tokens of one provider are refused with [`Reason::Malformed`], without a call.
pub async fn refuses_contradicting_tokens_without_a_call(fixture: Fixture) {
    let both = fixture
        .good()
        .with_token(fixture.provider(), "another-token");
    assert_eq!(fixture.local_reason(&both).await, Some(Reason::Malformed));
}

/// A token of another provider counts as missing, and causes no call.
pub async fn takes_no_token_of_another_provider(fixture: Fixture) {
    let other = Submission::new().with_token(&UNKNOWN, "a-token");
    assert_eq!(fixture.local_reason(&other).await, Some(Reason::Missing));
}
