//! `doctor` as an operator uses it: the table, the JSON, and the exit codes.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::path::Path;
use std::process::{Command, Output};

use human_check_emulator::{EmulatedAccount, Emulator, Fault};
use serde_json::Value;

fn doctor(file: &Path, more: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_human-check"))
        .arg("doctor")
        .arg(file)
        .args(more)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_level_has_its_exit_code_and_the_json_says_the_same() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let account = EmulatedAccount::for_provider("turnstile");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, &account.secret).unwrap();
    let write = |check: &str| {
        let file = folder.path().join("human-check.toml");
        let text = format!(
            "[providers.turnstile]\nkind = \"turnstile\"\nsite_key = \"{}\"\nsecret = {{ file = \"secret\" }}\nbase_url = \"{}\"\n[check]\n{check}\n[routes.signup]\n",
            account.site_key,
            emulator.base_url()
        );
        std::fs::write(&file, text).unwrap();
        file
    };
    let file = write("use = \"turnstile\"");
    let (code, out, err) = doctor(&file, &[]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("any host may show the challenge"), "{out}");
    assert!(out.contains("to do: list yours in `hostnames`"), "{out}");
    assert!(out.contains("0 wrong, "), "{out}");

    std::fs::write(&secret, "0x4AAAAAAACANARYCANARYCANARYCANARY0").unwrap();
    let (code, out, _) = doctor(&file, &[]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("the provider refuses it (secret)"), "{out}");
    assert!(!out.contains("CANARY"), "{out}");
    let (code, out, _) = doctor(&file, &["--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["level"]), (3, &Value::from("wrong")));
    let mut findings = json["findings"].as_array().unwrap().iter();
    let secret = findings
        .find(|finding| finding["check"] == "secret")
        .unwrap();
    assert_eq!(secret["level"], "wrong");

    emulator.fail(Fault::status(503), None);
    let (code, out, _) = doctor(&file, &[]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("replied with status 503"), "{out}");

    // A file that cannot be used is the only finding.
    let file = write("use = \"turnstil\"");
    let (code, out, err) = doctor(&file, &["--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["level"]), (3, &Value::from("wrong")));
    assert!(err.contains("check.use"), "{err}");
}
