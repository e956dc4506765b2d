//! No secret and no token in any output: `Debug`, `Display`, error chains, and every event at
//! trace level, ours and those of the libraries below.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use human_check::{HumanCheck, Secret};
use human_check_cli::vendor::Vendor;
use human_check_testkit::{Emulator, Fault};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{GENERIC, base, generic, hasty_exchange, setup, submission};

const TOKEN: &str = "canary-token-0123456789-abcdefghijklmnop";
const SECRET: &str = "canary-secret-0123456789-abcdefghijklmnop";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that can be printed of an outcome.
fn printed(outcome: &Result<human_check::Verdict, human_check::CheckError>) -> String {
    let mut text = format!("{outcome:?} {outcome:#?}");
    if let Err(error) = outcome {
        text.push_str(&error.to_string());
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(&format!(" {error} {error:?} {error:#?}"));
            cause = error.source();
        }
    }
    if let Ok(human_check::Verdict::NotHuman(refusal)) = outcome {
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
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // Thread-local, and the runtime stays on this thread.
    let output = tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let mut output = String::new();
            for fault in faults() {
                let emulator = Emulator::start().await.unwrap();
                if let Some(fault) = fault {
                    emulator.fail(fault, None);
                }
                for vendor in Vendor::ALL {
                    let mut setup = setup(vendor);
                    setup.secret = Some(Secret::new(SECRET).unwrap());
                    setup.base = Some(base(&emulator));
                    output.push_str(&format!("{setup:?}"));
                    let check = setup.build(&hasty_exchange()).unwrap();
                    let prefix = if vendor == Vendor::CaptchaLa {
                        "pt_"
                    } else {
                        ""
                    };
                    let submission = submission(vendor, format!("{prefix}{TOKEN}"));
                    output.push_str(&format!(
                        "{check:?} {check:#?} {submission:?} {submission:#?}"
                    ));
                    output.push_str(&printed(&check.check(&submission).await));
                }
                for name in GENERIC {
                    let check = generic(name, &emulator, &hasty_exchange());
                    let submission =
                        human_check::Submission::new().with_token(&check.accepts()[0], TOKEN);
                    output.push_str(&format!("{check:?}"));
                    output.push_str(&printed(&check.check(&submission).await));
                }
            }
            output
        })
    });
    let log = log.text();
    assert!(log.contains("human_check"), "our events were recorded");
    assert!(log.contains("TRACE"), "and those of the libraries below");
    for (what, text) in [("printed", &output), ("logged", &log)] {
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
async fn what_we_print_of_keys_and_files_is_redacted() {
    use human_check_recaptcha::{Credential, ServiceAccount};
    use human_check_testkit::emulator::service_account_file;
    let secret = Secret::new(SECRET).unwrap();
    let key = Credential::api_key(secret.clone()).unwrap();
    let file = Secret::multiline(service_account_file("http://127.0.0.1:1")).unwrap();
    let account = ServiceAccount::from_json(&file).unwrap();
    let bearer = Credential::bearer(account.clone());
    let printed = format!("{secret:?} {key:?} {file:?} {account:?} {bearer:?}");
    assert!(
        !printed.contains("canary") && !printed.contains("MII"),
        "{printed}"
    );
    // Errors about them neither.
    let broken = Secret::multiline(format!("{{\"private_key\":\"{SECRET}\"")).unwrap();
    let error = ServiceAccount::from_json(&broken).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
    let error = Secret::new(format!("{SECRET} ")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

/// The events of ours that `checks` gives rise to.
async fn events(checks: impl Future<Output = ()>) -> Vec<String> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    checks.await;
    drop(guard);
    let log = log.text();
    let ours = log.lines().filter(|line| line.contains(" human_check: "));
    ours.map(str::to_owned).collect()
}

fn says(event: &str, parts: &[&str]) {
    for part in parts {
        assert!(event.contains(part), "{part} in {event}");
    }
}

#[tokio::test]
async fn one_event_explains_a_decision() {
    let emulator = Emulator::start().await.unwrap();
    let check = crate::support::check(Vendor::Hcaptcha, &emulator, &hasty_exchange());
    let forged = submission(Vendor::Hcaptcha, "forged");
    let asked = events(async {
        let _ = check.check(&forged).await;
    })
    .await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    says(
        &asked[0],
        &[
            "provider=\"hcaptcha\"",
            "outcome=\"not-human\"",
            "reason=\"invalid\"",
            "attempts=1",
            "latency_us=",
            "alert=false",
        ],
    );
    let local = events(async {
        let _ = check.check(&human_check::Submission::new()).await;
    })
    .await;
    assert_eq!(local.len(), 1, "{local:?}");
    says(&local[0], &["reason=\"missing\"", "attempts=0"]);
}

#[tokio::test]
async fn enterprise_explains_a_decision_once_however_many_calls_it_took() {
    use human_check_recaptcha::{Credential, KeyKind, MetadataServer, RecaptchaEnterprise};
    let emulator = Emulator::start().await.unwrap();
    let credential = Credential::bearer(MetadataServer::at(&base(&emulator)));
    let exchange = hasty_exchange();
    let check = RecaptchaEnterprise::new(
        &exchange,
        "demo-project",
        "key",
        credential,
        KeyKind::Checkbox,
    )
    .unwrap()
    .at(base(&emulator));
    let forged = submission(Vendor::RecaptchaEnterprise, "forged");
    emulator.fail(Fault::Html { status: 404 }, None);
    let unsigned = events(async {
        let _ = check.check(&forged).await;
    })
    .await;
    assert_eq!(unsigned.len(), 1, "{unsigned:?}");
    says(
        &unsigned[0],
        &[
            "outcome=\"misconfigured\"",
            "reason=\"sign-in\"",
            "attempts=0",
        ],
    );
    emulator.heal();
    emulator.fail(Fault::Stall, None);
    let stalled = events(async {
        let _ = check.check(&forged).await;
    })
    .await;
    assert_eq!(stalled.len(), 1, "{stalled:?}");
    says(
        &stalled[0],
        &["outcome=\"unavailable\"", "reason=\"timeout\""],
    );
}

#[tokio::test]
async fn a_rule_that_refuses_is_explained_too() {
    use human_check::{HumanCheckExt, Policy};
    let emulator = Emulator::start().await.unwrap();
    let check = crate::support::check(Vendor::Turnstile, &emulator, &hasty_exchange());
    let policy = Policy::new().with_hostnames(["other.example"]).unwrap();
    let check = check.enforce(policy).unwrap();
    let good = crate::support::minted(Vendor::Turnstile, &emulator);
    let refused = events(async {
        assert!(!check.check(&good).await.unwrap().is_human());
    })
    .await;
    assert_eq!(
        refused.len(),
        2,
        "the vendor's answer and the rule: {refused:?}"
    );
    says(
        &refused[1],
        &[
            "provider=\"turnstile\"",
            "outcome=\"not-human\"",
            "reason=\"wrong-hostname\"",
            "refused by policy",
        ],
    );
}
