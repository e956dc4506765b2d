//! An experiment on several machines, with a real redis-server.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use human_check_compare::StopNote;
use human_check_config::Deployment;
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{Guard, RequestHead, Visitor, Why};

use crate::log::Log;
use crate::server::Server;

/// A request without headers.
#[derive(Debug)]
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

/// Writes the configuration of one machine, and returns it with the guard of its route.
fn machine(folder: &Path, emulator: &Emulator, server: &Server) -> (Deployment, Guard) {
    let base = emulator.base_url();
    let mut text = String::new();
    for provider in ["hcaptcha", "turnstile"] {
        let account = EmulatedAccount::for_provider(provider);
        std::fs::write(folder.join(provider), account.secret).unwrap();
        text += &format!(
            "[providers.{provider}]\nkind = \"{provider}\"\nsite_key = \"{}\"\nsecret = {{ file = \"{provider}\" }}\nbase_url = \"{base}\"\n",
            account.site_key
        );
    }
    std::fs::write(folder.join("url"), server.url().expose()).unwrap();
    std::fs::write(folder.join("key"), "0123456789abcdef0123456789abcdef").unwrap();
    text += "[check]\nuse = \"hcaptcha\"\noffer_keys = [{ file = \"key\" }]\n[routes.signup]\n";
    text += "[experiment]\nname = \"e\"\narms = { hcaptcha = 0.5, turnstile = 0.5 }\nfile = \"events.jsonl\"\n";
    // The room for attempts is full at once. That of the experiment is another.
    text += "[attempt_store]\nkind = \"redis\"\ncapacity = 1\nurl = { file = \"url\" }\ndigest_secret = { file = \"key\" }\n";
    std::fs::write(folder.join("human-check.toml"), text).unwrap();
    let deployment = Deployment::load(folder.join("human-check.toml")).unwrap();
    let guard = deployment.guard("signup").unwrap();
    (deployment, guard)
}

/// One visitor, who completes only with hCaptcha.
async fn visit(emulator: &Emulator, guard: &Guard) {
    let page = guard.select(&Head);
    let provider = page.account().to_owned();
    let token = emulator.mint(&Mint::for_provider(&provider)).unwrap();
    let field = page.widget().unwrap().field().to_owned();
    let mut tokens = SubmittedTokens::none();
    tokens.push(guard.fields().find(&field).unwrap(), token);
    let offer = guard.fields().find("human-check-offer").unwrap();
    tokens.push(offer, page.offer());
    let decision = guard.inspect(&Head).with_tokens(tokens).decide().await;
    let visitor: Visitor = decision.require().unwrap();
    if let Some(receipt) = visitor.human().unwrap().receipt()
        && provider == "hcaptcha"
    {
        guard.completed(receipt);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_with_a_common_server_stop_together_and_know_it_without_the_server() {
    let emulator = Emulator::start().await.unwrap();
    let mut server = Server::start();
    let folders = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = folders
        .each_ref()
        .map(|folder| machine(folder.path(), &emulator, &server));
    let start = Instant::now();
    let notes = || {
        folders.each_ref().map(|folder| {
            let state = folder.path().join("events.jsonl.state");
            StopNote::read(&state, "e").unwrap()
        })
    };
    // Neither machine alone has the visitors that the stop took.
    while notes().iter().any(Option::is_none) {
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", notes());
        for (_, guard) in [&first, &second] {
            visit(&emulator, guard).await;
        }
    }
    for (_, guard) in [&first, &second] {
        assert_eq!(guard.select(&Head).why(), Why::Primary);
    }
    server.kill();
    drop((first, second));
    for folder in &folders {
        let (_deployment, guard) = machine(folder.path(), &emulator, &server);
        assert_eq!(guard.select(&Head).why(), Why::Primary);
    }
}

#[tokio::test]
async fn a_store_that_fails_and_one_that_works_again_are_logged_once_each() {
    let log = Log::capture();
    let emulator = Emulator::start().await.unwrap();
    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let (_deployment, guard) = machine(folder.path(), &emulator, &server);
    let start = Instant::now();
    let visit_until = async |words: &str| {
        while log.count(words) == 0 {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "not logged: {words}"
            );
            visit(&emulator, &guard).await;
        }
        for _ in 0..200 {
            visit(&emulator, &guard).await;
        }
        assert_eq!(log.count(words), 1, "{words}");
    };
    server.kill();
    visit_until("the store of the experiment fails").await;
    server.start_again();
    visit_until("the store of the experiment works again").await;
}
