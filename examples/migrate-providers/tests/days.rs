//! A whole migration, day by day: the test edits the file while visitors sign up without a pause.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use human_check::config::Deployment;
use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use metrics_exporter_prometheus::PrometheusBuilder;

/// Sends a request and returns the response.
fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn get(address: SocketAddr, path: &str) -> String {
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\r\n"),
    )
}

fn sign_up(address: SocketAddr, tokens: &[(&str, String)]) -> String {
    let mut body = "email=ada%40example.com".to_owned();
    for (field, token) in tokens {
        body += &format!("&{field}={}", token.replace(':', "%3A"));
    }
    let length = body.len();
    send(
        address,
        &format!(
            "POST /signup HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

/// The application, its configuration file, and the emulated providers.
struct Shop {
    emulator: Emulator,
    directory: tempfile::TempDir,
    address: SocketAddr,
    deployment: Deployment,
}

impl Shop {
    fn file(&self) -> PathBuf {
        self.directory.path().join("human-check.toml")
    }

    /// Writes a configuration with this table `[check]`.
    fn write(emulator: &Emulator, directory: &std::path::Path, check: &str) {
        let base = emulator.base_url();
        let mut text = String::new();
        for (name, provider) in [("old", "hcaptcha"), ("new", "turnstile")] {
            let own = EmulatedAccount::for_provider(provider);
            std::fs::write(directory.join(name), own.secret).unwrap();
            text += &format!(
                "[providers.{name}]\nkind = \"{provider}\"\nsite_key = \"{}\"\nbase_url = \"{base}\"\n\
                 secret = {{ file = \"{name}\" }}\n",
                own.site_key
            );
        }
        text += &format!("[check]\n{check}\n[replay_store]\nkind = \"memory\"\n");
        text += "[routes.signup]\non_outage = \"fail-closed\"\nhostnames = [\"www.example.com\"]\n";
        // Editors also write a new file and rename it, so that no reader sees half of it.
        let draft = directory.join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, directory.join("human-check.toml")).unwrap();
    }

    /// Opens the page, and returns the providers whose widgets it shows.
    fn page(&self) -> Vec<&'static str> {
        let page = get(self.address, "/");
        let shown = [("cf-turnstile", "turnstile"), ("h-captcha", "hcaptcha")];
        let shown = shown.into_iter().filter(|(class, provider)| {
            // The page script shows the option, and another widget is in the page itself.
            page.contains(&format!("&quot;provider&quot;:&quot;{provider}&quot;"))
                || page.contains(&format!("class=\"{class}\""))
        });
        shown.map(|(_, provider)| provider).collect()
    }

    /// Solves the challenges of an open page, and signs up.
    fn visit(&self, page: &[&'static str]) -> String {
        let solved = page.iter().map(|provider| {
            let mint = Mint::for_provider(provider).with_hostname("www.example.com");
            let field = match *provider {
                "turnstile" => "cf-turnstile-response",
                _ => "h-captcha-response",
            };
            (field, self.emulator.mint(&mint).unwrap())
        });
        sign_up(self.address, &solved.collect::<Vec<_>>())
    }

    /// Edits the file, and waits until the new configuration is in use.
    fn edit(&self, check: &str, shows: &[&str]) {
        let before = self.deployment.summary();
        Self::write(&self.emulator, self.directory.path(), check);
        let start = Instant::now();
        // The widgets alone do not show this, because two configurations may have the same widgets.
        while self.deployment.summary() == before {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{check} is not in use"
            );
            std::thread::yield_now();
        }
        assert_eq!(self.page(), shows);
    }

    /// Returns the value of a metric, or 0 when it does not exist yet.
    fn metric(&self, name: &str) -> u64 {
        let metrics = get(self.address, "/metrics");
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

#[test]
fn one_provider_becomes_the_other_without_a_refused_visitor() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let emulator = runtime.block_on(Emulator::start()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    Shop::write(&emulator, directory.path(), "use = \"old\"");
    let file = directory.path().join("human-check.toml");
    let deployment = example_migrate_providers::load(file.to_str().unwrap()).unwrap();
    let _watch = deployment.watch_every(Duration::from_millis(20));
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let app = example_migrate_providers::app(&deployment, metrics).unwrap();
    runtime.spawn(example_migrate_providers::serve(app, listener));
    let shop = Arc::new(Shop {
        emulator,
        directory,
        address,
        deployment,
    });

    // Three visitors open a page, wait, and sign up, until the end of the test.
    let (over, signed_up) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new([const { AtomicUsize::new(0) }; 3]),
    );
    let crowd: Vec<_> = (0..3)
        .map(|visitor: usize| {
            let (shop, over, signed_up) =
                (Arc::clone(&shop), Arc::clone(&over), Arc::clone(&signed_up));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let page = shop.page();
                    std::thread::yield_now();
                    let response = shop.visit(&page);
                    assert!(response.starts_with("HTTP/1.1 200"), "{page:?}: {response}");
                    signed_up[visitor].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // A day ends when every visitor has signed up seven times more. Then no page of the day before
    // is open any more.
    let let_a_day_pass = || {
        let counts = || signed_up.each_ref().map(|n| n.load(Ordering::Relaxed));
        let before = counts();
        let start = Instant::now();
        while counts()
            .iter()
            .zip(before)
            .any(|(now, then)| *now < then + 7)
        {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the visitors have stopped signing up"
            );
            assert!(
                crowd.iter().all(|visitor| !visitor.is_finished()),
                "a visitor was refused"
            );
            std::thread::yield_now();
        }
    };
    let_a_day_pass();
    let old_page = shop.page();
    assert_eq!(old_page, ["hcaptcha"]);

    shop.edit(
        "use = \"old\"\nfailover = \"new\"",
        &["turnstile", "hcaptcha"],
    );
    let_a_day_pass();
    // A mistake in the file: the old configuration stays in use.
    let text = std::fs::read_to_string(shop.file()).unwrap();
    std::fs::write(shop.file(), text.replace("use = \"old\"", "use = \"odl\"")).unwrap();
    let_a_day_pass();
    std::fs::write(shop.file(), text).unwrap();
    assert_eq!(shop.metric("human_check_failovers_total"), 0);
    shop.emulator.fail(Fault::status(503), Some(1));
    let_a_day_pass();
    assert_eq!(shop.metric("human_check_failovers_total"), 1);

    let shadow = "[check.shadow]\nuse = \"new\"\nfile = \"comparisons.jsonl\"";
    shop.edit(
        &format!("use = \"old\"\n{shadow}"),
        &["turnstile", "hcaptcha"],
    );
    let_a_day_pass();
    let start = Instant::now();
    while shop.metric("human_check_comparisons_total") == 0 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is compared"
        );
        let_a_day_pass();
    }

    let accept = "[check.dual_accept]\nuse = \"old\"\nsunset = 2999-01-01";
    shop.edit(&format!("use = \"new\"\n{accept}"), &["turnstile"]);
    let response = shop.visit(&old_page);
    assert!(
        response.starts_with("HTTP/1.1 200"),
        "a page from the first day: {response}"
    );
    let_a_day_pass();
    let old = "human_check_dual_accept_total{judge=\"old\"}";
    let new = "human_check_dual_accept_total{judge=\"new\"}";
    assert!(shop.metric(old) >= 1 && shop.metric(new) >= 10);
    let fallen = shop.metric(old);
    let_a_day_pass();
    assert_eq!(
        shop.metric(old),
        fallen,
        "the old share has fallen to nothing"
    );

    shop.edit("use = \"new\"", &["turnstile"]);
    let_a_day_pass();
    over.store(true, Ordering::Relaxed);
    for visitor in crowd {
        visitor.join().unwrap();
    }
    assert!(
        shop.visit(&old_page).starts_with("HTTP/1.1 403"),
        "the old provider is gone"
    );
    let compared =
        std::fs::read_to_string(shop.directory.path().join("comparisons.jsonl")).unwrap();
    assert!(compared.lines().count() > 0 && !compared.contains("www.example.com"));
}
