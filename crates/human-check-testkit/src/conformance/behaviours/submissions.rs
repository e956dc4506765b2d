//! What is refused before the provider is called.

use std::collections::HashSet;

use human_check_core::{ErrorKind, MAX_TOKEN_BYTES, Provider, Reason, Submission};

use crate::conformance::Fixture;

static NOBODY: Provider = Provider::new("nobody-knows-this-provider", &["nobody"]);

/// Guards and pages need both.
pub async fn names_a_provider_and_a_field(fixture: Fixture) {
    let accepts = fixture.check.providers();
    assert!(!accepts.is_empty(), "it accepts nobody's answers");
    let names: HashSet<&str> = accepts.iter().map(Provider::name).collect();
    assert_eq!(names.len(), accepts.len(), "a provider is named twice");
    for provider in accepts {
        assert!(!provider.name().is_empty());
        assert!(
            provider.fields().next().is_some(),
            "{provider} arrives in no field"
        );
    }
}

/// No token, no pass, no call.
pub async fn refuses_an_absent_token_without_a_call(fixture: Fixture) {
    assert_eq!(
        fixture.local_reason(&Submission::new()).await,
        Some(Reason::Missing)
    );
}

/// An empty field is no token.
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

/// Ours to refuse, before it costs anything.
pub async fn refuses_an_oversized_token_without_a_call(fixture: Fixture) {
    for length in [MAX_TOKEN_BYTES + 1, 20_000, 200_000] {
        let long = Submission::new().with_token(fixture.provider(), "a".repeat(length));
        assert_eq!(fixture.local_reason(&long).await, Some(Reason::Malformed));
    }
}

/// Spaces, controls and anything beyond ASCII are in no provider's tokens.
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

/// Whatever a visitor types is a refusal, or an answer that makes no sense: never an outage, which a
/// route may open on, and never our fault.
pub async fn takes_no_typed_token_for_an_outage(fixture: Fixture) {
    for text in [
        "x",
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
            Ok(verdict) => assert!(!verdict.is_human(), "{text:?} passed"),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Declined | ErrorKind::Protocol),
                "{text:?}: {error}"
            ),
        }
    }
}

/// Nobody can say which of two tokens is meant.
pub async fn refuses_contradicting_tokens_without_a_call(fixture: Fixture) {
    let both = fixture
        .good()
        .with_token(fixture.provider(), "another-token");
    assert_eq!(fixture.local_reason(&both).await, Some(Reason::Malformed));
}

/// A token means nothing to anybody but its provider.
pub async fn takes_no_token_of_another_provider(fixture: Fixture) {
    let other = Submission::new().with_token(&NOBODY, "a-token");
    assert_eq!(fixture.local_reason(&other).await, Some(Reason::Missing));
}
