//! Kinds of provider, apps, proxies and widgets in the file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

use std::sync::{Arc, Mutex};

use human_check_config::{AdapterSettings, Deployment, RegisteredCheck};
use human_check_core::{ConfigError, HumanCheck, Submission, Widget};
use human_check_testkit::Scripted;

fn secret(name: &str) -> Option<String> {
    (name == "HUMAN_CHECK_SECRET_MAIN").then(|| "CANARY-secret-0123456789".to_owned())
}

/// Returns a file with this account, which guards a sign-up.
fn file(account: &str) -> String {
    format!("[providers.main]\n{account}\n[check]\nuse = \"main\"\n[routes.signup]\n")
}

fn load(account: &str) -> Result<Deployment, ConfigError> {
    Deployment::builder().from_text(&file(account), secret)
}

fn error(account: &str) -> String {
    let error = load(account).expect_err(account).to_string();
    assert!(!error.contains("CANARY"), "{error}");
    error
}

#[test]
fn every_siteverify_kind_is_a_few_keys() {
    for (account, provider, fields, has_widget) in [
        (
            "kind = \"cap\"\ninstance = \"https://cap.example.com\"\nsite_key = \"k\"",
            "cap",
            "cap-token",
            false,
        ),
        (
            "kind = \"cap\"\ninstance = \"https://cap.example.com\"\nsite_key = \"k\"\nscript_url = \"/cap.js\"",
            "cap",
            "cap-token",
            true,
        ),
        (
            "kind = \"captchafox\"\nsite_key = \"sk_1\"",
            "captchafox",
            "cf-captcha-response",
            true,
        ),
        (
            "kind = \"friendly-captcha\"\nsite_key = \"FC1\"\nscript_url = \"/fc.js\"\nfields = [\"mine\"]",
            "friendly-captcha",
            "mine",
            true,
        ),
        (
            "kind = \"mcaptcha\"\ninstance = \"https://m.example.com\"\nsite_key = \"k\"",
            "mcaptcha",
            "mcaptcha__token",
            true,
        ),
    ] {
        let deployment = load(account).unwrap_or_else(|error| panic!("{account}: {error}"));
        let check = deployment.check();
        assert_eq!(check.providers()[0].name(), provider);
        assert_eq!(check.providers()[0].fields().next(), Some(fields));
        let guard = deployment.guard("signup").unwrap();
        assert_eq!(!guard.widgets().is_empty(), has_widget, "{account}");
        assert!(!format!("{deployment:?}").contains("CANARY"));
    }
    assert!(error("kind = \"cap\"\nsite_key = \"k\"").contains("providers.main.instance"));
    let turnstile = "kind = \"turnstile\"\nsite_key = \"k\"\ninstance = \"https://x.example\"";
    assert!(error(turnstile).contains("means nothing for turnstile"));
}

const ACME: &str = r#"
kind = "siteverify"
site_key = "acme-key"
fields = ["acme-response"]
hostnames = ["www.example.com"]

[providers.main.dialect]
url = "https://acme.example/validate"
json = true
token_member = "token"
client_ip_member = ""
constants = { site = "acme-key" }
success_at = "status"
success_text = "ok"
codes_at = "status"
hostname_at = "data.host"
codes = { ok = "ignored", used = "replayed", "wrong-secret" = "misconfigured" }
statuses = { 402 = "declined" }
max_token_bytes = 100

[providers.main.dialect.widget]
script = "https://acme.example/widget.js"
class = "acme"
frames = ["https://frames.acme.example"]
"#;

#[tokio::test]
async fn a_provider_without_a_kind_is_described_in_the_file() {
    let deployment = load(ACME).unwrap();
    let guard = deployment.guard("signup").unwrap();
    let widget = &guard.widgets()[0];
    assert_eq!(
        (widget.provider().name(), widget.field()),
        ("main", "acme-response")
    );
    let html = guard.html().to_string();
    assert!(
        html.contains("class=\"acme\" data-sitekey=\"acme-key\""),
        "{html}"
    );
    let check = deployment.check();
    let long = Submission::new().with_token(&check.providers()[0], "a".repeat(101));
    let verdict = check.check(&long).await.unwrap();
    assert_eq!(verdict.refusal().unwrap().reason().as_str(), "malformed");
}

#[test]
fn a_described_widget_may_have_functions() {
    let text = ACME.replace(
        "class = \"acme\"",
        "class = \"acme\"\nrender = \"acme.box\"",
    );
    let guard = load(&text).unwrap().guard("signup").unwrap();
    let place = guard.select(&Nothing).place().to_string();
    assert!(
        place.contains("&quot;global&quot;:&quot;acme.box&quot;"),
        "{place}"
    );
    let wrong = text.replace("acme.box", "acme box()");
    let message = load(&wrong).unwrap_err().to_string();
    assert!(message.contains("dialect.widget.render"), "{message}");
}

/// The head of a request without a header.
struct Nothing;

impl human_check_guard::RequestHead for Nothing {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn peer(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

#[test]
fn on_recaptcha_net_calls_script_and_policy_move_together() {
    let account =
        "kind = \"recaptcha-v2\"\nsite_key = \"k\"\nbase_url = \"https://www.recaptcha.net\"";
    let guard = load(account).unwrap().guard("signup").unwrap();
    let widget = &guard.widgets()[0];
    assert_eq!(
        widget.script_url(),
        "https://www.recaptcha.net/recaptcha/api.js"
    );
    let policy = guard.csp_sources().merge_into("default-src 'self'");
    for source in [
        "https://www.recaptcha.net",
        "https://www.gstatic.com/recaptcha/",
        "https://www.gstatic.cn/recaptcha/",
    ] {
        assert!(policy.contains(source), "{policy}");
    }
}

#[test]
fn a_mistake_in_a_dialect_is_named_by_its_key() {
    for (from, to, words) in [
        (
            "https://acme.example/validate",
            "http://acme.example",
            "dialect.url",
        ),
        ("fields = [\"acme-response\"]", "", "fields"),
        ("used = \"replayed\"", "used = \"replay\"", "codes.used"),
        ("402 = \"declined\"", "200 = \"declined\"", "statuses.200"),
        ("402 = \"declined\"", "402 = \"ignored\"", "statuses.402"),
        (
            "class = \"acme\"",
            "class = \"a\\\" onload=x\"",
            "dialect.widget.class",
        ),
        ("https://frames.acme.example", "*", "dialect.widget.frames"),
        (
            "https://frames.acme.example",
            "https://a.example; script-src *",
            "dialect.widget.frames",
        ),
        ("success_text", "success_txt", "dialect"),
        ("= 100", "= 0", "dialect.max_token_bytes"),
        ("= 100", "= 16385", "dialect.max_token_bytes"),
        ("\"token\"\nclient", "\"secret\"\nclient", "dialect"),
        (
            "https://acme.example/widget.js",
            "http://acme.example/widget.js",
            "dialect.widget.script",
        ),
        (
            "https://acme.example/widget.js",
            "https://acme.example;x/widget.js",
            "dialect.widget.script",
        ),
        (
            "https://acme.example/widget.js",
            "//acme.example/widget.js",
            "dialect.widget.script",
        ),
        (
            "json = true",
            "json = true\nscore_max_risk = 1.0",
            "dialect.score_max_risk",
        ),
        ("site_key = \"acme-key\"\nfields", "fields", "site_key"),
        ("site = \"acme-key\"", "token = \"x\"", "dialect"),
    ] {
        assert!(ACME.contains(from), "{from}");
        let error = error(&ACME.replacen(from, to, 1));
        assert!(error.contains(words), "{to}: {error}");
    }
}

#[test]
fn apps_are_named_apart_from_hosts() {
    let account = "kind = \"recaptcha-v2\"\nsite_key = \"6LdemoKey\"\n";
    assert!(load(&format!("{account}apps = [\"com.example.app\"]")).is_ok());
    assert!(
        load(&format!(
            "{account}apps = [\"com.example.app\"]\nhostnames = [\"a.example\"]"
        ))
        .is_ok()
    );
    let as_host = error(&format!("{account}hostnames = [\"com.example.app\"]"));
    assert!(
        as_host.contains("providers.main.hostnames") && as_host.contains("`apps`"),
        "{as_host}"
    );
    assert!(error(&format!("{account}apps = []")).contains("providers.main.apps"));
    for app in [
        "org.example.myapp",
        "COM.example.app.",
        "*.com.example.app",
        "com.example.app",
        "io.github.ada.tool",
    ] {
        let account = format!("{account}hostnames = [\"{app}\"]");
        assert!(error(&account).contains("`apps`"), "{app}");
    }
    for host in [
        "net.example.org",
        "de.example.com",
        "app.example.com",
        "my.shop.COM",
        "my.shop.com.",
        "shop.example",
        "my.router.localdomain",
        "us.app.consul",
        "org.team.internal",
        "localhost",
        "io.example.io",
    ] {
        assert!(
            load(&format!("{account}hostnames = [\"{host}\"]")).is_ok(),
            "{host}"
        );
    }
    assert!(error(&format!("{account}apps = [\"a b.c\"]")).contains("providers.main.apps"));
    let route = file(account) + "apps = [\"com.example.app\"]\n";
    assert!(Deployment::builder().from_text(&route, secret).is_ok());
}

#[test]
fn themes_sizes_and_languages_are_in_the_file() {
    let account = "kind = \"turnstile\"\nsite_key = \"0x4AAAAAAADemoSiteKey\"\n";
    let styled = format!("{account}theme = \"dark\"\nsize = \"compact\"\nlanguage = \"de\"");
    let guard = load(&styled).unwrap().guard("signup").unwrap();
    let widget = &guard.widgets()[0];
    let style = (widget.theme(), widget.size(), widget.language());
    assert_eq!(style, (Some("dark"), Some("compact"), Some("de")));
    assert!(error(&format!("{account}theme = \"neon\"")).contains("providers.main.theme"));
    let script = format!("{account}script_url = \"javascript:x\"");
    assert!(error(&script).contains("providers.main.script_url"));
}

#[test]
fn a_proxy_is_a_url_and_one_with_a_password_a_reference() {
    let account = "kind = \"turnstile\"\nsite_key = \"0x4AAAAAAADemoSiteKey\"";
    let with = |proxy: &str| {
        let text = file(account).replace(
            "use = \"main\"",
            &format!("use = \"main\"\nproxy = {proxy}"),
        );
        Deployment::builder().from_text(&text, |name| match name {
            "PROXY" => Some("http://ada:CANARY@proxy.internal:3128".to_owned()),
            "BAD" => Some("https://ada:CANARY@proxy.internal".to_owned()),
            name => secret(name),
        })
    };
    assert!(with("\"http://proxy.internal:3128\"").is_ok());
    assert!(with("{ env = \"PROXY\" }").is_ok());
    for (proxy, words) in [
        (
            "\"http://ada:CANARY@proxy.internal\"",
            "holds a user name or a password",
        ),
        ("\"https://proxy.internal\"", "is not `http`"),
        ("\"proxy.internal\"", "absolute URL"),
        ("{ env = \"BAD\" }", "is not `http`"),
        ("{ env = \"NO_SUCH\" }", "which is not set"),
        ("3128", "check.proxy"),
    ] {
        let error = with(proxy).expect_err(proxy).to_string();
        assert!(
            error.contains("check.proxy") && error.contains(words),
            "{proxy}: {error}"
        );
        assert!(!error.contains("CANARY"), "{error}");
    }
}

#[test]
fn an_adapter_in_code_is_named_in_the_file() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let builder = Deployment::builder().with_adapter("acme", move |account: AdapterSettings| {
        record.lock().unwrap().push(format!("{account:?}"));
        match account.settings.get("region").map(String::as_str) {
            Some("eu") => {
                let widget = human_check_turnstile_widget();
                Ok(RegisteredCheck::new(Scripted::human()).with_widget(widget))
            }
            _ => Err(ConfigError::new(
                "settings",
                "has no region",
                "write region = \"eu\"",
            )),
        }
    });
    let account = "kind = \"acme\"\nsettings = { region = \"eu\", retries = 3, fast = true }";
    let deployment = builder.from_text(&file(account), secret).unwrap();
    assert_eq!(deployment.guard("signup").unwrap().widgets().len(), 1);
    assert!(
        deployment.summary().contains("main (acme)"),
        "{}",
        deployment.summary()
    );
    let settings = seen.lock().unwrap().join("");
    assert!(settings.contains("\"retries\": \"3\"") && settings.contains("\"fast\": \"true\""));
    assert!(!settings.contains("CANARY"), "{settings}");
    let error = builder
        .from_text(&file("kind = \"acme\""), secret)
        .unwrap_err();
    assert!(
        error.to_string().contains("providers.main.settings"),
        "{error}"
    );
    // A kind that is not registered is an error with the known ones.
    let error = builder
        .from_text(&file("kind = \"acm\""), secret)
        .unwrap_err()
        .to_string();
    assert!(error.contains("providers.main.kind"), "{error}");
    let turnstile = "kind = \"turnstile\"\nsite_key = \"k\"\nsettings = { a = 1 }";
    assert!(builder.from_text(&file(turnstile), secret).is_err());
}

/// A widget of the provider whose tokens [`Scripted`] accepts.
fn human_check_turnstile_widget() -> Widget {
    use human_check_core::adapter::WidgetSpec;

    static SPEC: WidgetSpec = WidgetSpec::new("/acme.js", "acme", "data-key");
    Widget::new(&human_check_testkit::SCRIPTED, "key", &SPEC).unwrap()
}

#[test]
fn what_has_no_widget_has_no_theme_and_no_warning_about_hosts() {
    let cap = "kind = \"cap\"\ninstance = \"https://cap.example.com\"\nsite_key = \"a0000000-0000-4000-8000-000000000001\"";
    assert_eq!(load(cap).unwrap().warnings(), [""; 0]);
    assert!(error(&format!("{cap}\ntheme = \"dark\"")).contains("providers.main.theme"));
    let mcaptcha = cap.replace(
        "kind = \"cap\"",
        "kind = \"mcaptcha\"\nscript_url = \"/x.js\"",
    );
    assert!(error(&mcaptcha).contains("means nothing for mcaptcha"));
}

#[test]
fn enterprise_signs_in_in_one_of_three_ways() {
    let account = "kind = \"recaptcha-enterprise\"\nsite_key = \"6LdemoKey\"\nproject = \"p\"\nmin_score = 0.5\n";
    assert!(load(account).is_ok());
    assert!(load(&format!("{account}metadata_server = true")).is_ok());
    let both = error(&format!(
        "{account}metadata_server = true\nsecret = {{ env = \"X\" }}"
    ));
    assert!(both.contains("one way too many"), "{both}");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    std::fs::write(&key, "{\"CANARY\":1}").unwrap();
    let path = key.display();
    let bad = error(&format!(
        "{account}service_account = {{ file = \"{path}\" }}"
    ));
    assert!(bad.contains("providers.main.service_account"), "{bad}");
    let challenge = account.replace("min_score = 0.5", "enterprise_key = \"challenge\"");
    assert!(error(&challenge).contains("providers.main.min_score"));
    assert!(load(&format!("{challenge}min_score = 0.3")).is_ok());
}

#[test]
fn what_works_and_is_probably_wrong_is_a_warning() {
    let test_keys = "kind = \"turnstile\"\nsite_key = \"1x00000000000000000000AA\"\nallow_test_keys = true\nhostnames = [\"www.example.com\"]\nbase_url = \"http://127.0.0.1:8765\"";
    let warnings = load(test_keys).unwrap().warnings().join("\n");
    for words in [
        "allow_test_keys",
        "report the provider's own host",
        "emulator",
    ] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
    assert!(
        load(test_keys)
            .unwrap()
            .summary()
            .contains("test keys allowed, another base URL")
    );
    let moved = "kind = \"hcaptcha\"\nsite_key = \"a0000000-0000-4000-8000-000000000001\"\nhostnames = [\"203.0.113.5\", \"ex\u{430}mple.com\"]\nbase_url = \"https://gateway.example\"";
    let warnings = load(moved).unwrap().warnings().join("\n");
    for words in [
        "two (api.hcaptcha.com",
        "which is an address",
        "looks like \"example.com\"",
    ] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
    let plain = "kind = \"turnstile\"\nsite_key = \"0x4AAAAAAADemoSiteKey\"";
    let any_host = load(plain).unwrap().warnings();
    assert!(any_host[0].contains("any host"), "{any_host:?}");
    let declined = file(&format!(
        "{plain}\nhostnames = [\"www.example.com\", \"127.0.0.1\"]"
    )) + "on_declined = \"fail-open\"\n";
    let warnings = Deployment::builder()
        .from_text(&declined, secret)
        .unwrap()
        .warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("on_declined"),
        "{warnings:?}"
    );
    let good = load(&format!("{plain}\nhostnames = [\"www.example.com\"]")).unwrap();
    assert_eq!(good.warnings(), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_can_read_is_a_warning_and_a_pipe_an_error() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "0x4AAAAAAADemoSecret").unwrap();
    let account = format!(
        "kind = \"turnstile\"\nsite_key = \"0x4AAAAAAADemoSiteKey\"\nhostnames = [\"a.example\"]\nsecret = {{ file = \"{}\" }}",
        path.display()
    );
    for (mode, warned) in [(0o666, true), (0o644, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = load(&account).unwrap().warnings();
        assert_eq!(warnings.len(), usize::from(warned), "{mode:o} {warnings:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let error = error(&account);
    assert!(error.contains("it is not a file"), "{error}");
}

#[test]
fn a_variable_that_nests_tables_at_will_is_an_error() {
    for depth in [9, 20_000] {
        let name = format!("HUMAN_CHECK__{}", vec!["A"; depth].join("__"));
        let error = Deployment::builder().from_vars([(name, "x".to_owned())]);
        assert!(error.unwrap_err().problem().contains("names no key"));
    }
}

const OVER: &str = r#"
[providers.old]
kind = "hcaptcha"
site_key = "a0000000-0000-4000-8000-000000000001"
secret = { env = "S" }

[providers.main]
kind = "turnstile"
site_key = "0x4AAAAAAADemoSiteKey"

[check]
use = "main"
dual_accept = { use = "old", sunset = 2020-01-01 }

[routes.signup]
"#;

#[test]
fn a_program_starts_after_a_sunset_and_a_check_of_the_file_errs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("human-check.toml");
    let key = folder.path().join("key");
    std::fs::write(&key, "0x4AAAAAAADemoSecret").unwrap();
    let text = OVER.replace(
        "site_key = \"0x4AAAAAAADemoSiteKey\"",
        "site_key = \"0x4AAAAAAADemoSiteKey\"\nsecret = { file = \"key\" }",
    );
    std::fs::write(&path, text).unwrap();
    let running = Deployment::builder().load(&path).unwrap();
    let check = running.check();
    let names: Vec<_> = check.providers().iter().map(|p| p.name()).collect();
    assert_eq!(names, ["turnstile"], "the old account is not accepted");
    let checked = Deployment::builder().with_dry_run().load(&path);
    assert!(
        checked
            .unwrap_err()
            .to_string()
            .contains("check.dual_accept.sunset")
    );
}
