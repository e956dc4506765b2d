//! The monthly quota of an account by configuration, on machines with a common server.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use human_check_config::{Deployment, Finding, Level};
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{Guard, RequestHead};

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

/// Returns the guard of one machine, whose Turnstile has ten calls a month and stops at eight.
fn machine(emulator: &Emulator, server: &Server) -> Result<Guard, String> {
    configured(emulator, server, "monthly_quota = 10\nquota_stop_at = 0.8")
}

fn configured(emulator: &Emulator, server: &Server, quota: &str) -> Result<Guard, String> {
    Ok(deployment(emulator, server, quota)?
        .guard("signup")
        .unwrap())
}

fn deployment(emulator: &Emulator, server: &Server, quota: &str) -> Result<Deployment, String> {
    let account = |provider: &str, more: &str| {
        let keys = EmulatedAccount::for_provider(provider);
        format!(
            "[providers.{provider}]\nkind = \"{provider}\"\nsite_key = \"{}\"\nsecret = {{ env = \"{provider}\" }}\nbase_url = \"{}\"\n{more}\n",
            keys.site_key,
            emulator.base_url()
        )
    };
    let text = format!(
        "{}{}[check]\nuse = \"turnstile\"\nfallback = [\"hcaptcha\"]\nfallback_on = [\"declined\"]\noffer_keys = [{{ env = \"KEY\" }}]\n[attempt_store]\nkind = \"redis\"\nurl = {{ env = \"URL\" }}\ndigest_secret = {{ env = \"KEY\" }}\n[routes.signup]\n",
        account("turnstile", quota),
        account("hcaptcha", "")
    );
    let url = server.url().expose().to_owned();
    let deployment = Deployment::builder().from_text(&text, move |name| {
        Some(match name {
            "KEY" => "0123456789abcdef0123456789abcdef".to_owned(),
            "URL" => url.clone(),
            provider => EmulatedAccount::for_provider(provider).secret,
        })
    });
    deployment.map_err(|error| error.to_string())
}

/// Sends the token of the widget that the page shows. Returns the account, and whether it passed.
async fn visit(emulator: &Emulator, guard: &Guard) -> (String, bool) {
    let page = guard.select(&Head);
    let provider = page.account().to_owned();
    let token = emulator.mint(&Mint::for_provider(&provider)).unwrap();
    let mut tokens = SubmittedTokens::none();
    let field = page.widget().unwrap().field().to_owned();
    tokens.push(guard.fields().find(&field).unwrap(), token);
    let offer = guard.fields().find("human-check-offer").unwrap();
    tokens.push(offer, page.offer());
    let decision = guard.inspect(&Head).with_tokens(tokens).decide().await;
    let passed = decision.require::<human_check_guard::Human>().is_ok();
    (provider, passed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_share_the_quota_and_meet_the_fallback_before_its_end() {
    let emulator = Emulator::start().await.unwrap();
    let server = Server::start();
    let machines = [(), ()].map(|()| machine(&emulator, &server).unwrap());
    let start = Instant::now();
    // Until both machines show the fallback.
    while machines
        .iter()
        .any(|guard| guard.select(&Head).account() == "turnstile")
    {
        assert!(start.elapsed() < Duration::from_secs(60), "no fallback");
        for guard in &machines {
            visit(&emulator, guard).await;
        }
    }
    let calls = emulator.requests();
    let of_turnstile = calls
        .iter()
        .filter(|call| call.path.contains("/turnstile/"));
    let of_turnstile = of_turnstile.count();
    // Eight, and at most one of each machine that was under way.
    assert!((8..=10).contains(&of_turnstile), "{of_turnstile}");
    for guard in &machines {
        assert_eq!(visit(&emulator, guard).await, ("hcaptcha".to_owned(), true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_reads_the_calls_of_all_machines_and_adds_none() {
    let emulator = Emulator::start().await.unwrap();
    let server = Server::start();
    let guard = configured(&emulator, &server, "monthly_quota = 10").unwrap();
    // Another machine, which makes no call of its own.
    let other = deployment(&emulator, &server, "monthly_quota = 10").unwrap();
    let mut visits = 0;
    for (calls, level) in [(7, Level::Fine), (8, Level::Warning), (10, Level::Wrong)] {
        loop {
            let diagnosis = other.diagnose().await;
            let [used] = &diagnosis.quotas[..] else {
                panic!("{diagnosis:#?}");
            };
            assert_eq!((used.account.as_str(), used.quota), ("turnstile", 10));
            assert!(used.is_shared && used.calls <= calls, "{used:?}");
            // A call counts a moment after it.
            if used.calls == calls {
                let of_quota = |finding: &&Finding| finding.check == "quota";
                let finding = diagnosis.findings.iter().find(of_quota).unwrap();
                // Early in a month seven calls may lead beyond ten.
                let is_early = used.forecast.is_some_and(|forecast| forecast > 10);
                let expected = match level {
                    Level::Fine if is_early => Level::Warning,
                    level => level,
                };
                assert_eq!(finding.level, expected, "{finding}");
                let words = format!("{calls} of 10 calls of this month are used");
                assert!(finding.text.contains(&words), "{finding}");
                break;
            }
            if visits < calls {
                visit(&emulator, &guard).await;
                visits += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_stop_without_a_quota_and_a_quota_of_nothing_are_told_by_their_keys() {
    let emulator = Emulator::start().await.unwrap();
    let server = Server::start();
    for (keys, words) in [
        ("quota_stop_at = 0.5", "providers.turnstile.quota_stop_at"),
        ("monthly_quota = 0", "providers.turnstile.monthly_quota"),
        (
            "monthly_quota = 5\nquota_stop_at = 1.5",
            "providers.turnstile.quota_stop_at",
        ),
    ] {
        let error = configured(&emulator, &server, keys).unwrap_err();
        assert!(error.contains(words), "{keys}: {error}");
        assert!(error.contains("; "), "names a remedy: {error}");
    }
}
