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
        "WRONG" => "0x4AAAAAAAWRONGWRONGWRONGWRONGWRONG".to_owned(),
        provider => EmulatedAccount::for_provider(provider).secret,
    })
}

async fn diagnose(text: &str) -> Diagnosis {
    let deployment = Deployment::builder().from_text(text, variable).unwrap();
    deployment.diagnose().await.unwrap()
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
        for check in ["dns", "reachable", "clock", "script"] {
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
        (Fault::status(429), Level::Warning, "rate-limited"),
        (Fault::ResetBefore, Level::Wrong, "before the reply"),
        (Fault::Stall, Level::Wrong, "no reply arrived"),
        (Fault::Html { status: 200 }, Level::Warning, "did not judge"),
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
        (0_i64, Level::Fine, "agrees"),
        (-20, Level::Warning, "ahead"),
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
        let writable = find(&diagnosis, "experiment", "writable");
        assert_eq!(writable.level, level, "{writable}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
