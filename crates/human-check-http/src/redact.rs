//! Keeps tokens and secrets that a provider repeats at us out of everything we hand on.

use human_check_core::{CheckError, DetailValue, Facts, Refusal, Verdict};
use memchr::memmem;

const REDACTED: &str = "[redacted]";

/// A log that holds this much of a secret in one piece holds too much of it.
const PIECE: usize = 12;

pub(crate) fn scrub(
    outcome: Result<Verdict, CheckError>,
    secrets: &[&str],
) -> Result<Verdict, CheckError> {
    match outcome {
        Ok(Verdict::Human(facts)) => Ok(Verdict::Human(scrub_facts(facts, secrets))),
        Ok(Verdict::NotHuman(refusal)) => Ok(Verdict::NotHuman(scrub_refusal(refusal, secrets))),
        Err(error) => Err(scrub_error(error, secrets)),
    }
}

pub(crate) fn scrub_error(error: CheckError, secrets: &[&str]) -> CheckError {
    let codes = error.codes().to_vec();
    error.with_codes(scrub_all(codes, secrets))
}

fn scrub_refusal(refusal: Refusal, secrets: &[&str]) -> Refusal {
    let codes = scrub_all(refusal.codes().to_vec(), secrets);
    let facts = refusal.facts().cloned();
    let refusal = refusal.with_codes(codes);
    match facts {
        Some(facts) => refusal.with_facts(scrub_facts(facts, secrets)),
        None => refusal,
    }
}

fn scrub_facts(mut facts: Facts, secrets: &[&str]) -> Facts {
    // A fact that is our own token or secret is no evidence of anything, so it goes altogether.
    facts.action = facts.action.filter(|a| !repeats(a.as_str(), secrets, 1));
    facts.app = facts.app.filter(|app| !repeats(app, secrets, 1));
    facts.hostname = facts.hostname.filter(|h| !names(h.as_str(), secrets));
    for (_, detail) in &mut facts.details {
        match detail {
            DetailValue::Text(text) if holds(text, secrets) => REDACTED.clone_into(text),
            DetailValue::List(list) => *list = scrub_all(std::mem::take(list), secrets),
            _ => {}
        }
    }
    facts
}

fn scrub_all(mut texts: Vec<String>, secrets: &[&str]) -> Vec<String> {
    for text in &mut texts {
        if repeats(text, secrets, 1) {
            REDACTED.clone_into(text);
        }
    }
    texts
}

/// Whether a host name is made of a secret. Its case was folded when it was read.
fn names(hostname: &str, secrets: &[&str]) -> bool {
    // Ordinary names have no label this long, and cost nothing more than that look.
    let mut labels = hostname.split('.').filter(|label| label.len() >= PIECE);
    labels.any(|label| {
        let piece = &label.as_bytes()[..PIECE];
        let mut windows = secrets
            .iter()
            .flat_map(|secret| secret.as_bytes().windows(PIECE));
        windows.any(|window| window.eq_ignore_ascii_case(piece))
    })
}

/// For details, which may be many and long in a good reply: pieces end to end find any run of 23.
fn holds(text: &str, secrets: &[&str]) -> bool {
    repeats(text, secrets, PIECE)
}

/// Whether `text` repeats one of `secrets`, or so much of it that it is as good: whole, or any
/// twelve bytes of it among the pieces that begin every `stride` bytes of the text.
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
        assert!(!holds("bad-request", &["bad"]));
        assert!(holds("bad", &["bad"]));
        assert!(holds("said: canary-1", &["canary-1"]));
        assert!(holds(token, &[token]) && holds(&token[3..], &[token]));
        assert!(names("p1_0123456789abcdef", &[token]));
        assert!(names("x.p1_0123456789abcdef.example", &[token]));
        assert!(!names("www.averylongdomainname.example", &[token]));
    }

    #[test]
    fn a_fact_that_is_a_secret_is_no_fact() {
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
        let facts = scrub_facts(facts, &[secret]);
        assert!(facts.action.is_none() && facts.app.is_none() && facts.hostname.is_none());
        assert_eq!(facts.detail("text").unwrap().as_str(), Some(REDACTED));
    }
}
