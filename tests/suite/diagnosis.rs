//! What an examination of a deployment finds out about servers: of stores, and with TLS.

use human_check_config::{Deployment, Diagnosis, Finding, Level};
use human_check_emulator::{EmulatedAccount, Emulator};

use crate::fleet::{Cluster, Watched};
use crate::postgres_server;
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
async fn each_primary_of_a_cluster_is_examined_and_one_that_fails_is_named() {
    let emulator = Emulator::start().await.unwrap();
    let mut cluster = Cluster::start(3, false);
    let url = cluster.url().expose().to_owned();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let warnings = of_stores(&diagnosis, Level::Warning);
    // Three primaries for each of the two stores.
    assert_eq!(warnings.len(), 6, "{diagnosis:#?}");
    for warning in &warnings {
        assert!(warning.text.contains("has no replica"), "{warning}");
    }
    assert_eq!(of_stores(&diagnosis, Level::Wrong), Vec::<&Finding>::new());
    let failed = format!("127.0.0.1:{}: ", cluster.primaries[1].port);
    cluster.primaries[1].kill();
    let diagnosis = diagnose(&emulator.base_url(), &url).await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    let named = wrong.iter().filter(|finding| {
        finding.text.starts_with(&failed) && finding.text.contains("cannot be reached")
    });
    assert_eq!(named.count(), 2, "{wrong:#?}");
}

#[tokio::test]
async fn the_primary_of_sentinels_is_examined() {
    let emulator = Emulator::start().await.unwrap();
    let watched = Watched::start();
    let url = watched.url("", "primary=main");
    let diagnosis = diagnose(&emulator.base_url(), url.expose()).await;
    let fine = of_stores(&diagnosis, Level::Fine);
    let of_server = fine.iter().filter(|finding| finding.check == "server");
    for finding in of_server {
        assert!(finding.text.contains("with a replica"), "{finding}");
    }
    assert_eq!(of_stores(&diagnosis, Level::Wrong), Vec::<&Finding>::new());
    let url = watched.url("", "primary=other");
    let diagnosis = diagnose(&emulator.base_url(), url.expose()).await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    assert!(
        wrong[0].text.contains("the sentinels name no primary"),
        "{wrong:#?}"
    );
}

#[tokio::test]
async fn a_postgres_store_is_examined_with_its_table() {
    let emulator = Emulator::start().await.unwrap();
    let server = postgres_server::Server::start();
    let base = emulator.base_url();
    let account = EmulatedAccount::for_provider("turnstile");
    let text = format!(
        "[providers.turnstile]\nkind = \"turnstile\"\nsite_key = \"{}\"\nsecret = {{ env = \"SECRET\" }}\nbase_url = \"{base}\"\nhostnames = [\"localhost\"]\n[check]\nuse = \"turnstile\"\n[routes.signup]\n[replay_store]\nkind = \"postgres\"\nurl = {{ env = \"URL\" }}\ndigest_secret = {{ env = \"KEY\" }}\n",
        account.site_key
    );
    let url = server.url().expose().to_owned();
    let deployment = Deployment::builder().from_text(&text, move |name| {
        Some(match name {
            "URL" => url.clone(),
            "KEY" => "0123456789abcdef0123456789abcdef".to_owned(),
            _ => account.secret.clone(),
        })
    });
    let deployment = deployment.unwrap();
    let diagnosis = deployment.diagnose().await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    // The server, and the claim.
    assert_eq!(wrong.len(), 2, "{diagnosis:#?}");
    assert!(
        wrong[0].remedy.contains("multi-node.md#postgresql"),
        "{wrong:#?}"
    );
    assert!(wrong[1].text.contains("store-table"), "{wrong:#?}");
    server.store().create_table().await.unwrap();
    let diagnosis = deployment.diagnose().await;
    assert_eq!(of_stores(&diagnosis, Level::Wrong), Vec::<&Finding>::new());
    let fine = of_stores(&diagnosis, Level::Fine);
    assert!(
        fine.iter()
            .any(|finding| finding.text.contains("is version")),
        "{fine:#?}"
    );
    assert!(!format!("{diagnosis:?}").contains(postgres_server::PASSWORD));
    server.kill();
    let diagnosis = deployment.diagnose().await;
    let wrong = of_stores(&diagnosis, Level::Wrong);
    assert!(wrong[0].text.contains("store-unreachable"), "{wrong:#?}");
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
