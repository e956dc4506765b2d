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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_a_month_have_their_price() {
    let emulator = Emulator::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let account = EmulatedAccount::for_provider("turnstile");
    std::fs::write(path("secret"), &account.secret).unwrap();
    let text = format!(
        "[providers.main]\nkind = \"turnstile\"\nsite_key = \"{}\"\nsecret = {{ file = \"secret\" }}\nbase_url = \"{}\"\nmonthly_quota = 1000\n[check]\nuse = \"main\"\n[routes.signup]\n",
        account.site_key,
        emulator.base_url()
    );
    let file = path("human-check.toml");
    std::fs::write(&file, text).unwrap();
    let prices = path("prices.toml");
    let price = |table: &str| {
        std::fs::write(&prices, table).unwrap();
        ["--prices".to_owned(), prices.display().to_string()]
    };
    // The name of the provider, and then that of the account.
    let arguments = price("[turnstile]\ncurrency = \"EUR\"\nflat_per_month = 20\n");
    let [flag, path] = &arguments;
    let (code, out, err) = doctor(&file, &[flag, path]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(
        out.contains("0 of 1000 calls of this month are used"),
        "{out}"
    );
    assert!(out.contains("the others count for themselves"), "{out}");
    assert!(out.contains("cost of this month so far"), "{out}");
    assert!(out.contains("main     20.00 EUR"), "{out}");
    price(
        "[main]\ncurrency = \"USD\"\nflat_per_month = 9.5\n[turnstile]\ncurrency = \"EUR\"\nflat_per_month = 20\n",
    );
    let (_, out, _) = doctor(&file, &[flag, path, "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    let cost = &json["costs"][0];
    assert_eq!(cost["account"], "main");
    assert_eq!(
        (&cost["so_far"], &cost["currency"]),
        (&9.5.into(), &"USD".into())
    );
    assert_eq!(json["quotas"][0]["quota"], 1_000);
    price("[turnstile]\ncurency = \"EUR\"\n");
    let (code, _, err) = doctor(&file, &[flag, path]);
    assert_ne!(code, 0);
    assert!(
        err.contains("prices.toml") && err.contains("curency"),
        "{err}"
    );
}
