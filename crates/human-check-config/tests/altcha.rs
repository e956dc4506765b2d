//! A proof of work by configuration: which settings are errors, and where tokens are claimed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use human_check_config::Deployment;
use human_check_core::{HumanCheck, Provider, Submission};
use human_check_emulator::{EmulatedAccount as Keys, Emulator, Mint};
use human_check_guard::{ChallengeEndpoint, RequestHead};
use human_check_testkit::solve;

static ALTCHA: Provider = Provider::new("altcha", &["altcha"]);

const FILE: &str = r#"
[providers.pow]
kind = "altcha"
site = "www.example.com"
difficulty = "sha"
previous_secret = { env = "BEFORE" }

[providers.old]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"

[check]
use = "pow"

[replay_store]
kind = "memory"

[routes.signup]
on_outage = "fail-closed"
action = "signup"
"#;

const SECRET: &str = "p7Qx2mZ4vR8tK1nWCANARY9sF5gJ0cLa";
const BEFORE: &str = "CANARYhD9sF5gJ0cLap7Qx2mZ4vR8tK1";

fn variable(name: &str) -> Option<String> {
    match name {
        "HUMAN_CHECK_SECRET_POW" => Some(SECRET.into()),
        "BEFORE" => Some(BEFORE.into()),
        "HUMAN_CHECK_SECRET_OLD" => Some("0x4OLDCANARY".into()),
        "WEAK" => Some("CANARY".into()),
        _ => None,
    }
}

fn error_of(text: &str) -> String {
    let error = match Deployment::builder().from_text(text, variable) {
        Ok(_) => panic!("it was accepted:\n{text}"),
        Err(error) => error.to_string(),
    };
    assert!(!error.contains("CANARY"), "{error}");
    error
}

/// What to change in the file, and the line and words that its error must show.
#[test]
fn what_is_wrong_is_told_with_file_line_key_and_remedy() {
    let own = "difficulty = \"sha\"";
    for (from, to, line, words) in [
        (
            "[replay_store]\nkind = \"memory\"\n",
            "",
            3,
            &["providers.pow.kind", "[replay_store]"][..],
        ),
        (
            "site = \"www.example.com\"\n",
            "",
            2,
            &["providers.pow.site", "missing"],
        ),
        (
            "\"www.example.com\"",
            "\"my site\"",
            4,
            &["providers.pow.site"],
        ),
        (
            own,
            "difficulty = \"hard\"",
            5,
            &["providers.pow.difficulty", "light", "standard", "sha"],
        ),
        (
            own,
            "challenge_ttl = \"481s\"",
            5,
            &["providers.pow.challenge_ttl", "10s to 480s"],
        ),
        (
            own,
            "challenge_ttl = \"9s\"",
            5,
            &["providers.pow.challenge_ttl", "10s to 480s"],
        ),
        (
            own,
            "site_key = \"challenge\"",
            5,
            &["providers.pow.site_key", "/human-check-altcha/challenge"],
        ),
        (
            "env = \"BEFORE\"",
            "env = \"WEAK\"",
            6,
            &["providers.pow.previous_secret", "openssl"],
        ),
        (
            "env = \"BEFORE\"",
            "env = \"NONE\"",
            6,
            &["providers.pow.previous_secret", "not set"],
        ),
        (
            "previous_secret =",
            "secret = { env = \"WEAK\" }\nprevious_secret =",
            6,
            &["providers.pow.secret", "openssl"],
        ),
        (
            own,
            "hostnames = [\"a.example\"]",
            5,
            &["providers.pow.hostnames", "do not say where"],
        ),
        (
            own,
            "circuit_breaker = {}",
            5,
            &["providers.pow.circuit_breaker", "no network"],
        ),
        (
            own,
            "max_in_flight = 1",
            5,
            &["providers.pow.max_in_flight", "no network"],
        ),
        (
            own,
            "base_url = \"http://127.0.0.1:1\"",
            5,
            &["providers.pow.base_url", "no network"],
        ),
        (
            own,
            "project = \"x\"",
            5,
            &["providers.pow.project", "nothing for altcha"],
        ),
        (
            own,
            "min_score = 0.5",
            5,
            &["providers.pow.min_score", "nothing for altcha"],
        ),
        (
            own,
            "max_risk = 0.5",
            5,
            &["providers.pow.max_risk", "nothing for altcha"],
        ),
        (
            own,
            "enterprise_key = \"score\"",
            5,
            &["providers.pow.enterprise_key", "nothing for altcha"],
        ),
        (
            own,
            "allow_test_keys = false",
            5,
            &["providers.pow.allow_test_keys", "nothing for altcha"],
        ),
        (
            own,
            "accept_offline_tokens = false",
            5,
            &["providers.pow.accept_offline_tokens", "nothing for altcha"],
        ),
        (
            "action = \"signup\"",
            "hostnames = [\"a.example\"]",
            20,
            &["routes.signup.hostnames", "host"],
        ),
        (
            "action = \"signup\"",
            "max_age = \"60s\"",
            20,
            &["routes.signup.max_age", "refuse every visitor"],
        ),
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
    let old = FILE.replace("use = \"pow\"", "use = \"old\"");
    let site_key = "site_key = \"0x4AAAAAAADemoSiteKey\"";
    for (own, words) in [
        (
            "site = \"x\"",
            ["providers.old.site", "nothing for turnstile"],
        ),
        (
            "difficulty = \"sha\"",
            ["providers.old.difficulty", "nothing for turnstile"],
        ),
        (
            "challenge_ttl = \"60s\"",
            ["providers.old.challenge_ttl", "nothing for turnstile"],
        ),
        (
            "site = \"www.example.com\"",
            ["providers.old.site", "nothing for turnstile"],
        ),
    ] {
        let error = error_of(&old.replace(site_key, &format!("{site_key}\n{own}")));
        assert!(
            words.iter().all(|word| error.contains(word)),
            "{words:?}: {error}"
        );
    }
    let error = error_of(&old.replace(site_key, ""));
    assert!(
        error.contains("providers.old.site_key` is missing"),
        "{error}"
    );
}

#[test]
fn a_host_that_no_reply_can_state_is_an_error_in_every_role_that_decides() {
    let hosts = FILE.replace("action = \"signup\"", "hostnames = [\"a.example\"]");
    for check in [
        "use = \"old\"\nfailover = \"pow\"",
        "use = \"pow\"\nfailover = \"old\"",
        "use = \"old\"\n[check.dual_accept]\nuse = \"pow\"",
    ] {
        let error = error_of(&hosts.replace("use = \"pow\"", check));
        assert!(error.contains("routes.signup.hostnames"), "{error}");
    }
    let shadow = "use = \"old\"\n[check.shadow]\nuse = \"pow\"\nfile = \"c.jsonl\"";
    let compared = hosts.replace("use = \"pow\"", shadow);
    Deployment::builder()
        .from_text(&compared, variable)
        .unwrap();
}

#[test]
fn a_summary_says_where_challenges_come_from_and_names_no_secret() {
    let deployment = Deployment::builder().from_text(FILE, variable).unwrap();
    let summary = deployment.summary();
    assert!(summary.contains("pow (altcha)"), "{summary}");
    assert!(
        summary.contains("/human-check-altcha/challenge"),
        "{summary}"
    );
    assert_eq!(deployment.warnings(), [""; 0]);
    assert!(!format!("{deployment:?}").contains("CANARY"));
    let other = format!("{FILE}[routes.login]\non_outage = \"fail-closed\"\naction = \"login\"\n");
    let deployment = Deployment::builder().from_text(&other, variable).unwrap();
    let warnings = deployment.warnings();
    assert!(warnings[0].contains("different actions"), "{warnings:?}");
}

struct Head(&'static str);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn peer(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        line("x-forwarded-for", b"203.0.113.9");
    }
}

async fn taken(challenges: &ChallengeEndpoint) -> Result<String, u16> {
    let response = challenges.prepare(&Head("203.0.113.7")).respond().await;
    match response.status {
        200 => Ok(response.body),
        status => Err(status),
    }
}

async fn solved(challenges: &ChallengeEndpoint) -> String {
    solve(&taken(challenges).await.unwrap()).unwrap()
}

async fn passes(deployment: &Deployment, field: &str, action: &'static str) -> bool {
    let submission = Submission::new()
        .with_token(&ALTCHA, field)
        .with_expected_action(action);
    let verdict = deployment.check().check(&submission).await;
    verdict.unwrap().is_human()
}

#[tokio::test]
async fn a_challenge_of_the_deployment_passes_its_check_once() {
    let deployment = Deployment::builder().from_text(FILE, variable).unwrap();
    assert!(deployment.challenge_endpoint("nowhere").is_err());
    let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
    assert_eq!(challenges.provider(), &ALTCHA);
    let field = solved(&challenges).await;
    assert!(
        !passes(&deployment, &field, "login").await,
        "another action"
    );
    assert!(passes(&deployment, &field, "signup").await);
    assert!(!passes(&deployment, &field, "signup").await);
    let widget = deployment.guard("signup").unwrap().widgets()[0].clone();
    assert_eq!(widget.provider(), &ALTCHA);
    assert!(
        widget
            .attributes()
            .any(|it| it == ("challenge", "/human-check-altcha/challenge"))
    );
}

#[tokio::test]
async fn challenges_are_counted_in_the_deployment_s_store_of_attempts() {
    let full = format!("{FILE}[attempt_store]\nkind = \"memory\"\ncapacity = 1\n");
    let deployment = Deployment::builder().from_text(&full, variable).unwrap();
    let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
    for head in ["203.0.113.7", "203.0.113.7"] {
        assert_eq!(challenges.prepare(&Head(head)).respond().await.status, 200);
    }
    let again = deployment.challenge_endpoint("signup").unwrap().unwrap();
    let other = again.prepare(&Head("203.0.113.8")).respond().await;
    assert_eq!(other.status, 429, "there is room for one address in all");
}

#[test]
fn a_configuration_without_an_issuer_has_no_challenge_endpoint() {
    let text = FILE.replace("use = \"pow\"", "use = \"old\"");
    let waiting = Deployment::builder().from_text(&text, variable).unwrap();
    let challenges = waiting.challenge_endpoint("signup").unwrap();
    assert!(
        challenges.is_some(),
        "it waits in the file, and so does the endpoint"
    );
    let (start, rest) = text.split_once("[providers.pow]").unwrap();
    let (_, rest) = rest.split_once("\n\n").unwrap();
    let without = Deployment::builder()
        .from_text(&format!("{start}{rest}"), variable)
        .unwrap();
    assert!(without.challenge_endpoint("signup").unwrap().is_none());
}

/// A file with a proof of work beside an emulated provider, rewritten as a test goes on.
struct Files {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl Files {
    async fn new(check: &str, route: &str) -> (Self, Deployment) {
        let files = Self {
            emulator: Emulator::start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        let keys = Keys::for_provider("turnstile");
        for (name, secret) in [("pow", SECRET), ("before", BEFORE), ("old", &keys.secret)] {
            std::fs::write(files.path(name), secret).unwrap();
        }
        files.write(check, route);
        let deployment = Deployment::load(files.path("human-check.toml")).unwrap();
        (files, deployment)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, check: &str, route: &str) {
        let mut text = String::new();
        let keys = Keys::for_provider("turnstile");
        let base = self.emulator.base_url();
        write!(
            text,
            "[providers.pow]\nkind = \"altcha\"\nsite = \"www.example.com\"\ndifficulty = \"sha\"\n\
             secret = {{ file = \"pow\" }}\nprevious_secret = {{ file = \"before\" }}\n\
             [providers.old]\nkind = \"turnstile\"\nsite_key = \"{}\"\nbase_url = \"{base}\"\n\
             secret = {{ file = \"old\" }}\n\
             [check]\n{check}\n[replay_store]\nkind = \"memory\"\n\
             [routes.signup]\non_outage = \"fail-closed\"\n{route}\n",
            keys.site_key
        )
        .unwrap();
        std::fs::write(self.path("human-check.toml"), text).unwrap();
    }

    fn turnstile(&self) -> String {
        self.emulator
            .mint(&Mint::for_provider("turnstile"))
            .unwrap()
    }
}

#[tokio::test]
async fn the_endpoint_follows_the_file() {
    let (files, deployment) = Files::new("use = \"old\"", "action = \"signup\"").await;
    let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
    assert_eq!(taken(&challenges).await, Err(503), "not in use yet");
    files.write("use = \"pow\"", "action = \"signup\"");
    assert!(deployment.reload().unwrap());
    let before = solved(&challenges).await;
    files.write("use = \"pow\"", "action = \"register\"");
    assert!(deployment.reload().unwrap());
    let after = solved(&challenges).await;
    assert!(!passes(&deployment, &before, "register").await);
    assert!(passes(&deployment, &after, "register").await);
    files.write("use = \"old\"\n[check.dual_accept]\nuse = \"pow\"", "");
    assert!(deployment.reload().unwrap());
    solved(&challenges).await;
    files.write("use = \"old\"", "");
    assert!(deployment.reload().unwrap());
    assert_eq!(
        taken(&challenges).await,
        Err(503),
        "an old page fetches a challenge of an account without a role"
    );
}

#[tokio::test]
async fn a_secret_is_replaced_without_refusing_a_visitor() {
    let (files, deployment) = Files::new("use = \"pow\"", "action = \"signup\"").await;
    let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
    let old = solved(&challenges).await;
    let new_secret = "N3wqT8mZ4vR1tK1nW6yB3hD9sF5gJ0cL";
    std::fs::write(files.path("before"), SECRET).unwrap();
    std::fs::write(files.path("pow"), new_secret).unwrap();
    assert!(deployment.reload().unwrap(), "both files are watched");
    let new = solved(&challenges).await;
    assert!(passes(&deployment, &old, "signup").await);
    assert!(passes(&deployment, &new, "signup").await);
    let old = solved(&challenges).await;
    std::fs::write(files.path("before"), BEFORE).unwrap();
    assert!(deployment.reload().unwrap(), "the previous one alone, too");
    assert!(passes(&deployment, &old, "signup").await);
    assert!(
        !passes(&deployment, &new, "signup").await,
        "still claimed after a reload"
    );
}

#[tokio::test]
async fn a_proof_of_work_is_a_failover_for_a_provider_that_is_down() {
    let (files, deployment) = Files::new("use = \"old\"\nfailover = \"pow\"", "").await;
    let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
    let down = human_check_emulator::Fault::status(503);
    files.emulator.fail(down, None);
    let check = deployment.check();
    let turnstile = check.providers()[0].clone();
    let field = solved(&challenges).await;
    let submission = Submission::new()
        .with_token(&turnstile, files.turnstile())
        .with_token(&ALTCHA, field);
    assert!(check.check(&submission).await.unwrap().is_human());
    assert!(!check.check(&submission).await.unwrap().is_human(), "once");
}

async fn compared(file: &Path, lines: usize) -> String {
    let start = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        // The first line is a header.
        if text.lines().count() > lines {
            return text;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is compared"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shadow_uses_no_token() {
    let shadow = "use = \"old\"\n[check.shadow]\nuse = \"pow\"\nfile = \"c.jsonl\"";
    let (files, deployment) = Files::new(shadow, "").await;
    let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
    let field = solved(&challenges).await;
    let check = deployment.check();
    let turnstile = check.providers()[0].clone();
    for lines in [1, 2] {
        let submission = Submission::new()
            .with_token(&turnstile, files.turnstile())
            .with_token(&ALTCHA, field.clone());
        assert!(check.check(&submission).await.unwrap().is_human());
        let text = compared(&files.path("c.jsonl"), lines).await;
        let replayed = text.lines().last().unwrap().contains("replayed");
        assert_eq!(replayed, lines == 2, "a replay shows as one: {text}");
    }
    files.write("use = \"pow\"", "");
    assert!(deployment.reload().unwrap());
    let submission = Submission::new().with_token(&ALTCHA, field);
    let decided = deployment.check().check(&submission).await.unwrap();
    assert!(decided.is_human(), "no decision has claimed this token yet");
}

fn site(changes: &[(&str, &str)]) -> Result<Deployment, human_check_core::ConfigError> {
    let mut variables = vec![
        ("PROVIDER", "altcha"),
        ("SITE", "www.example.com"),
        ("SECRET", SECRET),
        ("DIFFICULTY", "sha"),
    ];
    variables.retain(|(name, _)| !changes.iter().any(|(other, _)| other == name));
    variables.extend(changes);
    let named = |(name, value): (&str, &str)| (format!("HUMAN_CHECK_{name}"), value.to_owned());
    Deployment::builder().from_vars(variables.into_iter().map(named))
}

#[tokio::test]
async fn variables_are_enough_for_one_proof_of_work() {
    let behind = [
        ("ACTION", "signup"),
        ("CLIENT_ADDRESS", "x-forwarded-for"),
        ("TRUSTED_PROXIES", "203.0.113.7"),
    ];
    let site = site(&behind).unwrap();
    let challenges = site.challenge_endpoint("signup").unwrap().unwrap();
    let field = solved(&challenges).await;
    for expected in [true, false] {
        let submission = Submission::new()
            .with_token(&ALTCHA, field.clone())
            .with_expected_action("signup");
        let verdict = site.check().check(&submission).await.unwrap();
        assert_eq!(verdict.is_human(), expected);
    }
    let mut last = 0;
    for _ in 0..30 {
        last = challenges
            .prepare(&Head("203.0.113.7"))
            .respond()
            .await
            .status;
    }
    assert_eq!(last, 429);
    let other = challenges.prepare(&Head("203.0.113.9")).respond().await;
    assert_eq!(other.status, 429, "the proxy's visitor is that address");
    assert!(!format!("{site:?}").contains("CANARY"));
}

#[test]
fn a_variable_that_is_missing_or_means_nothing_is_named() {
    for (changes, field) in [
        (&[("SITE", "")][..], "HUMAN_CHECK_SITE"),
        (&[("SITE", "my site")], "HUMAN_CHECK_SITE"),
        (&[("SECRET", "CANARY")], "HUMAN_CHECK_SECRET"),
        (&[("DIFFICULTY", "hard")], "HUMAN_CHECK_DIFFICULTY"),
        (&[("DIFFICULTY", "argon2id")], "HUMAN_CHECK_DIFFICULTY"),
        (&[("SITE_KEY", "challenge")], "HUMAN_CHECK_SITE_KEY"),
        (&[("HOSTNAMES", "a.example")], "HUMAN_CHECK_HOSTNAMES"),
        (
            &[("BASE_URL", "http://127.0.0.1:1")],
            "HUMAN_CHECK_BASE_URL",
        ),
        (&[("MIN_SCORE", "0.5")], "HUMAN_CHECK_MIN_SCORE"),
        (&[("PROJECT", "x")], "HUMAN_CHECK_PROJECT"),
        (&[("TEST_KEYS", "allowed")], "HUMAN_CHECK_TEST_KEYS"),
        (
            &[("PROVIDER", "turnstile"), ("SITE_KEY", "k"), ("SITE", "")],
            "HUMAN_CHECK_DIFFICULTY",
        ),
        (
            &[
                ("PROVIDER", "turnstile"),
                ("SITE_KEY", "k"),
                ("DIFFICULTY", ""),
            ],
            "HUMAN_CHECK_SITE",
        ),
    ] {
        let error = site(changes).unwrap_err();
        assert_eq!(error.field(), field, "{changes:?}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
    assert!(site(&[("WIDGET", "node_modules")]).is_ok());
}
