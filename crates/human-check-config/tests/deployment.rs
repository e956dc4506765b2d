//! Configuration files as operators write and correct them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

use std::time::Duration;

use human_check_config::Deployment;
use human_check_core::{HumanCheck, MAX_TOKEN_BYTES, Submission};
use human_check_emulator::{Emulator, Fault, Mint};

const FILE: &str = r#"
[providers.old]
kind = "hcaptcha"
site_key = "10000000-aaaa-bbbb-cccc-000000000001"
secret = { env = "OLD_SECRET" }

[providers.new]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"

[check]
use = "old"

[replay_store]
kind = "memory"

[routes.signup]
on_outage = "fail-closed"
"#;

fn variable(name: &str) -> Option<String> {
    match name {
        "OLD_SECRET" => Some("0xOLDCANARY000000000000000000000000000000".into()),
        "HUMAN_CHECK_SECRET_NEW" => Some("0x4NEWCANARY".into()),
        "EMPTY" => Some(" ".into()),
        _ => None,
    }
}

fn error_of(text: &str) -> String {
    let error = match Deployment::builder().from_text(text, variable) {
        Ok(_) => panic!("it was accepted:\n{text}"),
        Err(error) => error.to_string(),
    };
    assert!(!error.contains("CANARY"), "{error}");
    let remedies = error.matches("; write").count() + error.matches("; correct").count();
    assert!(remedies <= 1, "one remedy is enough: {error}");
    error
}

#[test]
fn a_file_becomes_guards_with_the_widgets_of_its_providers() {
    let deployment = Deployment::builder().from_text(FILE, variable).unwrap();
    let guard = deployment.guard("signup").unwrap();
    assert_eq!(guard.widgets().len(), 1);
    let both = FILE.replace("use = \"old\"", "use = \"old\"\nfailover = \"new\"");
    let deployment = Deployment::builder().from_text(&both, variable).unwrap();
    let guard = deployment.guard("signup").unwrap();
    let providers: Vec<_> = guard
        .widgets()
        .iter()
        .map(|w| w.provider().name())
        .collect();
    assert_eq!(providers, ["hcaptcha", "turnstile"]);
    assert!(!format!("{deployment:?}").contains("CANARY"));
}

/// What to change in the file, and the line and words that its error must show.
#[test]
fn what_is_wrong_is_told_with_file_line_key_and_remedy() {
    for (from, to, line, words) in [
        (
            "use = \"old\"",
            "use = \"odl\"",
            12,
            &["check.use", "\"odl\"", "old"][..],
        ),
        (
            "use = \"old\"",
            "use = \"old\"\nfailover = \"old\"",
            13,
            &["check.failover", "check.use already"],
        ),
        (
            "use = \"old\"",
            "use = \"old\"\nfailovr = \"new\"",
            13,
            &["check.failovr", "not a key", "write failover"],
        ),
        (
            "use = \"old\"",
            "use = \"old\"\nfailover_when_declined = true",
            13,
            &["failover"],
        ),
        (
            "use = \"old\"",
            "use = \"old\"\ntimeout = \"0ms\"",
            13,
            &["check.timeout", "\"100ms\" or more"],
        ),
        ("use = \"old\"", "", 11, &["check", "use"]),
        (
            "OLD_SECRET",
            "NO_SUCH",
            5,
            &["providers.old.secret", "NO_SUCH", "not set"],
        ),
        (
            "OLD_SECRET",
            "ES_CANARY0000000000000000000000000001",
            5,
            &["providers.old.secret", "not set"],
        ),
        ("OLD_SECRET", "EMPTY", 5, &["providers.old.secret", "empty"]),
        (
            "{ env = \"OLD_SECRET\" }",
            "\"0xCANARY\"",
            5,
            &["providers.old.secret", "holds the secret itself"],
        ),
        (
            "{ env = \"OLD_SECRET\" }",
            "{ file = \"/no/such\" }",
            5,
            &["providers.old.secret", "`file` names", "cannot be read"],
        ),
        (
            "{ env = \"OLD_SECRET\" }",
            "{ env = \"A\", file = \"B\" }",
            5,
            &["providers.old.secret", "exactly one"],
        ),
        (
            "\"hcaptcha\"",
            "\"hkaptcha\"",
            3,
            &[
                "providers.old.kind",
                "not a kind of provider",
                "write hcaptcha",
            ],
        ),
        (
            "\"hcaptcha\"\nsite_key = \"10000000-aaaa-bbbb-cccc-000000000001\"",
            "\"recaptcha-v3\"\nsite_key = \"6LdemoKey\"",
            2,
            &["providers.old.min_score", "missing"],
        ),
        (
            "\"10000000-aaaa-bbbb-cccc-000000000001\"",
            "\"\"",
            4,
            &["providers.old.site_key"],
        ),
        (
            "kind = \"memory\"",
            "kind = \"memory\"\nprefix = \"x\"",
            16,
            &["replay_store.prefix", "memory"],
        ),
        (
            "kind = \"memory\"",
            "kind = \"memory\"\ncapacity = 0",
            16,
            &["replay_store.capacity"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"open\"",
            18,
            &["routes.signup.on_outage", "fail-open"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "max_age = 120",
            18,
            &["routes.signup.max_age", "no unit", "\"3s\""],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outrage = \"fail-closed\"",
            18,
            &[
                "routes.signup.on_outrage",
                "is not a key of this table",
                "write on_outage",
            ],
        ),
        (
            "[providers.new]",
            "project = \"x\"\n[providers.new]",
            7,
            &["providers.old.project", "means nothing for hcaptcha"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\nmin_score = 5",
            19,
            &["routes.signup.min_score"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\naction = \"signup\"",
            19,
            &["routes.signup.action"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\nhostnames = []",
            19,
            &["routes.signup.hostnames"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\non_misconfigured = \"fail-open\"",
            19,
            &["on_misconfigured", "cannot be set"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\non_protocol = \"fail-open\"",
            19,
            &["on_protocol", "cannot be set"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\nchallenge = {}",
            19,
            &["challenge", "no rule"],
        ),
        (
            "on_outage = \"fail-closed\"",
            "on_outage = \"fail-closed\"\nchallenge = { country_in = [\"XX\"] }",
            19,
            &["country_in", "country_header"],
        ),
        (
            "[routes.signup]\non_outage = \"fail-closed\"",
            "[routes]",
            17,
            &["routes", "no route"],
        ),
        (
            "[replay_store]",
            "[site]\ntrusted_proxies = [\"10.0.0.0/8\"]\n[replay_store]",
            15,
            &["site.trusted_proxies"],
        ),
        (
            "[replay_store]",
            "[check.dual_accept]\nuse = \"new\"\nsunset = 2020-01-01\n[replay_store]",
            16,
            &["check.dual_accept.sunset", "is over", "remove"],
        ),
        (
            "[replay_store]",
            "[check.dual_accept]\nuse = \"new\"\nsunset = 12:00:00\n[replay_store]",
            16,
            &["check.dual_accept.sunset", "neither a date"],
        ),
        (
            "[replay_store]",
            "[check.dual_accept]\nuse = \"nwe\"\n[replay_store]",
            15,
            &["check.dual_accept.use", "nwe"],
        ),
        (
            "[replay_store]",
            "[check.shadow]\nuse = \"new\"\nfile = \"c.jsonl\"\nsample = 2\n[replay_store]",
            17,
            &["check.shadow.sample"],
        ),
        ("use = \"old\"", "use = old", 12, &["not valid TOML"]),
    ] {
        assert!(FILE.contains(from), "{from}");
        let error = error_of(&FILE.replace(from, to));
        assert!(
            error.contains(&format!("human-check.toml:{line}")),
            "line {line}: {error}"
        );
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }
}

/// The head of a request with one header.
struct Head(&'static str, &'static str);

impl human_check_guard::RequestHead for Head {
    fn method(&self) -> &'static str {
        "POST"
    }

    fn peer(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        line(self.0, self.1.as_bytes());
    }
}

#[test]
fn texts_are_replaced_by_language_and_name() {
    let texts = "[site.texts.nl]\n\"challenge.detail\" = \"Nog één stap.\"\n\
                 [site.texts.en]\n\"challenge.detail\" = \"One \\\"more\\\" step.\"\n";
    let deployment = Deployment::builder()
        .from_text(&format!("{FILE}{texts}"), variable)
        .unwrap();
    let guard = deployment.guard("signup").unwrap();
    for (language, detail) in [
        ("nl-BE, en;q=0.5", "Nog één stap."),
        (
            "de",
            "Bitte schließen Sie die Überprüfung ab und versuchen Sie es erneut.",
        ),
        ("xx", "One \"more\" step."),
    ] {
        let refused = guard.require_challenge(&Head("Accept-Language", language));
        let problem: serde_json::Value = serde_json::from_str(&refused.response().body).unwrap();
        assert_eq!(problem["detail"], detail, "{language}");
    }
    for (wrong, message) in [
        (
            "[site.texts.nl]\n\"challenge.detial\" = \"x\"",
            "site.texts.nl.\"challenge.detial\"` is not the name of a text; write challenge.detail",
        ),
        (
            "[site.texts.nl]\n\"challenge.detail\" = \" \"",
            "site.texts.nl.\"challenge.detail\"` is blank",
        ),
        (
            "[site]\nlanguages = [\"nl\"]",
            "site.languages` names \"nl\"",
        ),
    ] {
        let error = error_of(&format!("{FILE}{wrong}"));
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_store_on_a_server_needs_its_url_and_the_secret_of_its_digests() {
    let redis = FILE.replace("kind = \"memory\"", "kind = \"redis\"");
    let error = error_of(&redis);
    assert!(
        error.contains("human-check.toml:14: replay_store.url"),
        "{error}"
    );
    assert!(error.contains("HUMAN_CHECK_REDIS_URL"), "{error}");
    let with = |url: &'static str| {
        move |name: &str| match name {
            "HUMAN_CHECK_REDIS_URL" => Some(url.to_owned()),
            other => variable(other),
        }
    };
    let url = "redis://:CANARY@127.0.0.1:1";
    let error = Deployment::builder()
        .from_text(&redis, with(url))
        .unwrap_err()
        .to_string();
    assert!(error.contains("replay_store.digest_secret"), "{error}");
    let secret = format!(
        "{redis}\n[attempt_store]\nkind = \"redis\"\ndigest_secret = {{ env = \"OLD_SECRET\" }}\n"
    );
    let secret = secret.replace(
        "kind = \"redis\"\n\n",
        "kind = \"redis\"\ndigest_secret = { env = \"OLD_SECRET\" }\n\n",
    );
    let deployment = Deployment::builder().from_text(&secret, with(url)).unwrap();
    assert!(!format!("{deployment:?}").contains("CANARY"));
    let error = Deployment::builder()
        .from_text(&secret, with("http://CANARY"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("redis://") && !error.contains("CANARY"),
        "{error}"
    );
}

#[test]
fn a_key_of_another_kind_of_store_is_an_error() {
    const SECRETS: &str = "url = { env = \"URL\" }\ndigest_secret = { env = \"OLD_SECRET\" }\n";
    let replay = |kind: &str, key: &str| {
        let table = format!("kind = \"{kind}\"\n{SECRETS}{key}\n");
        FILE.replace("kind = \"memory\"\n", &table)
    };
    let attempts = |kind: &str, key: &str| {
        format!("{FILE}[attempt_store]\nkind = \"{kind}\"\n{SECRETS}{key}\n")
    };
    let urls = |text: &str| {
        let url = match text.contains("postgres") {
            true => "postgres://a:CANARY@127.0.0.1:1/db",
            false => "redis-cluster://:CANARY@127.0.0.1:1,127.0.0.1:2",
        };
        move |name: &str| match name {
            "URL" => Some(url.to_owned()),
            other => variable(other),
        }
    };
    for (text, message) in [
        (
            replay("redis", "table = \"claims\""),
            "replay_store.table` means nothing for a store on Redis",
        ),
        (
            replay("redis", "capacity = 5"),
            "replay_store.capacity` means nothing",
        ),
        (
            replay("postgres", "prefix = \"p:\""),
            "replay_store.prefix` means nothing for a store on PostgreSQL",
        ),
        (
            replay("postgres", "replicas = 1"),
            "replay_store.replicas` means nothing for a store on PostgreSQL",
        ),
        (
            replay("postgres", "capacity = 5"),
            "replay_store.capacity` means nothing for a store on PostgreSQL",
        ),
        (
            replay("postgres", "table = \"Claims\""),
            "replay_store.table` is not a plain name",
        ),
        (
            attempts("redis", "replicas = 1"),
            "attempt_store.replicas` means nothing for a store of attempts",
        ),
        (
            attempts("postgres", ""),
            "attempt_store.kind` is postgres, and PostgreSQL stores claims only",
        ),
    ] {
        let with = urls(&text);
        let error = Deployment::builder()
            .from_text(&text, with)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(message) && !error.contains("CANARY"),
            "{message}: {error}"
        );
    }
    for good in [
        replay("redis", "replicas = 1"),
        replay("postgres", "table = \"app.claims\""),
    ] {
        let with = urls(&good);
        let deployment = Deployment::builder().from_text(&good, with).unwrap();
        assert!(!format!("{deployment:?}").contains("CANARY"));
    }
}

#[test]
fn a_rule_that_the_provider_in_use_can_never_meet_is_an_error() {
    let text = FILE.replace("use = \"old\"", "use = \"new\"");
    let error = error_of(&(text + "min_score = 0.5\n"));
    assert!(error.contains("routes.signup.min_score"), "{error}");
}

#[test]
fn published_testing_keys_are_an_error_unless_allowed_by_name() {
    let testing = |name: &str| match name {
        "OLD_SECRET" => Some("0x0000000000000000000000000000000000000000".to_owned()),
        other => variable(other),
    };
    let error = Deployment::builder()
        .from_text(FILE, testing)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("human-check.toml:5: providers.old.secret"),
        "{error}"
    );
    let allowed = FILE.replace("[providers.new]", "allow_test_keys = true\n[providers.new]");
    Deployment::builder().from_text(&allowed, testing).unwrap();
}

/// A file that names an emulator, and that a test rewrites as an operator would during a migration.
struct Site {
    emulator: Emulator,
    file: tempfile::NamedTempFile,
}

impl Site {
    async fn new() -> (Self, Deployment) {
        let site = Self {
            emulator: Emulator::start().await.unwrap(),
            file: tempfile::NamedTempFile::new().unwrap(),
        };
        site.write("use = \"old\"");
        // Variables of this process would be shared by all tests, so the secrets are in files.
        let deployment = Deployment::load(site.file.path()).unwrap();
        (site, deployment)
    }

    fn write(&self, check: &str) {
        let directory = self.file.path().parent().unwrap();
        let base = self.emulator.base_url();
        let mut text = String::new();
        for provider in ["hcaptcha", "turnstile"] {
            let own = human_check_emulator::EmulatedAccount::for_provider(provider);
            let name = if provider == "hcaptcha" { "old" } else { "new" };
            let secret = directory.join(format!("{name}-{}", self.emulator.address().port()));
            std::fs::write(&secret, &own.secret).unwrap();
            text += &format!(
                "[providers.{name}]\nkind = \"{provider}\"\nsite_key = \"{}\"\nbase_url = \"{base}\"\nsecret = {{ file = {:?} }}\n",
                own.site_key,
                secret.display().to_string(),
            );
        }
        text += &format!(
            "[check]\n{check}\n[replay_store]\nkind = \"memory\"\n[routes.signup]\non_outage = \"fail-closed\"\n"
        );
        std::fs::write(self.file.path(), text).unwrap();
    }

    fn token(&self, provider: &str) -> String {
        self.emulator.mint(&Mint::for_provider(provider)).unwrap()
    }

    async fn passes(&self, deployment: &Deployment, providers: &[&str]) -> bool {
        let check = deployment.check();
        let mut submission = Submission::new();
        for provider in providers {
            let known = check.providers().iter().find(|p| p.name() == *provider);
            let fallback = human_check_core::Provider::named((*provider).to_owned());
            let token = self.token(provider);
            submission = submission.with_token(known.unwrap_or(&fallback), token);
        }
        let first = check.providers()[0].clone();
        assert!(
            submission.token_for(&first, MAX_TOKEN_BYTES).is_ok()
                || !providers.contains(&first.name())
        );
        check
            .check(&submission)
            .await
            .is_ok_and(|verdict| verdict.is_human())
    }
}

#[tokio::test]
async fn the_days_of_a_migration_are_edits_of_the_file_and_refuse_no_honest_visitor() {
    let (site, deployment) = Site::new().await;
    let guard = deployment.guard("signup").unwrap();
    let widgets = |guard: &human_check_guard::Guard| guard.snapshot().widgets().len();
    assert!(site.passes(&deployment, &["hcaptcha"]).await);

    site.write("use = \"old\"\nfailover = \"new\"");
    assert!(deployment.reload().unwrap());
    assert!(!deployment.reload().unwrap(), "nothing new");
    assert_eq!(widgets(&guard), 2, "the guard given out before follows");
    assert!(site.passes(&deployment, &["hcaptcha"]).await, "an old page");
    assert!(site.passes(&deployment, &["hcaptcha", "turnstile"]).await);
    site.emulator.fail(Fault::status(503), Some(1));
    assert!(
        site.passes(&deployment, &["hcaptcha", "turnstile"]).await,
        "failed over"
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    let shadow = format!("\n[check.shadow]\nuse = \"new\"\nfile = {:?}", file.path());
    site.write(&format!("use = \"old\"{shadow}"));
    assert!(deployment.reload().unwrap());
    assert!(site.passes(&deployment, &["hcaptcha"]).await, "an old page");
    assert!(site.passes(&deployment, &["hcaptcha", "turnstile"]).await);
    let compared = || {
        std::fs::read_to_string(file.path())
            .unwrap()
            .matches("human")
            .count()
    };
    let start = std::time::Instant::now();
    while compared() < 3 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is compared"
        );
        tokio::task::yield_now().await;
    }

    site.write("use = \"new\"\n[check.dual_accept]\nuse = \"old\"\nsunset = 2999-01-01");
    assert!(deployment.reload().unwrap());
    assert!(
        site.passes(&deployment, &["hcaptcha"]).await,
        "a page from before"
    );
    assert!(site.passes(&deployment, &["turnstile"]).await, "a new page");
    assert!(site.passes(&deployment, &["hcaptcha", "turnstile"]).await);

    site.write("use = \"new\"");
    assert!(deployment.reload().unwrap());
    assert!(site.passes(&deployment, &["turnstile"]).await);
    assert!(
        !site.passes(&deployment, &["hcaptcha"]).await,
        "no account accepts it any more"
    );
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_used_tokens_stay_used_over_a_reload() {
    let (site, deployment) = Site::new().await;
    let check = deployment.check();
    let used = Submission::new().with_token(&check.providers()[0], site.token("hcaptcha"));
    assert!(check.check(&used).await.unwrap().is_human());

    site.write("use = \"unknown\"");
    let error = deployment.reload().unwrap_err().to_string();
    assert!(error.contains("check.use"), "{error}");
    assert!(site.passes(&deployment, &["hcaptcha"]).await);

    let text = std::fs::read_to_string(site.file.path()).unwrap();
    let text = text.replace("use = \"unknown\"", "use = \"old\"");
    for (from, to) in [
        ("kind = \"memory\"", "kind = \"memory\"\ncapacity = 5"),
        ("[routes.signup]", "[routes.other]"),
    ] {
        std::fs::write(site.file.path(), text.replace(from, to)).unwrap();
        let error = deployment.reload().unwrap_err().to_string();
        assert!(error.contains("restart"), "{error}");
    }
    site.write("use = \"old\"\nfailover = \"new\"");
    assert!(deployment.reload().unwrap());
    // The emulator refuses a used token, too; the replay store must not depend on that.
    let verdict = deployment.check().check(&used).await.unwrap();
    assert!(!verdict.is_human());
}

#[tokio::test]
async fn a_secret_that_was_rotated_in_its_file_is_noticed() {
    let (site, deployment) = Site::new().await;
    assert!(!deployment.reload().unwrap());
    let directory = site.file.path().parent().unwrap();
    let secret = directory.join(format!("old-{}", site.emulator.address().port()));
    let right = std::fs::read_to_string(&secret).unwrap();
    std::fs::write(&secret, "0xROTATED").unwrap();
    assert!(deployment.reload().unwrap());
    assert!(
        !site.passes(&deployment, &["hcaptcha"]).await,
        "the emulator knows another"
    );
    std::fs::write(&secret, right).unwrap();
    assert!(deployment.reload().unwrap());
    assert!(site.passes(&deployment, &["hcaptcha"]).await);
}

#[test]
fn looking_at_a_file_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("human-check.toml");
    let shadow = "[check.shadow]\nuse = \"new\"\nfile = \"c.jsonl\"\n[replay_store]";
    let secret = "secret = { file = \"s\" }";
    let text = FILE
        .replace("[replay_store]", shadow)
        .replace("secret = { env = \"OLD_SECRET\" }", secret);
    let text = text.replace("[check]", &format!("{secret}\n[check]"));
    std::fs::write(directory.path().join("s"), "0xabc").unwrap();
    std::fs::write(&file, &text).unwrap();
    Deployment::builder().with_dry_run().load(&file).unwrap();
    assert!(!directory.path().join("c.jsonl").exists());
    std::fs::write(&file, text.replace("c.jsonl", "no/such/folder/c.jsonl")).unwrap();
    let error = Deployment::builder()
        .with_dry_run()
        .load(&file)
        .unwrap_err()
        .to_string();
    assert!(error.contains("check.shadow.file"), "{error}");
}

#[test]
fn a_watched_file_is_reloaded_by_itself() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (site, deployment) = runtime.block_on(Site::new());
    let guard = deployment.guard("signup").unwrap();
    let _watch = deployment.watch_every(Duration::from_millis(5));
    site.write("use = \"new\"");
    let patience = std::time::Instant::now();
    while guard.snapshot().widgets()[0].provider().name() != "turnstile" {
        assert!(
            patience.elapsed() < Duration::from_secs(30),
            "it was never reloaded"
        );
        std::thread::yield_now();
    }
}

/// A reload may hang: on a file of a network share, on a slow secret, or in the application's guard
/// setup. Requests, which read the configuration in force, must not wait for it.
#[test]
fn what_is_in_force_can_be_read_while_a_reload_hangs() {
    use std::sync::mpsc;

    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0x4AAAAAAADemoSecret").unwrap();
    let text = FILE.replace("use = \"old\"", "use = \"new\"").replace(
        "site_key = \"0x4AAAAAAADemoSiteKey\"",
        "site_key = \"0x4AAAAAAADemoSiteKey\"\nsecret = { file = \"secret\" }",
    );
    let file = folder.path().join("human-check.toml");
    std::fs::write(&file, &text).unwrap();
    let (hangs, hung) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let first = std::sync::atomic::AtomicBool::new(true);
    let deployment = Deployment::builder()
        .with_guard_setup(move |_, builder| {
            if !first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                hangs.send(()).unwrap();
                wait.lock().unwrap().recv().unwrap();
            }
            builder
        })
        .load(&file)
        .unwrap();
    std::fs::write(&file, text + "action = \"signup\"\n").unwrap();
    let reload = std::thread::spawn({
        let deployment = deployment.clone();
        move || deployment.reload().unwrap()
    });
    hung.recv().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send((deployment.summary(), deployment.check().providers().len()));
    });
    let (_, providers) = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(providers, 1);
    go.send(()).unwrap();
    assert!(reload.join().unwrap(), "and it goes on");
}

#[test]
fn a_wrong_key_of_the_site_or_of_a_challenge_is_named_where_it_belongs() {
    let site = |keys: &str| format!("{FILE}\n[site]\n{keys}\n");
    for (text, place) in [
        (site("country_header = \"a b\""), "site.country_header"),
        (site("header = \"a b\""), "site.header"),
        (
            site("client_address = \"forwarded\""),
            "site.trusted_proxies",
        ),
        (
            site("country_header = \"CF-IPCountry\"")
                + "[routes.signup.challenge]\ncountry_in = [\"Switzerland\"]\n",
            "routes.signup.challenge",
        ),
    ] {
        let error = error_of(&text);
        assert!(error.contains(place), "{place}: {error}");
    }
}
