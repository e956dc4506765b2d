//! No output contains a secret or a token. Outputs are `Debug`, `Display`, error chains, and all
//! events at trace level, those of dependencies included.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use human_check_config::ProviderKind;
use human_check_core::{HumanCheck, Secret};
use human_check_emulator::{Emulator, Fault};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::prelude::*;

use crate::support::{
    GENERIC, base, generic, impatient_client, provider_config, remote, submission,
};

const TOKEN: &str = "Canary-Token-0123456789-abcdefGHIJKLMNOP";
const SECRET: &str = "Canary-Secret-0123456789-abcdefGHIJKLMNOP";

thread_local! {
    /// The log of this thread, while a test records it.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Writes to this thread's log.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns everything that is logged at trace level while `work` runs on this thread.
///
/// One subscriber serves the whole process: subscribers that tests install in parallel would
/// disable each other's events.
pub(crate) fn recorded(work: impl FnOnce()) -> String {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let recording = dynamic_filter_fn(|_, _| LOG.with_borrow(Option::is_some));
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(|| Log)
            .with_filter(recording);
        tracing_subscriber::registry().with(layer).init();
    });
    LOG.set(Some(Vec::new()));
    work();
    String::from_utf8_lossy(&LOG.take().unwrap()).into_owned()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// Returns every text form of an outcome.
fn printed(outcome: &Result<human_check_core::Verdict, human_check_core::CheckError>) -> String {
    let mut text = format!("{outcome:?} {outcome:#?}");
    if let Err(error) = outcome {
        text.push_str(&error.to_string());
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(&format!(" {error} {error:?} {error:#?}"));
            cause = error.source();
        }
    }
    if let Ok(human_check_core::Verdict::NotHuman(refusal)) = outcome {
        text.push_str(&refusal.to_string());
    }
    text
}

fn faults() -> Vec<Option<Fault>> {
    let echo = format!(
        r#"{{"success":false,"code":7,"error":"bad {TOKEN} for {SECRET}","error-codes":["bad {TOKEN}","key {SECRET}",{{"x":"{TOKEN}"}}],"data":{{"valid":false,"error":"{TOKEN}"}},"tokenProperties":{{"valid":false,"invalidReason":"{TOKEN}","action":"{TOKEN}"}}}}"#
    );
    let broken = format!(r#"{{"success":"{TOKEN}","{SECRET}":"{TOKEN}"}}"#);
    let yes = format!(
        r#"{{"success":true,"code":0,"action":"{TOKEN}","hostname":"{TOKEN}","valid":true,"data":{{"valid":true,"action":"{SECRET}","challenge_id":"{TOKEN}"}},"riskAnalysis":{{"score":0.9,"reasons":["{TOKEN}"]}},"tokenProperties":{{"valid":true,"action":"{TOKEN}"}},"name":"{SECRET}","score_reason":["{TOKEN}"],"score":0.9}}"#
    );
    vec![
        None,
        Some(Fault::Body { text: echo }),
        Some(Fault::Body { text: broken }),
        Some(Fault::Body { text: yes }),
        Some(Fault::Body {
            text: TOKEN.to_owned(),
        }),
        Some(Fault::Html { status: 503 }),
        Some(Fault::Html { status: 400 }),
        Some(Fault::Redirect),
        Some(Fault::ResetAfter),
        Some(Fault::Truncated),
        Some(Fault::Stall),
    ]
}

#[test]
fn nothing_printed_or_logged_holds_a_token_or_a_secret() {
    let mut output = String::new();
    let log = recorded(|| {
        block_on(async {
            for fault in faults() {
                let emulator = Emulator::start().await.unwrap();
                if let Some(fault) = fault {
                    emulator.fail(fault, None);
                }
                for provider in remote() {
                    let mut config = provider_config(provider);
                    config.secret = Some(Secret::new(SECRET).unwrap());
                    config.base_url = Some(base(&emulator));
                    output.push_str(&format!("{config:?}"));
                    let check = config.build(&impatient_client()).unwrap();
                    let prefix = if provider == ProviderKind::CaptchaLa {
                        "pt_"
                    } else {
                        ""
                    };
                    let submission = submission(provider, format!("{prefix}{TOKEN}"));
                    output.push_str(&format!(
                        "{check:?} {check:#?} {submission:?} {submission:#?}"
                    ));
                    output.push_str(&printed(&check.check(&submission).await));
                }
                for name in GENERIC {
                    let check = generic(name, &emulator, &impatient_client());
                    let submission = human_check_core::Submission::new()
                        .with_token(&check.providers()[0], TOKEN);
                    output.push_str(&format!("{check:?}"));
                    output.push_str(&printed(&check.check(&submission).await));
                }
            }
        });
    });
    assert!(
        log.contains("human_check"),
        "the events of human-check were recorded"
    );
    assert!(
        log.contains("TRACE"),
        "the events of dependencies were recorded"
    );
    for (what, text) in [("printed", &output), ("logged", &log)] {
        // Some values are converted to lower case, for example host names.
        let text = text.to_ascii_lowercase();
        for canary in ["canary-token-0123", "canary-secret-0123"] {
            if let Some(at) = text.find(canary) {
                let from = text[..at]
                    .char_indices()
                    .rev()
                    .nth(300)
                    .map_or(0, |(i, _)| i);
                panic!(
                    "{canary} is {what}: {}",
                    &text[from..(at + 60).min(text.len())]
                );
            }
        }
    }
}

#[tokio::test]
async fn printed_keys_and_files_are_redacted() {
    use human_check_emulator::service_account_file;
    use human_check_recaptcha::{Credential, ServiceAccount};
    let secret = Secret::new(SECRET).unwrap();
    let key = Credential::api_key(secret.clone()).unwrap();
    let file = Secret::multiline(service_account_file("http://127.0.0.1:1")).unwrap();
    let account = ServiceAccount::from_json(&file).unwrap();
    let bearer = Credential::bearer(account.clone());
    let printed = format!("{secret:?} {key:?} {file:?} {account:?} {bearer:?}");
    assert!(
        !printed.to_ascii_lowercase().contains("canary") && !printed.contains("MII"),
        "{printed}"
    );
    // Errors about them contain no secret either.
    let broken = Secret::multiline(format!("{{\"private_key\":\"{SECRET}\"")).unwrap();
    let error = ServiceAccount::from_json(&broken).unwrap_err();
    assert!(
        !format!("{error} {error:?}")
            .to_ascii_lowercase()
            .contains("canary")
    );
    let error = Secret::new(format!("{SECRET} ")).unwrap_err();
    assert!(
        !format!("{error} {error:?}")
            .to_ascii_lowercase()
            .contains("canary")
    );
}

/// Returns the events of `human_check` that `checks` cause.
fn events(checks: impl Future<Output = ()>) -> Vec<String> {
    let log = recorded(|| block_on(checks));
    let events = log.lines().filter(|line| line.contains(" human_check: "));
    events.map(str::to_owned).collect()
}

fn assert_contains(event: &str, parts: &[&str]) {
    for part in parts {
        assert!(event.contains(part), "{part} is not in {event}");
    }
}

#[test]
fn one_event_explains_a_decision() {
    let events = events(async {
        let emulator = Emulator::start().await.unwrap();
        let check = crate::support::check(ProviderKind::Hcaptcha, &emulator, &impatient_client());
        let _ = check
            .check(&submission(ProviderKind::Hcaptcha, "forged"))
            .await;
        let _ = check.check(&human_check_core::Submission::new()).await;
    });
    assert_eq!(events.len(), 2, "{events:?}");
    assert_contains(
        &events[0],
        &[
            "provider=\"hcaptcha\"",
            "outcome=\"not-human\"",
            "reason=\"invalid\"",
            "attempts=1",
            "latency_us=",
            "alert=false",
        ],
    );
    assert_contains(&events[1], &["reason=\"missing\"", "attempts=0"]);
}

#[test]
fn enterprise_explains_a_decision_once_however_many_calls_it_took() {
    use human_check_recaptcha::{
        Credential, KeyKind, MetadataServer, RECAPTCHA_ENTERPRISE, RecaptchaEnterprise,
    };
    let events = events(async {
        let emulator = Emulator::start().await.unwrap();
        let credential = Credential::bearer(MetadataServer::new().unwrap());
        let client = impatient_client().with_base_url(&RECAPTCHA_ENTERPRISE, base(&emulator));
        let check = RecaptchaEnterprise::new(
            &client,
            "demo-project",
            "key",
            credential,
            KeyKind::Checkbox,
        )
        .unwrap();
        for fault in [Fault::Html { status: 404 }, Fault::Stall] {
            emulator.heal();
            emulator.fail(fault, None);
            let _ = check
                .check(&submission(ProviderKind::RecaptchaEnterprise, "forged"))
                .await;
        }
    });
    assert_eq!(events.len(), 2, "{events:?}");
    assert_contains(
        &events[0],
        &[
            "outcome=\"misconfigured\"",
            "reason=\"sign-in\"",
            "attempts=0",
        ],
    );
    assert_contains(
        &events[1],
        &["outcome=\"unavailable\"", "reason=\"timeout\""],
    );
}

#[test]
fn a_rule_that_refuses_is_explained_too() {
    use human_check_core::{HumanCheckExt, Policy};
    let events = events(async {
        let emulator = Emulator::start().await.unwrap();
        let check = crate::support::check(ProviderKind::Turnstile, &emulator, &impatient_client());
        let policy = Policy::new().with_hostnames(["other.example"]).unwrap();
        let check = check.enforce(policy).unwrap();
        let good = crate::support::minted(ProviderKind::Turnstile, &emulator);
        assert!(!check.check(&good).await.unwrap().is_human());
        // The provider refuses the replay, so the policy logs no event of its own.
        assert!(!check.check(&good).await.unwrap().is_human());
    });
    assert_eq!(
        events.len(),
        3,
        "two events of the provider and one of the policy: {events:?}"
    );
    assert_contains(
        &events[1],
        &[
            "provider=\"turnstile\"",
            "outcome=\"not-human\"",
            "reason=\"wrong-hostname\"",
            "refused by policy",
        ],
    );
}
