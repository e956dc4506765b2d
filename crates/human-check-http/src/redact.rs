//! Removes tokens and secrets that a provider repeats from verdicts and errors.

use human_check_core::{CheckError, DetailValue, Facts, Refusal, Verdict};
use memchr::memmem;

const REDACTED: &str = "[redacted]";

/// How many bytes of a secret in a row count as a repetition of it.
const PIECE: usize = 12;

/// Redacts a verdict or an error.
pub(crate) fn redact_outcome(
    outcome: Result<Verdict, CheckError>,
    secrets: &[&str],
) -> Result<Verdict, CheckError> {
    match outcome {
        Ok(Verdict::Human(facts)) => Ok(Verdict::Human(redact_facts(facts, secrets))),
        Ok(Verdict::NotHuman(refusal)) => Ok(Verdict::NotHuman(redact_refusal(refusal, secrets))),
        Err(error) => Err(redact_error(error, secrets)),
    }
}

/// Redacts the codes of an error.
pub(crate) fn redact_error(error: CheckError, secrets: &[&str]) -> CheckError {
    let codes = error.codes().to_vec();
    error.with_codes(redact_all(codes, secrets))
}

fn redact_refusal(refusal: Refusal, secrets: &[&str]) -> Refusal {
    let codes = redact_all(refusal.codes().to_vec(), secrets);
    let facts = refusal.facts().cloned();
    let refusal = refusal.with_codes(codes);
    match facts {
        Some(facts) => refusal.with_facts(redact_facts(facts, secrets)),
        None => refusal,
    }
}

fn redact_facts(mut facts: Facts, secrets: &[&str]) -> Facts {
    // A fact that repeats the token or a secret is no evidence, so it is removed.
    facts.action = facts.action.filter(|a| !repeats(a.as_str(), secrets, 1));
    facts.app = facts.app.filter(|app| !repeats(app, secrets, 1));
    facts.hostname = facts
        .hostname
        .filter(|h| !hostname_repeats(h.as_str(), secrets));
    for (_, detail) in &mut facts.details {
        match detail {
            DetailValue::Text(text) if detail_repeats(text, secrets) => REDACTED.clone_into(text),
            DetailValue::List(list) => *list = redact_all(std::mem::take(list), secrets),
            _ => {}
        }
    }
    facts
}

fn redact_all(mut texts: Vec<String>, secrets: &[&str]) -> Vec<String> {
    for text in &mut texts {
        if repeats(text, secrets, 1) {
            REDACTED.clone_into(text);
        }
    }
    texts
}

/// Returns whether a label of a host name begins with twelve bytes of a secret. A host name is
/// lower case, so the case is ignored.
fn hostname_repeats(hostname: &str, secrets: &[&str]) -> bool {
    // Most host names have no label that is long enough, so nothing is compared.
    let mut labels = hostname.split('.').filter(|label| label.len() >= PIECE);
    labels.any(|label| {
        let piece = &label.as_bytes()[..PIECE];
        let mut windows = secrets
            .iter()
            .flat_map(|secret| secret.as_bytes().windows(PIECE));
        windows.any(|window| window.eq_ignore_ascii_case(piece))
    })
}

/// Returns whether a detail repeats a secret.
///
/// A reply may have many long details, so only every twelfth piece is compared. That still finds
/// every run of 23 bytes.
fn detail_repeats(text: &str, secrets: &[&str]) -> bool {
    repeats(text, secrets, PIECE)
}

/// Returns whether `text` repeats one of `secrets`: all of it, or twelve bytes of it in a row.
///
/// The pieces of twelve bytes that are compared begin at every `stride` bytes of the text. A secret
/// of less than twelve bytes must be in the text as a whole, and one of less than four must be the
/// text.
fn repeats(text: &str, secrets: &[&str], stride: usize) -> bool {
    let text = text.as_bytes();
    secrets.iter().any(|secret| {
        let secret = secret.as_bytes();
        match secret.len() {
            0..4 => text == secret,
            length if length <= text.len() && memmem::find(text, secret).is_some() => true,
            4..PIECE => false,
            _ => text
                .windows(PIECE)
                .step_by(stride)
                .any(|piece| memmem::find(secret, piece).is_some()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_partial_echoes_are_found() {
        let token = "P1_0123456789abcdefghijklmnopqrstuvwxyz";
        for text in [
            token.to_owned(),
            format!("bad token {token}"),
            format!("bad token {}…", &token[..12]),
            format!("…{}", &token[27..]),
            format!("x{}", &token[..38]),
        ] {
            assert!(repeats(&text, &[token], 1), "{text}");
        }
        assert!(repeats(
            "xSEC-abcdefghijklmno",
            &["SEC-abcdefghijklmnop"],
            1
        ));
        for text in ["", "invalid-input-response", "P1_", "ünï-code-äöü-ünï-code"] {
            assert!(!repeats(text, &[token], 1), "{text}");
        }
        assert!(!detail_repeats("bad-request", &["bad"]));
        assert!(detail_repeats("bad", &["bad"]));
        assert!(detail_repeats("said: canary-1", &["canary-1"]));
        assert!(detail_repeats(token, &[token]) && detail_repeats(&token[3..], &[token]));
        assert!(hostname_repeats("p1_0123456789abcdef", &[token]));
        assert!(hostname_repeats("x.p1_0123456789abcdef.example", &[token]));
        assert!(!hostname_repeats(
            "www.averylongdomainname.example",
            &[token]
        ));
    }

    #[test]
    fn a_fact_that_repeats_a_secret_is_removed() {
        static ACME: human_check_core::Provider = human_check_core::Provider::new("acme", &[]);
        let secret = "0x4AAAAAAACanarySecret";
        let mut facts = Facts::new(&ACME);
        facts.action = Some(human_check_core::ReportedAction::exact(format!(
            "x{}",
            &secret[..20]
        )));
        facts.app = Some(secret.to_owned());
        facts.hostname = human_check_core::Hostname::parse(secret);
        facts.details = vec![("text", DetailValue::Text(secret.to_owned()))];
        let facts = redact_facts(facts, &[secret]);
        assert!(facts.action.is_none() && facts.app.is_none() && facts.hostname.is_none());
        assert_eq!(facts.detail("text").unwrap().as_str(), Some(REDACTED));
    }
}
