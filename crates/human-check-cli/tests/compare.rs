//! `compare` and `report` as an operator uses them, from tokens to the page.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use serde_json::{Value, json};

const PROVIDERS: [&str; 2] = ["turnstile", "hcaptcha"];

fn human_check(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_human-check"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    human_check(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A folder and an emulator, both gone after the test.
struct Stage {
    folder: PathBuf,
    emulator: Emulator,
    // Dropped last: the emulator runs on it.
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("human-check-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let emulator = runtime.block_on(Emulator::start()).unwrap();
        Self {
            folder,
            emulator,
            _runtime: runtime,
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn token(&self, provider: &str, nth: usize) -> String {
        let mut mint = Mint::for_provider(provider).with_action("signup");
        if provider == "hcaptcha" {
            mint = Mint::for_provider(provider).with_score(0.05 * (nth % 20) as f64);
        }
        // Some are refused, by one provider or by both.
        if nth.is_multiple_of(5) || (provider == "hcaptcha" && nth.is_multiple_of(7)) {
            mint = mint.with_unsolved();
        }
        self.emulator.mint(&mint).unwrap()
    }

    /// So many lines, and every token in them.
    fn tokens(&self, count: usize) -> (String, Vec<String>) {
        let (mut text, mut tokens) = (String::new(), Vec::new());
        for nth in 0..count {
            let [first, second] = PROVIDERS.map(|provider| self.token(provider, nth));
            let line = json!({
                "id": nth.to_string(),
                "tokens": {"turnstile": first, "hcaptcha": second},
                "action": "signup",
            });
            text.push_str(&format!("{line}\n"));
            tokens.extend([first, second]);
        }
        (text, tokens)
    }

    fn compare(&self, input: &str, more: &[&str]) -> Command {
        let base = self.emulator.base_url();
        let output = self.file("out.jsonl");
        let mut arguments = vec!["compare", input, "--output", &output, "--emulator", &base];
        for provider in PROVIDERS {
            arguments.extend(["--provider", provider]);
        }
        arguments.extend(more);
        human_check(&arguments)
    }

    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file("out.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line.get("begun").is_none())
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn ids(records: &[Value]) -> BTreeSet<String> {
    let ids = records.iter().map(|record| record["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

#[test]
fn sixty_lines_are_compared_reported_and_hold_no_token() {
    let stage = Stage::new("compare");
    let (text, tokens) = stage.tokens(60);
    let input = stage.write("tokens.jsonl", &text);
    let output = stage.compare(&input, &[]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(err(&output).contains("60 compared") && err(&output).contains("report"));
    assert_eq!(ids(&stage.records()).len(), 60);
    // Each token went to its own provider.
    for seen in stage.emulator.requests() {
        let is_turnstile = seen.path.contains("turnstile");
        let token = seen.form().into_iter().find(|(name, _)| name == "response");
        let place = tokens.iter().position(|t| *t == token.as_ref().unwrap().1);
        assert_eq!(place.unwrap() % 2 == 0, is_turnstile);
    }
    // A second run makes no call.
    let before = stage.emulator.requests().len();
    let again = stage.compare(&input, &[]).output().unwrap();
    assert!(err(&again).contains("0 compared, 60 were done before"));
    assert_eq!(stage.emulator.requests().len(), before);

    let records = stage.file("out.jsonl");
    let page = stage.file("page.html");
    let prices = stage.write(
        "prices.toml",
        "[turnstile]\ncurrency=\"EUR\"\nflat_per_month=12\n",
    );
    let tables = run(&[
        "report",
        &records,
        "--html",
        &page,
        "--prices",
        &prices,
        "--monthly-volume",
        "100000",
    ]);
    assert_eq!(code(&tables), 0, "{}", err(&tables));
    for part in ["turnstile / hcaptcha", "12.00 EUR", "not in the price file"] {
        assert!(out(&tables).contains(part), "{part}: {}", out(&tables));
    }
    let json = run(&["report", &records, "--json"]);
    let report: Value = serde_json::from_str(&out(&json)).unwrap();
    let table = &report["pairs"][0]["table"];
    // Every fifth is refused by both, and every seventh of the rest by hCaptcha alone.
    assert_eq!(table["both_not"], 12);
    assert_eq!(table["first_only"], 7);
    assert_eq!(table["both_human"], 41);
    assert!(report["pairs"][0]["kappa"]["estimate"]["kappa"].is_f64());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("class=\"bars\"") && !page.contains("http://"));

    let everything = [
        std::fs::read_to_string(&records).unwrap(),
        page,
        out(&tables),
        out(&json),
        err(&output),
        err(&again),
    ];
    let secrets = PROVIDERS.map(|provider| EmulatedAccount::for_provider(provider).secret);
    for canary in tokens.iter().chain(&secrets) {
        assert!(everything.iter().all(|text| !text.contains(canary)));
    }
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_stopped() {
    let stage = Stage::new("killed");
    let (text, _) = stage.tokens(60);
    let input = stage.write("tokens.jsonl", &text);
    stage
        .emulator
        .fail(Fault::delay(Duration::from_millis(30)), None);
    let mut child = stage
        .compare(&input, &["--concurrency", "4"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = stage.file("out.jsonl");
    let begun = Instant::now();
    while std::fs::read_to_string(&path)
        .unwrap_or_default()
        .matches("observations")
        .count()
        < 5
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = std::fs::read_to_string(&path).unwrap();
    let count = |kept: &str, what: &str| kept.lines().filter(|line| line.contains(what)).count();
    let (whole, begun) = (count(&kept, "observations"), count(&kept, "begun"));
    assert!(whole < 60, "it was killed in time");
    // As if it had been killed in the middle of a line.
    let torn = kept
        .lines()
        .find(|line| line.contains("observations"))
        .unwrap();
    std::fs::write(&path, format!("{kept}{}", &torn[..torn.len() / 2])).unwrap();
    stage.emulator.heal();
    let again = stage.compare(&input, &[]).output().unwrap();
    assert_eq!(code(&again), 0, "{}", err(&again));
    assert!(err(&again).contains(&format!("{begun} were done before")));
    let cut_off = begun - whole;
    assert_eq!(
        err(&again).contains(&format!("{cut_off} lines of an earlier run were cut off")),
        cut_off > 0
    );
    let records = stage.records();
    assert_eq!((records.len(), ids(&records).len()), (60, 60));
    let interrupted = records
        .iter()
        .filter(|record| record["observations"][0]["reason"] == "interrupted");
    assert_eq!(interrupted.count(), cut_off, "their tokens may be used up");
    let calls = stage.emulator.requests().len();
    assert!(
        (120 - 2 * cut_off..=120).contains(&calls),
        "no token is verified twice: {calls}"
    );
}

#[test]
fn bad_lines_are_told_by_place_and_the_rest_is_kept() {
    let stage = Stage::new("malformed");
    let (text, tokens) = stage.tokens(3);
    let first = text.lines().next().unwrap();
    let token = &tokens[0];
    let bad = [
        "Canary-nonsense".to_owned(),
        first.to_owned(),
        json!({"id": token, "tokens": {"turnstile": token}}).to_string(),
        json!({"id": "x", "tokens": {"captchala": token}}).to_string(),
    ];
    let input = stage.write("tokens.jsonl", &format!("{text}{}\n", bad.join("\n")));
    let output = stage.compare(&input, &[]).output().unwrap();
    assert_eq!(code(&output), 3, "{}", err(&output));
    let problems = err(&output);
    for (line, problem) in [
        (4, "not JSON"),
        (5, "earlier line"),
        (6, "a token"),
        (7, "set up"),
    ] {
        let found = problems
            .lines()
            .find(|l| l.contains(&format!("tokens.jsonl:{line}:")));
        assert!(found.unwrap().contains(problem), "{found:?}");
    }
    assert!(!problems.contains("Canary") && !problems.contains(token.as_str()));
    assert_eq!(stage.records().len(), 3);

    // The same for the records.
    let records = stage.file("out.jsonl");
    let good = std::fs::read_to_string(&records).unwrap();
    let mixed = stage.write("mixed.jsonl", &format!("Canary\n{good}"));
    let report = run(&["report", &mixed, "--json"]);
    assert_eq!(code(&report), 3);
    assert!(err(&report).contains("mixed.jsonl:1:") && !err(&report).contains("Canary"));
    let report: Value = serde_json::from_str(&out(&report)).unwrap();
    assert_eq!(report["records"], 3);
}

#[test]
fn some_other_file_is_not_appended_to() {
    let stage = Stage::new("foreign");
    let (text, _) = stage.tokens(1);
    let input = stage.write("tokens.jsonl", &text);
    for foreign in ["my notes\n", "my notes", &text] {
        stage.write("out.jsonl", foreign);
        let output = stage.compare(&input, &[]).output().unwrap();
        assert_eq!(code(&output), 3);
        assert!(err(&output).contains("out.jsonl:1"), "{}", err(&output));
        assert_eq!(
            std::fs::read_to_string(stage.file("out.jsonl")).unwrap(),
            foreign
        );
    }
    assert!(stage.emulator.requests().is_empty());
}

#[test]
fn providers_come_from_a_file_and_what_is_wrong_with_it_shows_no_secret() {
    let stage = Stage::new("providers");
    let (text, _) = stage.tokens(2);
    let input = stage.write("tokens.jsonl", &text);
    let output = stage.file("out.jsonl");
    let base = stage.emulator.base_url();
    let [turnstile, hcaptcha] = PROVIDERS.map(EmulatedAccount::for_provider);
    let secret = stage.write("secret.txt", &format!("{}\n", hcaptcha.secret));
    let hcaptcha = format!(
        "[providers.hcaptcha]\nkind=\"hcaptcha\"\nsite_key=\"{}\"\nsecret={{file=\"{secret}\"}}\nbase_url=\"{base}\"\n",
        hcaptcha.site_key
    );
    let compare = |file: &str, variable: &str| {
        let path = stage.write("providers.toml", file);
        let mut command =
            human_check(&["compare", &input, "--output", &output, "--providers", &path]);
        command.env("TURNSTILE_SECRET", variable).output().unwrap()
    };
    for (turnstile, problem) in [
        ("secret=\"Canary-Secret\"", "providers.toml:9"),
        ("secert={env=\"Canary-Secret\"}", "providers.toml:9"),
        (
            "secret={env=\"Canary-Secret\"}",
            "providers.turnstile.secret",
        ),
        (
            "secret={env=\"A\",file=\"B\"}",
            "providers.turnstile.secret",
        ),
        ("", "providers.turnstile.secret"),
        (
            "secret={env=\"TURNSTILE_SECRET\"}\nmax_risk=0.5",
            "providers.turnstile.max_risk",
        ),
    ] {
        let file = format!(
            "{hcaptcha}[providers.turnstile]\nkind=\"turnstile\"\nsite_key=\"0x4AAAAAAADemoSiteKey-01\"\n{turnstile}\n"
        );
        let output = compare(&file, "Canary-Secret-of-the-environment");
        assert_eq!(code(&output), 3, "{turnstile}");
        assert!(
            err(&output).contains(problem),
            "{turnstile}: {}",
            err(&output)
        );
        assert!(!err(&output).contains("Canary"), "{}", err(&output));
    }
    let file = format!(
        "{hcaptcha}[providers.turnstile]\nkind=\"turnstile\"\nsite_key=\"0x4AAAAAAADemoSiteKey-01\"\nsecret={{env=\"TURNSTILE_SECRET\"}}\nbase_url=\"{base}\"\n"
    );
    // A secret that the provider rejects ends the run, and no line counts as done.
    let wrong = compare(&file, "Canary-Secret-of-the-environment");
    assert_eq!(code(&wrong), 3);
    assert!(
        err(&wrong).contains("turnstile rejects its settings"),
        "{}",
        err(&wrong)
    );
    assert!(!err(&wrong).contains("Canary"));
    assert!(stage.records().is_empty());
    // One line was tried, and not as many as may be in flight.
    assert_eq!(stage.emulator.requests().len(), 2);
    let right = compare(&file, &turnstile.secret);
    assert_eq!(code(&right), 0, "{}", err(&right));
    assert_eq!(stage.records().len(), 2);
}

#[test]
fn a_proof_of_work_is_compared_behind_live_traffic_only() {
    let stage = Stage::new("altcha");
    let (text, _) = stage.tokens(1);
    let input = stage.write("tokens.jsonl", &text);
    let output = stage.file("out.jsonl");
    let secret = stage.write("secret.txt", "p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa");
    let file = format!(
        "[providers.pow]\nkind=\"altcha\"\nsite=\"www.example.com\"\nsecret={{file=\"{secret}\"}}\n"
    );
    let file = stage.write("providers.toml", &file);
    let base = stage.emulator.base_url();
    for providers in [
        &["--providers", &file][..],
        &["--providers", &file, "--emulator", &base],
        &["--provider", "altcha", "--emulator", &base],
    ] {
        let compared = run(&[&["compare", &input, "--output", &output], providers].concat());
        assert_eq!(code(&compared), 3, "{providers:?}");
        assert!(
            err(&compared).contains("[check.shadow]"),
            "{}",
            err(&compared)
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_finishes_what_is_under_way() {
    let stage = Stage::new("interrupted");
    let (text, _) = stage.tokens(60);
    let input = stage.write("tokens.jsonl", &text);
    stage
        .emulator
        .fail(Fault::delay(Duration::from_millis(30)), None);
    let child = stage
        .compare(&input, &["--concurrency", "2"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let path = stage.file("out.jsonl");
    let begun = Instant::now();
    while std::fs::read_to_string(&path)
        .unwrap_or_default()
        .is_empty()
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", err(&output));
    assert!(err(&output).contains("Run it again"));
    // Each call is in a record.
    assert_eq!(stage.emulator.requests().len(), stage.records().len() * 2);
}

#[test]
fn wrong_prices_are_named_with_their_line() {
    let stage = Stage::new("prices");
    let records = stage.write("out.jsonl", "");
    let prices = stage.write("prices.toml", "[a]\ncurrency=\"Euro\"\n");
    let output = run(&[
        "report",
        &records,
        "--prices",
        &prices,
        "--monthly-volume",
        "1",
    ]);
    assert_eq!(code(&output), 3);
    assert!(err(&output).contains("prices.toml:2"), "{}", err(&output));
    let output = run(&["report", &records]);
    assert_eq!(code(&output), 0);
    assert!(out(&output).contains("no records") && out(&output).contains("a comparison needs two"));
}
