//! The accounts of routes in a configuration: what is read, and what is wrong.
#![cfg(all(
    feature = "altcha",
    feature = "hcaptcha",
    feature = "recaptcha",
    feature = "turnstile",
    feature = "rustls"
))]
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use human_check_config::Deployment;
use human_check_guard::RequestHead;

const FILE: &str = r#"
[providers.a]
kind = "recaptcha-v3"
site_key = "6LcV3DemoSiteKeyAAAAAAAAAAAAAAAAAAAAAAAA"
secret = { env = "SECRET" }
min_score = 0.5
hostnames = ["www.example.com"]

[providers.b]
kind = "hcaptcha"
site_key = "aacba776-ecc6-48a5-bc54-fb114be1ba5a"
secret = { env = "SECRET_B" }
hostnames = ["www.example.com"]

[providers.c]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"
secret = { env = "SECRET_C" }
hostnames = ["www.example.com"]

[providers.d]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKeyD"
secret = { env = "SECRET_C" }

[providers.e]
kind = "altcha"
site = "www.example.com"
secret = { env = "POW" }

[check]
use = "a"
fallback = ["b"]
fallback_on = ["declined"]
origins = ["https://shop.example"]
offer_keys = [{ env = "KEY" }]

[site]
country_header = "CF-IPCountry"
client_address = "x-forwarded-for"
trusted_proxies = ["10.0.0.0/8"]

[replay_store]
kind = "memory"

[routes.signup]
step_up = { to = "d", floor = 0.3 }
on_widget_failure = "fallback"

[routes.signup.by_host."shop.example"]
use = "c"
fallback = ["b"]

[routes.signup.by_country.CN]
use = "c"

[routes.login]
use = "c"

[routes.comment]
use = "c"
fallback = ["b"]
fallback_on = ["rate-limited", "failures"]
action = "comment"
without = { b = ["action"] }
accept_clearance = { from = ["signup"], ttl = "10m", max_requests = 20 }
"#;

fn load(text: &str) -> Result<Deployment, human_check_core::ConfigError> {
    Deployment::builder().from_text(text, |name| {
        let value = match name {
            "SECRET" => "6LcV3DemoSecretAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "SECRET_B" => "ES_0123456789abcdef0123456789abcdef",
            "SECRET_C" => "0x4AAAAAAADemoSecret",
            "POW" => "p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa",
            "KEY" => "0123456789abcdef0123456789abcdef",
            "REDIS" => "redis://127.0.0.1:1",
            "SHORT" => "0123456789abcdef0123456789abcde",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

struct Head(Vec<(&'static str, &'static str)>);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn peer(&self) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, 1]))
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.0 {
            line(name, value.as_bytes());
        }
    }
}

#[test]
fn each_route_host_and_country_has_its_accounts() {
    let deployment = load(FILE).unwrap();
    for (route, headers, account) in [
        ("signup", vec![], "a"),
        ("signup", vec![("host", "shop.example")], "c"),
        ("signup", vec![("cf-ipcountry", "CN")], "c"),
        ("login", vec![], "c"),
        ("comment", vec![("host", "shop.example")], "c"),
    ] {
        let guard = deployment.guard(route).unwrap();
        let selected = guard.select(&Head(headers.clone()));
        assert_eq!(selected.account(), account, "{route} {headers:?}");
    }
    // A page of the route may show each of its accounts.
    let sources = deployment
        .guard("signup")
        .unwrap()
        .csp_sources()
        .to_string();
    for host in [
        "www.google.com",
        "hcaptcha.com",
        "challenges.cloudflare.com",
    ] {
        assert!(sources.contains(host), "{sources}");
    }
    let forced = FILE.replacen("min_score = 0.5", "min_score = 0.5\nforce_down = true", 1);
    let guard = load(&forced).unwrap().guard("signup").unwrap();
    assert_eq!(guard.select(&Head(Vec::new())).account(), "b");
}

#[test]
fn the_summary_names_the_accounts_of_each_route() {
    let summary = load(FILE).unwrap().summary();
    for words in [
        "falls back  b (hcaptcha",
        "for shop.example judged by c",
        "for CN judged by c",
        "a score from 0.3 on leads to d",
        "accepts clearances of signup",
        "b is exempt from action",
        "judged by c",
    ] {
        assert!(summary.contains(words), "{words:?} is not in\n{summary}");
    }
}

#[test]
fn an_account_of_one_kind_beside_the_primary_is_told_apart() {
    let text = r#"
        [providers.new]
        kind = "turnstile"
        site_key = "0x4AAAAAAADemoSiteKeyNew"
        secret = { env = "SECRET_C" }
        [providers.old]
        kind = "turnstile"
        site_key = "0x4AAAAAAADemoSiteKeyOld"
        secret = { env = "SECRET_C" }
        [check]
        use = "new"
        dual_accept = { use = "old", sunset = 2099-01-01 }
        [routes.signup]
    "#;
    let guard = load(text).unwrap().guard("signup").unwrap();
    assert_eq!(guard.select(&Head(Vec::new())).account(), "new");
    let error = load(&text.replace("sunset = 2099-01-01", "show = true")).unwrap_err();
    assert!(
        error.to_string().contains("check.dual_accept.show"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_is_told_with_key_problem_and_remedy() {
    let without = |text: &str| FILE.replacen(text, "", 1);
    let with = |from: &str, to: &str| {
        assert!(FILE.contains(from), "{from}");
        FILE.replacen(from, to, 1)
    };
    let cases: Vec<(String, &[&str])> = vec![
        (
            with("fallback = [\"b\"]", "fallback = [\"x\"]"),
            &["check.fallback", "no account", "name one of a, b"],
        ),
        (
            with("fallback = [\"b\"]", "fallback = [\"b\", \"a\"]"),
            &["check.fallback", "\"a\" again"],
        ),
        (
            with("fallback = [\"b\"]", "fallback = [\"b\", \"b\"]"),
            &["check.fallback", "\"b\" again"],
        ),
        (
            with("[routes.login]\nuse = \"c\"", "[routes.login]\nuse = \"c\"\nfallback = [\"c\"]"),
            &["routes.login.fallback", "again"],
        ),
        (
            with("0x4AAAAAAADemoSiteKeyD", "0x4AAAAAAADemoSiteKey")
                .replace("[routes.login]\nuse = \"c\"", "[routes.login]\nuse = \"c\"\nfallback = [\"d\"]"),
            &["providers.d.site_key", "\"c\"", "routes.login"],
        ),
        (
            without("without = { b = [\"action\"] }"),
            &["routes.comment", "\"b\"", "action", "without"],
        ),
        (
            with("without = { b = [", "without = { x = ["),
            &["routes.comment.without.x", "no account"],
        ),
        (
            with("without = { b = [", "without = { c = ["),
            &["routes.comment.without.c", "the account that judges"],
        ),
        (
            with("without = { b = [", "without = { d = ["),
            &["routes.comment.without.d", "no account of this route", "name one of b, or leave it out"],
        ),
        (
            with("action = \"comment\"", "min_score = 0.5").replace("\"action\"", "\"hostnames\""),
            &["routes.comment", "min_score"],
        ),
        (
            with("fallback = [\"b\"]\nfallback_on = [\"declined\"]", "fallback_on = [\"declined\"]")
                .replace("fallback = [\"b\"]", "")
                .replace("fallback_on = [\"rate-limited\", \"failures\"]\n", "")
                .replace("without = { b = [\"action\"] }", ""),
            &["check.fallback_on", "no route has a fallback"],
        ),
        (
            with("[routes.signup.by_country.CN]", "[routes.signup.by_country.cn]\nuse = \"c\"\n[routes.signup.by_country.CN]"),
            &["routes.signup.by_country", "twice"],
        ),
        (with("by_country.CN", "by_country.XX"), &["routes.signup.by_country.XX", "unknown"]),
        (
            with("by_host.\"shop.example\"", "by_host.\"https://shop.example/\""),
            &["routes.signup.by_host", "no host name"],
        ),
        (
            with("use = \"c\"\n\n[routes.login]", "use = \"d\"\n\n[routes.login]").replace("0x4AAAAAAADemoSiteKeyD", "0x4AAAAAAADemoSiteKey"),
            &["site_key", "routes.signup"],
        ),
        (
            with("to = \"d\"", "to = \"a\""),
            &["routes.signup.step_up", "where it begins"],
        ),
        (
            with("to = \"d\"", "to = \"e\""),
            &["routes.signup.step_up", "shows no challenge"],
        ),
        (
            with("step_up = { to = \"d\", floor = 0.3 }", "step_up = \"d\""),
            &["routes.signup.step_up", "expected a table, such as { to = \"box\", floor = 0.3 }"],
        ),
        (
            with("fallback_on = [\"declined\"]", "fallback_on = \"declined\""),
            &["check.fallback_on", "expected a list, such as"],
        ),
        (with("to = \"d\"", "to = \"x\""), &["routes.signup.step_up.to", "no account"]),
        (with("floor = 0.3", "floor = 0.5"), &["routes.signup.step_up.floor", "threshold"]),
        (with("floor = 0.3", "floor = 3"), &["routes.signup.step_up.floor", "0 to 1"]),
        (
            with("[routes.login]\nuse = \"c\"", "[routes.login]\nuse = \"c\"\nstep_up = { to = \"b\", floor = 0.3 }"),
            &["routes.login.step_up", "no threshold"],
        ),
        (without("[replay_store]\nkind = \"memory\"\n").replace("[providers.e]", "[providers.unused]"), &["routes.signup.step_up", "replay store", "`[replay_store]`"]),
        (
            without("[replay_store]\nkind = \"memory\"\n")
                .replace("step_up = { to = \"d\", floor = 0.3 }\n", ""),
            &["routes.signup.on_widget_failure", "replay store"],
        ),
        (
            with("[routes.login]\nuse = \"c\"", "[routes.login]\nuse = \"c\"\non_widget_failure = \"fallback\""),
            &["routes.login.on_widget_failure", "no list has a fallback"],
        ),
        (
            with("[routes.login]\nuse = \"c\"", "[routes.login]\nuse = \"c\"\nfallback_on = [\"declined\"]"),
            &["routes.login.fallback_on", "no list has a fallback"],
        ),
        (with("fallback_on = [\"declined\"]", "fallback_on = [\"anything\"]"), &["check.fallback_on", "is none of its values", "write one of `declined`"]),
        (
            with("country_header = \"CF-IPCountry\"\n", ""),
            &["routes.signup.by_country.CN", "country_header"],
        ),
        (
            with("client_address = \"x-forwarded-for\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n", ""),
            &["routes.signup.by_country.CN", "trusted"],
        ),
        (with("by_country.CN", "by_country.China"), &["routes.signup.by_country.China", "two letters"]),
        (
            with("site_key = \"0x4AAAAAAADemoSiteKey\"\nsecret = { env = \"SECRET_C\" }\nhostnames = [\"www.example.com\"]", "site_key = \"0x4AAAAAAADemoSiteKey\"\nsecret = { env = \"SECRET_C\" }"),
            &["routes.signup.by_host.\"shop.example\"", "hostnames"],
        ),
        (with("use = \"a\"\n", "use = \"a\"\nfailover = \"c\"\n"), &["check.failover", "fallback"]),
        (with("env = \"KEY\"", "env = \"SHORT\""), &["check.offer_keys", "31 bytes", "the variable SHORT", "openssl"]),
        (
            with("offer_keys = [{ env = \"KEY\" }]", "offer_keys = [{ env = \"KEY\" }, { env = \"KEY\" }]"),
            &["check.offer_keys", "twice"],
        ),
        (with("https://shop.example", "shop.example"), &["check.origins", "no origin"]),
        (with("from = [\"signup\"]", "from = [\"nowhere\"]"), &["routes.comment.accept_clearance.from", "nowhere"]),
        (with("from = [\"signup\"]", "from = [\"comment\"]"), &["routes.comment.accept_clearance.from", "other route"]),
        (with("max_requests = 20", "max_requests = 0"), &["routes.comment.accept_clearance", "0 requests"]),
        (
            with("site = \"www.example.com\"\n", "site = \"www.example.com\"\nprobe_script = true\n")
                .replace("[routes.login]\nuse = \"c\"", "[routes.login]\nuse = \"e\""),
            &["providers.e.probe_script"],
        ),
        (
            with("kind = \"hcaptcha\"\n", "kind = \"hcaptcha\"\nprevious_secret = { env = \"SECRET\" }\n"),
            &["providers.b.previous_secret", "wrong secret"],
        ),
        #[cfg(feature = "redis")]
        (
            without("offer_keys = [{ env = \"KEY\" }]\n").replace(
                "[replay_store]\nkind = \"memory\"",
                "[replay_store]\nkind = \"redis\"\nurl = { env = \"REDIS\" }\ndigest_secret = { env = \"KEY\" }",
            ),
            &["check.offer_keys", "is missing", "32 random bytes"],
        ),
    ];
    for (text, words) in cases {
        let error = match load(&text) {
            Ok(_) => panic!("it was accepted, and {words:?} is wrong"),
            Err(error) => error.to_string(),
        };
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error}");
        }
        assert!(!error.contains("0123456789abcdef"), "{error}");
    }
}

/// Returns a port on which nothing listens, so that an account there is down, and a folder with the
/// secrets of two accounts.
fn unused_port_and_secrets() -> (u16, tempfile::TempDir) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    for (name, secret) in [
        ("a", "0x4AAAAAAADemoSecret"),
        ("b", "ES_0123456789abcdef0123456789abcdef"),
    ] {
        std::fs::write(folder.path().join(name), secret).unwrap();
    }
    (port, folder)
}

#[test]
fn a_failover_that_is_added_in_an_outage_opens_no_route_before_its_account_is_down() {
    let (port, folder) = unused_port_and_secrets();
    let file = folder.path().join("human-check.toml");
    let text = format!(
        r#"
[providers.a]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"
secret = {{ file = "a" }}
base_url = "http://127.0.0.1:{port}"

[providers.b]
kind = "hcaptcha"
site_key = "aacba776-ecc6-48a5-bc54-fb114be1ba5a"
secret = {{ file = "b" }}

[check]
use = "a"

[routes.signup]
on_outage = "fail-open"
"#
    );
    std::fs::write(&file, &text).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let deployment = Deployment::load(&file).unwrap();
        let guard = deployment.guard("signup").unwrap();
        let is_open = async |headers| {
            let pending = guard
                .inspect(&Head(headers))
                .with_tokens(Default::default());
            pending.decide().await.result().is_ok()
        };
        assert!(is_open(vec![("x-captcha-token", "t")]).await);
        let added = text.replace("use = \"a\"", "use = \"a\"\nfailover = \"b\"");
        std::fs::write(&file, added).unwrap();
        assert!(deployment.reload().unwrap());
        assert!(!is_open(Vec::new()).await);
    });
}

#[test]
fn a_reload_keeps_what_is_known_of_the_accounts() {
    let (port, folder) = unused_port_and_secrets();
    let file = folder.path().join("human-check.toml");
    let text = format!(
        r#"
[providers.a]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"
secret = {{ file = "a" }}
base_url = "http://127.0.0.1:{port}"

[providers.b]
kind = "hcaptcha"
site_key = "aacba776-ecc6-48a5-bc54-fb114be1ba5a"
secret = {{ file = "b" }}

[check]
use = "a"
fallback = ["b"]

[routes.signup]
"#
    );
    std::fs::write(&file, &text).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let deployment = Deployment::load(&file).unwrap();
        let guard = deployment.guard("signup").unwrap();
        let shown = || guard.select(&Head(Vec::new())).account().to_owned();
        assert_eq!(shown(), "a");
        let head = Head(vec![("x-captcha-token", "t")]);
        let decision = guard
            .inspect(&head)
            .with_tokens(Default::default())
            .decide()
            .await;
        assert!(decision.result().is_err());
        assert_eq!(shown(), "b");
        std::fs::write(&file, format!("{text}\n# changed\n")).unwrap();
        assert!(deployment.reload().unwrap());
        assert_eq!(shown(), "b");
        // Another service is another account.
        let moved = text.replace(&port.to_string(), "1");
        std::fs::write(&file, moved).unwrap();
        assert!(deployment.reload().unwrap());
        assert_eq!(shown(), "a");
    });
}
