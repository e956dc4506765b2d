//! What an examination of a deployment finds out about servers: of stores, and with TLS.

use human_check_config::{Deployment, Diagnosis, Finding, Level};
use human_check_emulator::{EmulatedAccount, Emulator};

use crate::server::Server;
use crate::tls;

/// Examines a configuration whose Turnstile is at `base` and whose stores are on the server `url`.
async fn diagnose(base: &str, url: &str) -> Diagnosis {
    deployment(base, url, "").diagnose().await
}

fn deployment(base: &str, url: &str, site: &str) -> Deployment {
    let account = EmulatedAccount::for_provider("turnstile");
    let text = format!(
        "[providers.turnstile]\nkind = \"turnstile\"\nsite_key = \"{}\"\nsecret = {{ env = \"SECRET\" }}\nbase_url = \"{base}\"\nhostnames = [\"localhost\"]\n[check]\nuse = \"turnstile\"\n[routes.signup]\n[replay_store]\nkind = \"redis\"\nurl = {{ env = \"URL\" }}\ndigest_secret = {{ env = \"KEY\" }}\n[attempt_store]\nkind = \"redis\"\nurl = {{ env = \"URL\" }}\ndigest_secret = {{ env = \"KEY\" }}\n{site}",
        account.site_key
    );
    let url = url.to_owned();
    Deployment::builder()
        .from_text(&text, move |name| {
            Some(match name {
                "URL" => url.clone(),
                "KEY" => "0123456789abcdef0123456789abcdef".to_owned(),
                _ => account.secret.clone(),
            })
        })
        .unwrap()
}

/// Returns the findings of a level about the stores.
fn of_stores(diagnosis: &Diagnosis, level: Level) -> Vec<&Finding> {
    let findings = diagnosis.findings.iter();
    findings
        .filter(|finding| finding.part.ends_with("_store") && finding.level == level)
        .collect()
}

#[tokio::test]
async fn a_store_that_works_is_fine_with_its_version_and_one_that_dies_is_wrong() {
    let emulator = Emulator::start().await.unwrap();
    let mut server = Server::with(&["maxmemory 64mb"]);
    let url = server.url().expose().to_owned();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    for level in [Level::Unknown, Level::Warning, Level::Wrong] {
        assert_eq!(of_stores(&diagnosis, level), Vec::<&Finding>::new());
    }
    for (check, words) in [
        ("server", "is version"),
        ("memory", "of 64 MiB are used"),
        ("claim", " ms"),
    ] {
        let found = of_stores(&diagnosis, Level::Fine);
        for part in ["replay_store", "attempt_store"] {
            let mut found = found.iter().filter(|f| f.part == part && f.check == check);
            assert!(found.next().unwrap().text.contains(words), "{diagnosis:#?}");
        }
    }
    server.kill();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
    let texts: String = wrong.iter().map(ToString::to_string).collect();
    assert!(texts.contains("store-unreachable"), "{texts}");
}

#[tokio::test]
async fn a_store_that_breaks_a_guarantee_is_told_with_what_follows() {
    let emulator = Emulator::start().await.unwrap();
    let evicting = Server::with(&["maxmemory 64mb", "maxmemory-policy allkeys-lru"]);
    let url = evicting.url().expose().to_owned();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let warnings = of_stores(&diagnosis, Level::Warning);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].text.contains("allkeys-lru"), "{warnings:#?}");
    assert!(warnings[0].remedy.contains("noeviction"), "{warnings:#?}");

    let (primary, replica) = (Server::start(), Server::start());
    replica.run(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    let url = replica.url().expose().to_owned();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    let texts: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains("a replica")),
        "{texts:#?}"
    );

    let full = Server::with(&["maxmemory 1mb"]);
    let url = full.url().expose().to_owned();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let warnings = of_stores(&diagnosis, Level::Warning);
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains("more memory")),
        "{diagnosis:#?}"
    );
}

#[tokio::test]
async fn a_user_without_the_right_to_write_is_found_by_the_claim() {
    let emulator = Emulator::start().await.unwrap();
    let server = Server::start();
    server.run(&[
        "ACL", "SETUSER", "ada", "on", ">canary", "~*", "+info", "+get",
    ]);
    let url = format!("redis://ada:canary@127.0.0.1:{}", server.port);
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    assert_eq!(wrong.len(), 2, "{wrong:#?}");
    assert!(wrong.iter().all(|finding| finding.check == "claim"));
    assert!(wrong[0].text.contains("store-auth"), "{wrong:#?}");
    assert!(!format!("{diagnosis:?}").contains("canary"));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_from_a_closed_port() {
    let server = Server::start();
    let (port, _) = tls::provider("127.0.0.1").await;
    let base = format!("https://127.0.0.1:{port}");
    let diagnosis = diagnose(&base, server.url().expose()).await;
    let mut findings = diagnosis.findings.iter();
    let reachable = findings
        .find(|finding| finding.check == "reachable")
        .unwrap();
    assert_eq!(reachable.level, Level::Wrong);
    assert!(reachable.text.contains("certificate"), "{reachable}");
    assert!(reachable.remedy.contains("authorities"), "{reachable}");
}

#[tokio::test]
async fn a_process_is_ready_without_its_store_unless_the_file_names_it() {
    let emulator = Emulator::start().await.unwrap();
    let mut server = Server::start();
    let url = server.url().expose().to_owned();
    let named = deployment(
        &emulator.base_url(),
        &url,
        "[site]\nreadiness = [\"replay_store\"]\n",
    );
    let other = deployment(&emulator.base_url(), &url, "");
    assert_eq!(named.health_endpoint().ready().await.status, 200);
    server.kill();
    let response = named.health_endpoint().ready().await;
    assert_eq!(response.status, 503);
    // Which part fails is not for everyone.
    assert_eq!(response.body, r#"{"status":"not-ready"}"#);
    assert_eq!(other.health_endpoint().ready().await.status, 200);
    assert!(emulator.requests().is_empty(), "no provider is called");
}
