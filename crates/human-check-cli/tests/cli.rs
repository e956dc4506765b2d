//! The command as an operator uses it: arguments, streams, exit codes.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use serde_json::Value;

fn human_check(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_human-check"));
    command.args(arguments);
    for name in [
        "HUMAN_CHECK_SECRET",
        "HUMAN_CHECK_SITE_KEY",
        "HUMAN_CHECK_BASE_URL",
    ] {
        command.env_remove(name);
    }
    command
}

fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
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

/// The emulator on a thread of its own, so that the test may wait for the command.
fn with_emulator<T>(test: impl FnOnce(&Emulator) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let emulator = runtime.block_on(Emulator::start()).unwrap();
    test(&emulator)
}

fn verify(emulator: &Emulator, token: &str, secret: &str, more: &[&str]) -> Output {
    let base = emulator.base_url();
    let mut arguments = vec![
        "verify",
        "--provider",
        "turnstile",
        "--token",
        token,
        "--base-url",
        &base,
    ];
    arguments.extend(more);
    let mut command = human_check(&arguments);
    command.env("HUMAN_CHECK_SECRET", secret);
    run(command, b"")
}

#[test]
fn verify_exits_with_what_it_found() {
    with_emulator(|emulator| {
        let secret = EmulatedAccount::for_provider("turnstile").secret;
        let token = || {
            emulator
                .mint(&Mint::for_provider("turnstile").with_action("login"))
                .unwrap()
        };
        let human = verify(
            emulator,
            &token(),
            &secret,
            &["--hostname", "www.example.com", "--action", "login"],
        );
        assert_eq!(
            (code(&human), err(&human).as_str()),
            (0, ""),
            "{}",
            out(&human)
        );
        assert!(out(&human).contains("human"));
        let refused = verify(
            emulator,
            &token(),
            &secret,
            &["--hostname", "other.example"],
        );
        assert_eq!(code(&refused), 1, "{}", out(&refused));
        assert!(out(&refused).contains("wrong-hostname"));
        let wrong = verify(emulator, &token(), "wrong-secret", &["--json"]);
        assert_eq!(code(&wrong), 3, "{}", out(&wrong));
        let explanation: Value = serde_json::from_str(&out(&wrong)).unwrap();
        assert_eq!(
            (&explanation["outcome"], &explanation["alert"]),
            (&"misconfigured".into(), &true.into())
        );
        emulator.fail(Fault::Html { status: 503 }, None);
        let down = verify(emulator, &token(), &secret, &[]);
        assert_eq!(code(&down), 2, "{}", out(&down));
    });
}

#[test]
fn verify_takes_secrets_from_environment_and_file_only() {
    with_emulator(|emulator| {
        let site = EmulatedAccount::for_provider("turnstile");
        let token = emulator.mint(&Mint::for_provider("turnstile")).unwrap();
        let path = std::env::temp_dir().join(format!("human-check-secret-{}", std::process::id()));
        std::fs::write(&path, format!("{}\n", site.secret)).unwrap();
        let file = path.to_str().unwrap();
        let base = emulator.base_url();
        let arguments = [
            "verify",
            "--provider",
            "turnstile",
            "--token",
            "-",
            "--base-url",
            &base,
            "--secret-file",
            file,
        ];
        let output = run(human_check(&arguments), format!("{token}\n").as_bytes());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
        let argued = [
            "verify",
            "--provider",
            "turnstile",
            "--token",
            "x",
            "--secret",
            "s",
        ];
        assert_eq!(
            code(&run(human_check(&argued), b"")),
            3,
            "there is no such argument"
        );
    });
}

#[test]
fn bad_configuration_names_the_setting_and_the_remedy() {
    for (arguments, secret, wanted) in [
        (
            vec!["verify", "--provider", "turnstile", "--token", "x"],
            None,
            "HUMAN_CHECK_SECRET",
        ),
        (
            vec!["verify", "--provider", "turnstile", "--token", "x"],
            Some(" "),
            "`secret` is empty",
        ),
        (
            vec!["verify", "--provider", "turnstile", "--token", "x"],
            Some("1x0000000000000000000000000000000AA"),
            "test secret",
        ),
        (
            vec!["verify", "--provider", "hcaptcha", "--token", "x"],
            Some("s"),
            "site_key",
        ),
        (
            vec!["verify", "--provider", "recaptcha-v3", "--token", "x"],
            Some("s"),
            "min_score",
        ),
        (
            vec![
                "verify",
                "--provider",
                "turnstile",
                "--token",
                "x",
                "--base-url",
                "http://a.example",
            ],
            Some("s"),
            "https",
        ),
        (
            vec![
                "verify",
                "--provider",
                "turnstile",
                "--token",
                "x",
                "--min-score",
                "0.5",
            ],
            Some("s"),
            "min_score",
        ),
        (
            vec![
                "verify",
                "--provider",
                "turnstile",
                "--token",
                "x",
                "--hostname",
                "https://a",
            ],
            Some("s"),
            "hostnames",
        ),
        (
            vec!["verify", "--provider", "unknown", "--token", "x"],
            Some("s"),
            "possible values",
        ),
        (vec!["verify"], None, "--provider"),
    ] {
        let mut command = human_check(&arguments);
        if let Some(secret) = secret {
            command.env("HUMAN_CHECK_SECRET", secret);
        }
        let output = run(command, b"");
        assert_eq!(code(&output), 3, "{arguments:?}: {}", err(&output));
        assert!(
            err(&output).contains(wanted),
            "{arguments:?}: {}",
            err(&output)
        );
    }
}

#[test]
fn a_token_of_altcha_is_inspected_and_nothing_else() {
    use human_check_altcha::{Altcha, Difficulty, Keys};
    use human_check_core::{ChallengeIssuer, ChallengeRequest, MemoryReplayStore, Secret};

    let secret = "p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa";
    let keys = Keys::new(Secret::new(secret).unwrap()).unwrap();
    let altcha = Altcha::new(keys, "www.example.com", MemoryReplayStore::new(1)).unwrap();
    let altcha = altcha.with_difficulty(Difficulty::sha());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let request = ChallengeRequest::new();
    let challenge = runtime.block_on(altcha.issue(&request)).unwrap();
    let field = human_check_testkit::solve(challenge.json()).unwrap();
    let inspect = |secret: &str, more: &[&str]| {
        let arguments = ["verify", "--provider", "altcha", "--token", "-"];
        let mut command = human_check(&[&arguments, more].concat());
        command.env("HUMAN_CHECK_SECRET", secret);
        run(command, field.as_bytes())
    };
    let inspected = inspect(secret, &[]);
    assert_eq!((code(&inspected), err(&inspected).as_str()), (0, ""));
    let other = "N3wqT8mZ4vR1tK1nW6yB3hD9sF5gJ0cL";
    assert_eq!(code(&inspect(other, &[])), 1);
    for (secret, more, word) in [
        (secret, &["--action", "signup"][..], "action"),
        (secret, &["--hostname", "a.example"], "hostnames"),
        (secret, &["--min-score", "0.5"], "min_score"),
        ("short", &[], "openssl"),
        ("", &[], "secret"),
    ] {
        let refused = inspect(secret, more);
        assert_eq!(code(&refused), 3, "{more:?}");
        assert!(err(&refused).contains(word), "{}", err(&refused));
    }
    let bound = inspect(secret, &["--binding", "user-7"]);
    assert_eq!(code(&bound), 1, "an inspection reports no binding");
    let explain = human_check(&["explain", "--provider", "altcha", "-"]);
    let explained = run(explain, b"{}");
    assert_eq!(code(&explained), 3);
    assert!(
        err(&explained).contains("verify --provider altcha"),
        "{}",
        err(&explained)
    );
}

#[test]
fn explain_reads_each_line_and_survives_bad_ones() {
    let lines = [
        r#"{"name":"good","provider":"recaptcha-v3","status":200,"headers":{},"body":"{\"success\":true,\"score\":0.9,\"action\":\"login\",\"hostname\":\"example.com\"}","policy":{"hostnames":["example.com"],"action":"login","min_score":0.5}}"#,
        "not json",
        r#"{"name":"unknown","provider":"unknown","status":200,"body":"{}"}"#,
        "",
        r#"{"name":"typo","provider":"turnstile","status":200,"body":"{}","policy":{"hostname":["a"]}}"#,
        r#"{"name":"status","provider":"turnstile","status":42,"body":"{}"}"#,
        r#"{"name":"b64","provider":"hcaptcha","status":200,"body":"eyJzdWNjZXNzIjpmYWxzZSwiZXJyb3ItY29kZXMiOlsiYWxyZWFkeS1zZWVuLXJlc3BvbnNlIl19","enc":"b64"}"#,
        r#"{"name":"bad b64","provider":"hcaptcha","status":200,"body":"%","enc":"b64"}"#,
        r#"{"name":"risk","provider":"captchala","status":200,"body":"{\"code\":0,\"data\":{\"valid\":true,\"risk_score\":80}}","policy":{"max_risk":50},"token":"pt_1"}"#,
        r#"{"name":"old","provider":"turnstile","status":200,"body":"{\"success\":true,\"challenge_ts\":\"2026-01-01T00:00:00Z\"}","policy":{"max_age_s":60,"skew_s":0},"now":"2026-01-01T00:01:01Z"}"#,
    ];
    let refused = [
        r#"{"provider":"hcaptcha","status":200,"body":"{}","siteKey":"own"}"#,
        r#"{"provider":"hcaptcha","status":200,"body":"{}","polcy":{}}"#,
        r#"{"provider":"hcaptcha","status":200,"body":"{}","policies":{}}"#,
        r#"{"provider":"hcaptcha","status":200,"body":"{}","action":"login"}"#,
        r#"{"provider":"hcaptcha","status":200,"body":"{}","policy":{"action":"a"},"policy":null}"#,
        r#"{"provider":"hcaptcha","status":200,"body":"{}","policy":["a"]}"#,
        r#"{"provider":"hcaptcha","status":200}"#,
        r#"{"provider":"recaptcha-v3","status":200,"body":"{}","policy":{"min_score":2}}"#,
        r#"{"provider":"recaptcha-enterprise","status":200,"body":"{}","policy":{"key":"v3"}}"#,
        r#"["hcaptcha",200,"{}"]"#,
    ];
    let output = run(
        human_check(&["explain", "--jsonl"]),
        refused.join("\n").as_bytes(),
    );
    assert_eq!(
        (out(&output).as_str(), err(&output).lines().count()),
        ("", refused.len()),
        "{}",
        err(&output)
    );
    let pasted = r#"{"provider":"0x4-a-secret","status":"another-secret","body":"x"}"#;
    let output = run(human_check(&["explain", "--jsonl"]), pasted.as_bytes());
    assert!(!err(&output).contains("secret"), "{}", err(&output));
    let mut input = lines.join("\n").into_bytes();
    input.extend_from_slice(b"\n\xff\xfe\n");
    let output = run(human_check(&["explain", "--jsonl"]), &input);
    let explanations: Vec<Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = explanations
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["good", "b64", "risk", "old"]);
    assert_eq!(
        out(&output).lines().next().unwrap(),
        r#"{"name":"good","outcome":"human","reason":null,"codes":[],"score":0.9,"hostname":"example.com","alert":false}"#
    );
    assert_eq!(explanations[1]["reason"], "replayed");
    assert_eq!(
        (&explanations[2]["reason"], &explanations[2]["score"]),
        (&"score-too-low".into(), &0.2.into())
    );
    assert_eq!(explanations[3]["reason"], "too-old");
    let problems = err(&output);
    for number in [2, 3, 5, 6, 8, 11] {
        assert!(
            problems.contains(&format!("line {number}: ")),
            "{number}: {problems}"
        );
    }
    assert_eq!(
        (problems.lines().count(), code(&output)),
        (6, 3),
        "{problems}"
    );
}

#[test]
fn explain_reads_one_reply_and_says_why() {
    let reply = br#"{"success":false,"error-codes":["invalid-input-secret"]}"#;
    let output = run(
        human_check(&["explain", "--provider", "turnstile", "--status", "400", "-"]),
        reply,
    );
    assert_eq!(code(&output), 0);
    for part in [
        "misconfigured",
        "invalid-input-secret",
        "No visitor causes this",
    ] {
        assert!(out(&output).contains(part), "{part}: {}", out(&output));
    }
    let limited = run(
        human_check(&["explain", "--provider", "turnstile", "--status", "429", "-"]),
        b"",
    );
    assert!(
        out(&limited).contains("too many requests"),
        "{}",
        out(&limited)
    );
    let missing = run(
        human_check(&["explain", "--provider", "turnstile", "no-such-file"]),
        b"",
    );
    assert_eq!(code(&missing), 3);
    assert!(err(&missing).contains("no-such-file"));
}

#[test]
fn the_demo_shows_every_outcome_of_every_provider() {
    let output = run(human_check(&["demo", "--once", "--all", "--json"]), b"");
    assert_eq!(code(&output), 0, "{}", err(&output));
    let shown: Vec<Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcome = |name: &str| {
        let case = shown
            .iter()
            .find(|case| case["name"] == name)
            .unwrap_or_else(|| panic!("{name} is shown"));
        case["outcome"].as_str().unwrap().to_owned()
    };
    for provider in [
        "turnstile",
        "hcaptcha",
        "recaptcha-v2",
        "recaptcha-v3",
        "recaptcha-enterprise",
        "captchala",
    ] {
        for (title, expected) in [
            ("a good token", "human"),
            ("no token", "not-human"),
            ("not a token", "not-human"),
            ("a forged token", "not-human"),
            ("a token used before", "not-human"),
            ("an expired token", "not-human"),
            ("a token of another site", "not-human"),
            ("solved on another host", "not-human"),
            ("a wrong secret", "misconfigured"),
            ("the provider is down", "unavailable"),
            ("the provider stalls", "unavailable"),
        ] {
            assert_eq!(
                outcome(&format!("{provider}: {title}")),
                expected,
                "{provider}: {title}"
            );
        }
    }
    for provider in [
        "recaptcha-v2",
        "recaptcha-v3",
        "recaptcha-enterprise",
        "captchala",
    ] {
        assert_eq!(
            outcome(&format!("{provider}: the quota is used up")),
            "declined"
        );
    }
    for (title, expected) in [
        ("a good token", "human"),
        ("no token", "missing"),
        ("not a token", "malformed"),
        ("a forged token", "invalid"),
        ("a token used before", "replayed"),
        ("an expired token", "expired"),
        ("a token of another site", "wrong-site-key"),
        ("a wrong secret", "invalid"),
    ] {
        let name = format!("altcha: {title}");
        let case = shown.iter().find(|case| case["name"] == name.as_str());
        let case = case.unwrap_or_else(|| panic!("{name} is shown"));
        let reason = case["reason"].as_str();
        let reason = reason.or(case["outcome"].as_str());
        assert_eq!(reason, Some(expected), "{name}");
    }
    let table = run(human_check(&["demo", "--once"]), b"");
    let table = out(&table);
    for shown in ["a good token", "altcha", "captchala", "(no call)"] {
        assert!(table.contains(shown), "{table}");
    }
}

#[test]
fn emulate_introduces_itself_and_serves() {
    for address in ["127.0.0.1:0", "localhost:0"] {
        emulates(address);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(human_check(&["emulate", "--addr", &address]), b"");
    assert_eq!(code(&output), 3);
    assert!(err(&output).contains("--addr"), "{}", err(&output));
    let output = run(human_check(&["emulate", "--addr", "8765"]), b"");
    assert!(
        err(&output).contains("such as localhost:8765"),
        "{}",
        err(&output)
    );
}

fn emulates(address: &str) {
    use std::io::{BufRead, BufReader, Read};
    let mut child = human_check(&["emulate", "--addr", address, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let introduction: Value = serde_json::from_str(&line).unwrap();
    let base = introduction["base_url"].as_str().unwrap();
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /emulator/accounts HTTP/1.1\r\nconnection: close\r\n\r\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[test]
fn the_demo_serves_until_it_is_interrupted_and_names_a_way_out_of_a_taken_port() {
    use std::io::{BufRead, BufReader, Read};
    let mut child = human_check(&["demo", "--addr", "127.0.0.1:0", "--widget", "nowhere"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    printed.read_line(&mut url).unwrap();
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    assert!(line.contains("Ctrl-C"), "{line}");
    let address = url.trim().strip_prefix("http://").unwrap();
    let address = address.strip_suffix('/').unwrap();
    let output = run(human_check(&["demo", "--addr", address]), b"");
    assert_eq!(code(&output), 3);
    assert!(err(&output).contains("--addr"), "{}", err(&output));
    // An open stream of events must not delay the end.
    let mut events = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET /log/events HTTP/1.1\r\nhost: {address}\r\n\r\n");
    events.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    events.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    if cfg!(unix) {
        let interrupt = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(interrupt.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    } else {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn verify_takes_an_account_of_a_configuration_file() {
    with_emulator(|emulator| {
        let site = EmulatedAccount::for_provider("turnstile");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("human-check.toml");
        std::fs::write(folder.path().join("key"), &site.secret).unwrap();
        let account = |name: &str| {
            format!(
                "[providers.{name}]\nkind = \"turnstile\"\nsite_key = {:?}\nbase_url = {:?}\nhostnames = [\"www.example.com\"]\nsecret = {{ file = \"key\" }}\n",
                site.site_key,
                emulator.base_url()
            )
        };
        std::fs::write(&path, account("main")).unwrap();
        let file = path.to_str().unwrap();
        let verify = |more: &[&str]| {
            let token = emulator.mint(&Mint::for_provider("turnstile")).unwrap();
            let arguments = [&["verify", "--config", file, "--token", &token][..], more].concat();
            run(human_check(&arguments), b"")
        };
        let human = verify(&[]);
        assert_eq!(code(&human), 0, "{}{}", out(&human), err(&human));
        let other_host = verify(&["--hostname", "other.example"]);
        assert_eq!(code(&other_host), 1, "{}", out(&other_host));
        std::fs::write(&path, account("main") + &account("second")).unwrap();
        let unnamed = verify(&[]);
        assert_eq!(code(&unnamed), 3);
        assert!(err(&unnamed).contains("main, second"), "{}", err(&unnamed));
        assert_eq!(code(&verify(&["--account", "second"])), 0);
        assert_eq!(code(&verify(&["--account", "third"])), 3);
        // The secrets of other accounts may be elsewhere.
        let other = account("second").replace("\"key\"", "\"elsewhere\"");
        std::fs::write(&path, account("main") + &other).unwrap();
        assert_eq!(code(&verify(&["--account", "main"])), 0);
        assert_eq!(code(&verify(&["--account", "second"])), 3);
        let both = verify(&["--provider", "turnstile"]);
        assert!(err(&both).contains("--provider"), "{}", err(&both));
    });
}

#[test]
fn a_byte_order_mark_hides_no_line() {
    let line = r#"{"provider":"turnstile","status":200,"body":"{\"success\":true}"}"#;
    let input = format!("\u{feff}{line}\n{line}\n");
    let output = run(human_check(&["explain", "--jsonl"]), input.as_bytes());
    assert_eq!(
        (code(&output), out(&output).lines().count()),
        (0, 2),
        "{}",
        err(&output)
    );
}
