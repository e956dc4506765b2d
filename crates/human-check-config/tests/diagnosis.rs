//! What an examination of a deployment finds, with each kind of trouble brought about for real.
#![cfg(all(
    feature = "hcaptcha",
    feature = "turnstile",
    feature = "altcha",
    feature = "rustls"
))]
#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use human_check_config::{Deployment, Diagnosis, Finding, Level};
use human_check_emulator::{EmulatedAccount, Emulator, Fault};
use human_check_testkit::ManualClock;

/// A configuration with Turnstile and hCaptcha at `base`, and with these lines under `[check]`.
fn text(base: &str, secret: &str, check: &str, tables: &str) -> String {
    let account = |provider: &str, secret: &str| {
        let key = EmulatedAccount::for_provider(provider).site_key;
        format!(
            "[providers.{provider}]\nkind = \"{provider}\"\nsite_key = \"{key}\"\nsecret = {{ env = \"{secret}\" }}\nbase_url = \"{base}\"\nhostnames = [\"localhost\"]\n"
        )
    };
    format!(
        "{}{}[check]\nuse = \"turnstile\"\nfallback = [\"hcaptcha\"]\noffer_keys = [{{ env = \"KEY\" }}]\n{check}\n[routes.signup]\n{tables}",
        account("turnstile", secret),
        account("hcaptcha", "hcaptcha"),
    )
}

fn variable(name: &str) -> Option<String> {
    Some(match name {
        "KEY" => "0123456789abcdef0123456789abcdef".to_owned(),
        "WRONG" | "WRONG2" => format!("0x4AAAAAAAWRONGWRONGWRONG{name}"),
        provider => EmulatedAccount::for_provider(provider).secret,
    })
}

async fn diagnose(text: &str) -> Diagnosis {
    let deployment = Deployment::builder().from_text(text, variable).unwrap();
    deployment.diagnose().await
}

fn find<'d>(diagnosis: &'d Diagnosis, part: &str, check: &str) -> &'d Finding {
    let mut findings = diagnosis.findings.iter();
    findings
        .find(|finding| finding.part == part && finding.check == check)
        .unwrap_or_else(|| panic!("no {check} of {part}: {diagnosis:#?}"))
}

#[tokio::test]
async fn everything_that_works_is_fine_and_what_cannot_be_told_says_so() {
    let emulator = Emulator::start().await.unwrap();
    let memory = "[replay_store]\nkind = \"memory\"\n[attempt_store]\nkind = \"memory\"\n";
    let diagnosis = diagnose(&text(&emulator.base_url(), "turnstile", "", memory)).await;
    for provider in ["turnstile", "hcaptcha"] {
        let part = format!("providers.{provider}");
        for check in ["reachable", "clock", "script"] {
            let finding = find(&diagnosis, &part, check);
            assert_eq!(finding.level, Level::Fine, "{finding}");
        }
    }
    let secret = |part| find(&diagnosis, part, "secret").level;
    assert_eq!(secret("providers.turnstile"), Level::Fine);
    assert_eq!(secret("providers.hcaptcha"), Level::Unknown);
    for store in ["replay_store", "attempt_store"] {
        assert_eq!(find(&diagnosis, store, "claim").level, Level::Fine);
        assert_eq!(find(&diagnosis, store, "server").level, Level::Fine);
    }
    // One call and one script of each account.
    assert_eq!(emulator.requests().len(), 4, "{:?}", emulator.requests());
    assert_eq!(diagnosis.level(), Level::Warning, "{diagnosis:#?}");
}

#[tokio::test]
async fn a_wrong_secret_is_told_where_the_provider_looks_at_it() {
    let emulator = Emulator::start().await.unwrap();
    let diagnosis = diagnose(&text(&emulator.base_url(), "WRONG", "", "")).await;
    let secret = find(&diagnosis, "providers.turnstile", "secret");
    assert_eq!(secret.level, Level::Wrong, "{secret}");
    assert!(secret.remedy.contains("dashboard"), "{secret}");
    // The provider itself works.
    let reachable = find(&diagnosis, "providers.turnstile", "reachable");
    assert_eq!(reachable.level, Level::Fine, "{reachable}");
    assert!(!format!("{diagnosis:?}").contains("WRONGWRONG"));
}

#[tokio::test]
async fn each_trouble_of_a_provider_has_its_own_words() {
    let emulator = Emulator::start().await.unwrap();
    for (fault, level, words) in [
        (Fault::status(503), Level::Wrong, "status 503"),
        (Fault::status(429), Level::Wrong, "rate-limited"),
        (Fault::ResetBefore, Level::Wrong, "before the reply"),
        (Fault::Stall, Level::Wrong, "did not reply in time"),
        (Fault::Html { status: 200 }, Level::Wrong, "gave no verdict"),
        (
            Fault::Html { status: 403 },
            Level::Wrong,
            "rejects the request",
        ),
        (Fault::Redirect, Level::Wrong, "gave no verdict"),
    ] {
        emulator.fail(fault.clone(), None);
        let diagnosis = diagnose(&text(&emulator.base_url(), "turnstile", "", "")).await;
        let reachable = find(&diagnosis, "providers.turnstile", "reachable");
        assert_eq!(reachable.level, level, "{fault:?}: {reachable}");
        assert!(reachable.text.contains(words), "{fault:?}: {reachable}");
        assert!(!reachable.remedy.is_empty());
        let secret = find(&diagnosis, "providers.turnstile", "secret");
        assert_eq!(secret.level, Level::Unknown, "{fault:?}: {secret}");
        emulator.heal();
    }
    // A port that refuses connections.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let diagnosis = diagnose(&text(&format!("http://{closed}"), "turnstile", "", "")).await;
    let reachable = find(&diagnosis, "providers.turnstile", "reachable");
    assert_eq!(reachable.level, Level::Wrong);
    assert!(reachable.text.contains("no connection"), "{reachable}");
    let script = find(&diagnosis, "providers.turnstile", "script");
    assert_eq!(script.level, Level::Warning, "{script}");
    // A name without an address.
    let base = "https://no-such-host.invalid";
    let diagnosis = diagnose(&text(base, "turnstile", "", "")).await;
    let dns = find(&diagnosis, "providers.turnstile", "dns");
    assert_eq!(dns.level, Level::Wrong, "{dns}");
    assert!(dns.text.contains("no-such-host.invalid"), "{dns}");
}

#[tokio::test]
async fn a_proxy_is_named_as_the_way_and_as_what_fails() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = format!("proxy = \"http://{closed}\"");
    let base = "https://challenges.example";
    let diagnosis = diagnose(&text(base, "turnstile", &proxy, "")).await;
    let reachable = find(&diagnosis, "providers.turnstile", "reachable");
    assert_eq!(reachable.level, Level::Wrong);
    assert!(reachable.text.contains("proxy"), "{reachable}");
    // The proxy looks up names, and this machine need not be able to.
    let mut findings = diagnosis.findings.iter();
    assert!(!findings.any(|finding| finding.check == "dns"));
}

#[tokio::test]
async fn a_clock_that_differs_is_told_with_the_difference() {
    for (seconds, level, words) in [
        (-20_i64, Level::Warning, "ahead"),
        (20, Level::Warning, "behind"),
        (600, Level::Wrong, "s behind"),
    ] {
        let off = Duration::from_secs(seconds.unsigned_abs());
        let now = match seconds < 0 {
            true => SystemTime::now() - off,
            false => SystemTime::now() + off,
        };
        let emulator = Emulator::start_at(ManualClock::starting_at(now))
            .await
            .unwrap();
        let diagnosis = diagnose(&text(&emulator.base_url(), "turnstile", "", "")).await;
        let clock = find(&diagnosis, "providers.turnstile", "clock");
        assert_eq!(clock.level, level, "{seconds}: {clock}");
        assert!(clock.text.contains(words), "{seconds}: {clock}");
    }
    // The clock of this machine, which goes on during the call.
    let emulator = Emulator::start().await.unwrap();
    let diagnosis = diagnose(&text(&emulator.base_url(), "turnstile", "", "")).await;
    let clock = find(&diagnosis, "providers.turnstile", "clock");
    assert_eq!(clock.level, Level::Fine);
    assert!(clock.text.contains("agrees"), "{clock}");
}

#[tokio::test]
async fn an_account_of_altcha_calls_no_provider() {
    let text = "[providers.own]\nkind = \"altcha\"\nsite = \"www.example.com\"\nsecret = { env = \"KEY\" }\n[check]\nuse = \"own\"\n[replay_store]\nkind = \"memory\"\n[routes.signup]\n";
    let diagnosis = diagnose(text).await;
    let own: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.part == "providers.own" && finding.check != "settings")
        .collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!((own[0].check, own[0].level), ("reachable", Level::Fine));
}

#[tokio::test]
async fn files_of_records_that_cannot_be_written_are_found_and_none_is_made() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    for (place, level) in [
        (file.clone(), Level::Fine),
        (
            folder.path().join("no/such/folder/events.jsonl"),
            Level::Wrong,
        ),
        (folder.path().to_owned(), Level::Wrong),
    ] {
        let experiment = format!(
            "[experiment]\nname = \"e\"\narms = {{ turnstile = 0.5, hcaptcha = 0.5 }}\nfile = {:?}\n",
            place.display().to_string()
        );
        let diagnosis = diagnose(&text(&emulator.base_url(), "turnstile", "", &experiment)).await;
        let writable = find(&diagnosis, "experiment.file", "writable");
        assert_eq!(writable.level, level, "{writable}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_accepts_every_token_is_not_fine() {
    let emulator = Emulator::start().await.unwrap();
    let text = text(&emulator.base_url(), "turnstile", "", "");
    let reply = r#"{"success":true,"hostname":"localhost","challenge_ts":"2026-01-01T00:00:00Z"}"#;
    emulator.fail(
        Fault::Body {
            text: reply.to_owned(),
        },
        None,
    );
    let diagnosis = diagnose(&text).await;
    let secret = find(&diagnosis, "providers.turnstile", "secret");
    assert_eq!(secret.level, Level::Wrong, "{secret}");
    assert!(secret.text.contains("every bot passes"), "{secret}");
    // A refusal for a reason that is not known says nothing about the secret.
    emulator.heal();
    let reply = r#"{"success":false,"error-codes":["account-suspended"]}"#;
    emulator.fail(
        Fault::Body {
            text: reply.to_owned(),
        },
        None,
    );
    let diagnosis = diagnose(&text).await;
    let secret = find(&diagnosis, "providers.turnstile", "secret");
    assert_eq!(secret.level, Level::Unknown, "{secret}");
}

#[cfg(feature = "recaptcha")]
#[tokio::test]
async fn an_account_of_recaptcha_enterprise_that_works_is_fine() {
    let emulator = Emulator::start().await.unwrap();
    let keys = EmulatedAccount::for_provider("recaptcha-enterprise");
    let text = format!(
        "[providers.google]\nkind = \"recaptcha-enterprise\"\nsite_key = \"{}\"\nsecret = {{ env = \"recaptcha-enterprise\" }}\nproject = \"demo-project\"\nenterprise_key = \"checkbox\"\nbase_url = \"{}\"\n[check]\nuse = \"google\"\n[routes.signup]\n",
        keys.site_key,
        emulator.base_url()
    );
    let diagnosis = diagnose(&text).await;
    for check in ["reachable", "secret"] {
        let finding = find(&diagnosis, "providers.google", check);
        assert_eq!(finding.level, Level::Fine, "{finding}");
    }
}

#[tokio::test]
async fn a_previous_secret_is_examined_by_itself() {
    let emulator = Emulator::start().await.unwrap();
    for (present, previous, levels) in [
        ("turnstile", "WRONG", [Level::Fine, Level::Wrong]),
        ("WRONG", "turnstile", [Level::Warning, Level::Fine]),
        ("WRONG", "WRONG2", [Level::Wrong, Level::Wrong]),
    ] {
        let text = text(&emulator.base_url(), present, "", "").replacen(
            "hostnames",
            &format!("previous_secret = {{ env = \"{previous}\" }}\nhostnames"),
            1,
        );
        let diagnosis = diagnose(&text).await;
        let level = |check| find(&diagnosis, "providers.turnstile", check).level;
        assert_eq!([level("secret"), level("previous-secret")], levels);
    }
}

#[tokio::test]
async fn a_state_file_that_the_program_cannot_start_with_is_found() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    std::fs::write(folder.path().join("events.jsonl.state"), "{").unwrap();
    let experiment = format!(
        "[experiment]\nname = \"e\"\narms = {{ turnstile = 0.5, hcaptcha = 0.5 }}\nfile = {:?}\n",
        file.display().to_string()
    );
    let diagnosis = diagnose(&text(&emulator.base_url(), "turnstile", "", &experiment)).await;
    let state = find(&diagnosis, "experiment.state_file", "writable");
    assert_eq!(state.level, Level::Wrong, "{state}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_is_no_file_and_waits_for_no_reader() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let shadow = format!(
        "[check.shadow]\nuse = \"hcaptcha\"\nfile = {:?}\n",
        pipe.display().to_string()
    );
    let text = text(&emulator.base_url(), "turnstile", "", &shadow)
        .replace("fallback = [\"hcaptcha\"]\n", "");
    let diagnosis = diagnose(&text).await;
    let writable = find(&diagnosis, "check.shadow.file", "writable");
    assert_eq!(writable.level, Level::Wrong, "{writable}");
}

#[tokio::test]
async fn an_account_that_cannot_be_built_leaves_the_findings_of_the_others() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, EmulatedAccount::for_provider("turnstile").secret).unwrap();
    let file = folder.path().join("human-check.toml");
    let text = text(&emulator.base_url(), "turnstile", "", "")
        .replacen("{ env = \"turnstile\" }", "{ file = \"secret\" }", 1)
        .replace("offer_keys = [{ env = \"KEY\" }]\n", "")
        .replace("{ env = \"hcaptcha\" }", "{ file = \"other\" }");
    let other = EmulatedAccount::for_provider("hcaptcha").secret;
    std::fs::write(folder.path().join("other"), other).unwrap();
    std::fs::write(&file, text).unwrap();
    let deployment = Deployment::load(&file).unwrap();
    std::fs::remove_file(&secret).unwrap();
    let diagnosis = deployment.diagnose().await;
    let settings: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.part == "providers.turnstile" && finding.level == Level::Wrong)
        .collect();
    assert_eq!(settings.len(), 1, "{diagnosis:#?}");
    let other = find(&diagnosis, "providers.hcaptcha", "reachable");
    assert_eq!(other.level, Level::Fine, "{other}");
    // What is on the disk and not in force is said.
    std::fs::write(&secret, "0x4AAAAAAAANOTHERANOTHERANOTHER").unwrap();
    let diagnosis = deployment.diagnose().await;
    let stale = diagnosis
        .findings
        .iter()
        .any(|finding| finding.text.contains("not in force"));
    assert!(stale, "{diagnosis:#?}");
}
