//! One model in three syntaxes: a file, variables, a figment.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

use human_check_config::Deployment;
use human_check_core::{ConfigError, HumanCheck};
use human_check_guard::Guard;

const SECRET: &str = "p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa";

fn from_vars(variables: &[(&str, &str)]) -> Result<Deployment, ConfigError> {
    let named = |(name, value): &(&str, &str)| (format!("HUMAN_CHECK_{name}"), (*value).to_owned());
    Deployment::builder().from_vars(variables.iter().map(named))
}

fn from_text(text: &str) -> Deployment {
    let secret = |name: &str| (name == "HUMAN_CHECK_SECRET").then(|| SECRET.to_owned());
    let deployment = Deployment::builder().from_text(text, secret);
    deployment.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Everything that can be observed of a deployment: the check with all its limits, the guard of a
/// route, the markup of its widgets, and the summary.
fn observed(deployment: &Deployment) -> [String; 4] {
    let guard = deployment.guard("signup").unwrap();
    [
        format!("{:#?}", deployment.check()),
        format!("{guard:#?}"),
        guard.html().as_str().to_owned(),
        deployment.summary(),
    ]
}

/// The short form and the file that it stands for.
const EXAMPLES: [(&[(&str, &str)], &str); 6] = [
    (
        &[
            ("PROVIDER", "turnstile"),
            ("SITE_KEY", "0x4AAAAAAADemoSiteKey"),
        ],
        r#"
        [providers.turnstile]
        kind = "turnstile"
        site_key = "0x4AAAAAAADemoSiteKey"
        "#,
    ),
    (
        &[
            ("PROVIDER", "turnstile"),
            ("SITE_KEY", "0x4AAAAAAADemoSiteKey"),
            ("ACTION", "signup"),
            ("HOSTNAMES", "www.example.com, *.shop.example"),
            ("ON_OUTAGE", "fail-open"),
            ("FIELD", "captcha-token"),
            ("HEADER", "X-Human"),
            ("CLIENT_ADDRESS", "x-forwarded-for"),
            ("TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1"),
        ],
        r#"
        [providers.turnstile]
        kind = "turnstile"
        site_key = "0x4AAAAAAADemoSiteKey"
        hostnames = ["www.example.com", "*.shop.example"]
        fields = ["captcha-token"]
        [routes."*"]
        action = "signup"
        on_outage = "fail-open"
        [site]
        header = "X-Human"
        client_address = "x-forwarded-for"
        trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
        "#,
    ),
    (
        &[
            ("PROVIDER", "hcaptcha"),
            ("SITE_KEY", "a0000000-0000-4000-8000-000000000001"),
            ("MAX_RISK", "0.7"),
            ("BASE_URL", "http://127.0.0.1:8765"),
        ],
        r#"
        [providers.hcaptcha]
        kind = "hcaptcha"
        site_key = "a0000000-0000-4000-8000-000000000001"
        max_risk = 0.7
        base_url = "http://127.0.0.1:8765"
        "#,
    ),
    (
        &[
            ("PROVIDER", "recaptcha-enterprise"),
            ("SITE_KEY", "6LdemoKey"),
            ("PROJECT", "demo-project"),
            ("ENTERPRISE_KEY", "score"),
            ("MIN_SCORE", "0.5"),
        ],
        r#"
        [providers.recaptcha-enterprise]
        kind = "recaptcha-enterprise"
        site_key = "6LdemoKey"
        project = "demo-project"
        enterprise_key = "score"
        min_score = 0.5
        "#,
    ),
    (
        &[
            ("PROVIDER", "captchala"),
            ("SITE_KEY", "app_demo_1"),
            ("TEST_KEYS", "allowed"),
        ],
        r#"
        [providers.captchala]
        kind = "captchala"
        site_key = "app_demo_1"
        allow_test_keys = true
        "#,
    ),
    (
        &[
            ("PROVIDER", "altcha"),
            ("SITE", "www.example.com"),
            ("DIFFICULTY", "sha"),
        ],
        r#"
        [providers.altcha]
        kind = "altcha"
        site = "www.example.com"
        difficulty = "sha"
        [replay_store]
        kind = "memory"
        "#,
    ),
];

/// The file with the tables that the short form has for every provider.
fn whole(text: &str) -> String {
    let name = text.split(['[', ']']).nth(1).unwrap();
    let secret = "secret = { env = \"HUMAN_CHECK_SECRET\" }";
    let text = text.replacen(&format!("[{name}]"), &format!("[{name}]\n{secret}"), 1);
    let account = name.strip_prefix("providers.").unwrap();
    let any = if text.contains("[routes") {
        ""
    } else {
        "[routes.\"*\"]\n"
    };
    format!("{text}\n{any}[check]\nuse = \"{account}\"\n")
}

#[test]
fn each_example_is_the_same_in_variables_and_in_a_file() {
    for (variables, text) in EXAMPLES {
        let variables = [variables, &[("SECRET", SECRET)]].concat();
        let [check, guard, html, summary] = observed(&from_vars(&variables).unwrap());
        let [of_file, guard_of_file, html_of_file, summary_of_file] =
            observed(&from_text(&whole(text)));
        assert_eq!(check, of_file);
        assert_eq!(guard, guard_of_file);
        assert_eq!(html, html_of_file);
        assert_eq!(summary, summary_of_file);
        assert!(!format!("{check}{guard}").contains(SECRET));
        if !check.contains("Altcha") {
            for part in ["Timeout", "CircuitBreaker", "max_in_flight: 512", "Enforce"] {
                assert!(check.contains(part), "{part}: {check}");
            }
        }
    }
}

#[test]
fn each_example_is_the_same_in_a_figment() {
    use figment::Figment;
    use figment::providers::{Format, Toml};

    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    for (_, text) in EXAMPLES {
        let file = format!("secret = {{ file = {:?} }}", secret.path());
        let text = whole(text).replace("secret = { env = \"HUMAN_CHECK_SECRET\" }", &file);
        let nested = text
            .replace("        [", "[")
            .replace('[', "[default.human_check.");
        // Lists and keys in quotes are no tables.
        let nested = nested
            .lines()
            .map(|line| match line.trim_start().starts_with('[') {
                true => line.to_owned(),
                false => line.replace("[default.human_check.", "["),
            })
            .collect::<Vec<_>>()
            .join("\n");
        let figment = Figment::from(Toml::string(&nested).nested());
        let deployment = Deployment::builder()
            .from_figment(&figment, "human_check")
            .unwrap_or_else(|error| panic!("{error}\n{nested}"));
        assert_eq!(observed(&deployment), observed(&from_text(&text)));
    }
}

#[test]
fn a_mistake_in_a_figment_is_told_with_its_source_and_key() {
    use figment::Figment;
    use figment::providers::{Format, Toml};

    let read = |text: &str| {
        let figment = Figment::from(Toml::string(text));
        let error = Deployment::builder().from_figment(&figment, "human_check");
        error.unwrap_err().to_string()
    };
    assert!(read("").contains("human_check` is missing"), "{}", read(""));
    let error = read("human_check = 3");
    assert!(error.contains("human_check` is not a table"), "{error}");
    let error =
        read("[human_check.check]\nuse = \"a\"\n[human_check.providers.a]\nkind = \"odd\"\n");
    for word in [
        "TOML source string",
        "human_check.providers.a.kind",
        "turnstile",
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let error = read(
        "[human_check.check]\nuse = \"a\"\n[human_check.providers.a]\nkind = \"turnstile\"\n\
         site_key = \"k\"\nsecret = { env = \"NO_SUCH\" }\n[human_check.routes.x]\n",
    );
    assert!(error.contains("human_check.providers.a.secret"), "{error}");
}

#[test]
fn the_rules_of_any_route_hold_for_routes_without_a_table_and_follow_a_reload() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let write = |any: &str| {
        let text = format!(
            "[providers.main]\nkind = \"turnstile\"\nsite_key = \"k\"\nsecret = {{ file = {:?} }}\n\
             [check]\nuse = \"main\"\n[routes.\"*\"]\naction = \"{any}\"\n\
             [routes.login]\naction = \"login\"\n",
            secret.path()
        );
        std::fs::write(file.path(), text).unwrap();
    };
    write("first");
    let deployment = Deployment::load(file.path()).unwrap();
    let action = |guard: &Guard| guard.snapshot().widgets()[0].action().unwrap().to_owned();
    let (signup, login) = (
        deployment.guard("signup").unwrap(),
        deployment.guard("login").unwrap(),
    );
    assert_eq!(
        (action(&signup), action(&login)),
        ("first".into(), "login".into())
    );
    assert_eq!(signup.policy().name(), "signup");
    assert!(signup.ptr_eq(&deployment.guard("signup").unwrap()));
    assert!(
        deployment.guard("*").is_err(),
        "it is the table of all routes, and not a route"
    );
    write("second");
    assert!(deployment.reload().unwrap());
    assert_eq!(
        (action(&signup), action(&login)),
        ("second".into(), "login".into())
    );
}

#[test]
fn without_a_table_for_any_route_an_unknown_one_is_an_error() {
    let text = whole(EXAMPLES[0].1).replace("[routes.\"*\"]", "[routes.signup]");
    let error = from_text(&text).guard("login").unwrap_err().to_string();
    assert!(
        error.contains("routes.login") && error.contains("routes.\"*\""),
        "{error}"
    );
}

const TURNSTILE: [(&str, &str); 3] = [
    ("PROVIDER", "turnstile"),
    ("SITE_KEY", "0x4AAAAAAADemoSiteKey"),
    ("SECRET", "0x4AAAAAAADemoSecret"),
];

fn changed(changes: &[(&str, &str)]) -> Result<Deployment, ConfigError> {
    let mut variables = TURNSTILE.to_vec();
    variables.retain(|(name, _)| !changes.iter().any(|(other, _)| other == name));
    variables.extend(changes);
    from_vars(&variables)
}

#[test]
fn a_variable_that_is_missing_misspelt_or_wrong_is_named() {
    for (changes, field) in [
        (&[("PROVIDER", "")][..], "HUMAN_CHECK_PROVIDER"),
        (&[("PROVIDER", "turnstyle")], "HUMAN_CHECK_PROVIDER"),
        (&[("SITE_KEY", " ")], "HUMAN_CHECK_SITE_KEY"),
        (&[("SECRET", "")], "HUMAN_CHECK_SECRET"),
        (&[("SECRET_FILE", "/x")], "HUMAN_CHECK_SECRET_FILE"),
        (
            &[("SECRET", ""), ("SECRET_FILE", "/no/such/file")],
            "HUMAN_CHECK_SECRET_FILE",
        ),
        (&[("HOSTNAME", "a.example")], "HUMAN_CHECK_HOSTNAME"),
        (&[("FIELD", "bad field")], "HUMAN_CHECK_FIELD"),
        (&[("HOSTNAMES", ",")], "HUMAN_CHECK_HOSTNAMES"),
        (
            &[("HOSTNAMES", "a.example,,b.example")],
            "HUMAN_CHECK_HOSTNAMES",
        ),
        (&[("HOSTNAMES", "not a host")], "HUMAN_CHECK_HOSTNAMES"),
        (&[("TRUSTED_PROXIES", " , ")], "HUMAN_CHECK_TRUSTED_PROXIES"),
        (
            &[("TRUSTED_PROXIES", "10.0.0.0/8")],
            "HUMAN_CHECK_TRUSTED_PROXIES",
        ),
        (
            &[("CLIENT_ADDRESS", "x-forwarded-for")],
            "HUMAN_CHECK_TRUSTED_PROXIES",
        ),
        (
            &[("CLIENT_ADDRESS", "X Y"), ("TRUSTED_PROXIES", "10.0.0.1")],
            "HUMAN_CHECK_CLIENT_ADDRESS",
        ),
        (&[("HEADER", "X Token")], "HUMAN_CHECK_HEADER"),
        (&[("PROJECT", "x")], "HUMAN_CHECK_PROJECT"),
        (&[("ON_OUTAGE", "open")], "HUMAN_CHECK_ON_OUTAGE"),
        (&[("TEST_KEYS", "yes")], "HUMAN_CHECK_TEST_KEYS"),
        (&[("MIN_SCORE", "high")], "HUMAN_CHECK_MIN_SCORE"),
        (&[("MIN_SCORE", "0.5")], "HUMAN_CHECK_MIN_SCORE"),
        (
            &[("BASE_URL", "https://x.example/path")],
            "HUMAN_CHECK_BASE_URL",
        ),
        (&[("PROVIDER", "recaptcha-v3")], "HUMAN_CHECK_MIN_SCORE"),
        (
            &[
                ("PROVIDER", "hcaptcha"),
                ("SITE_KEY", "a0000000-0000-4000-8000-000000000001"),
                ("ACTION", "signup"),
            ],
            "HUMAN_CHECK_ACTION",
        ),
        (&[("PROVIDER", "hcaptcha")], "HUMAN_CHECK_SITE_KEY"),
        (
            &[("SITE_KEY", "1x00000000000000000000AA")],
            "HUMAN_CHECK_SITE_KEY",
        ),
        (&[("SECRET", "0x4AAAAAAADemoSiteKey")], "HUMAN_CHECK_SECRET"),
        (
            &[("SECRET", "\"0x4AAAAAAADemoSecret\"")],
            "HUMAN_CHECK_SECRET",
        ),
        (&[("HOSTNAMES", "com.example.app")], "HUMAN_CHECK_HOSTNAMES"),
        (&[("HOSTNAMES", "*.co.uk")], "HUMAN_CHECK_HOSTNAMES"),
        (
            &[("HOSTNAMES", "www.example.com:8443")],
            "HUMAN_CHECK_HOSTNAMES",
        ),
        (&[("APPS", "notanapp")], "HUMAN_CHECK_APPS"),
        (&[("PROXY", "proxy.internal:3128")], "HUMAN_CHECK_PROXY"),
        (
            &[("INSTANCE", "https://cap.example.com")],
            "HUMAN_CHECK_INSTANCE",
        ),
        (
            &[("SECRET", "1x0000000000000000000000000000000AA")],
            "HUMAN_CHECK_SECRET",
        ),
    ] {
        let error = changed(changes)
            .err()
            .unwrap_or_else(|| panic!("{changes:?} is accepted"));
        assert_eq!(error.field(), field, "{changes:?}: {error}");
        assert!(!error.to_string().contains("DemoSecret"), "{error}");
        for constructor in ["with_test_keys", "::"] {
            assert!(
                !error.to_string().contains(constructor),
                "names no item of the library: {error}"
            );
        }
    }
}

#[test]
fn a_variable_in_small_letters_is_misspelt_and_not_absent() {
    let odd = ("Human_Check_Hostnames".to_owned(), "a.example".to_owned());
    let named = |(name, value): (&str, &str)| (format!("HUMAN_CHECK_{name}"), value.to_owned());
    let variables = TURNSTILE.into_iter().map(named).chain([odd]);
    let error = Deployment::builder().from_vars(variables).unwrap_err();
    assert_eq!(error.field(), "Human_Check_Hostnames");
}

#[test]
fn without_a_variable_the_error_names_both_ways() {
    let error = from_vars(&[]).unwrap_err().to_string();
    for name in ["HUMAN_CHECK_PROVIDER", "HUMAN_CHECK_CONFIG", "turnstile"] {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn single_keys_go_over_the_short_form() {
    let deployment =
        changed(&[("_REPLAY_STORE__KIND", "memory"), ("_CHECK__TIMEOUT", "2s")]).unwrap();
    let check = format!("{:?}", deployment.check());
    assert!(
        check.contains("ReplayGuard") && check.contains("2s"),
        "{check}"
    );
    let error = changed(&[("_CHECK__TIMEOUT", "2")]).unwrap_err();
    assert_eq!(error.field(), "HUMAN_CHECK__CHECK__TIMEOUT");
}

#[test]
fn the_secret_of_a_further_account_is_in_its_default_variable() {
    let further = [
        ("_PROVIDERS__SECOND__KIND", "hcaptcha"),
        (
            "_PROVIDERS__SECOND__SITE_KEY",
            "a0000000-0000-4000-8000-000000000001",
        ),
        ("_CHECK__FAILOVER", "second"),
    ];
    let error = changed(&further).unwrap_err();
    assert_eq!(error.field(), "environment: providers.second.secret");
    let error = error.to_string();
    assert!(error.contains("HUMAN_CHECK_SECRET_SECOND"), "{error}");
    let with_secret = [&further[..], &[("SECRET_SECOND", SECRET)]].concat();
    let deployment = changed(&with_secret).unwrap();
    let check = deployment.check();
    let names: Vec<_> = check.providers().iter().map(|p| p.name()).collect();
    assert_eq!(names, ["turnstile", "hcaptcha"]);
    assert!(!format!("{deployment:?}").contains(SECRET));
    // Without keys of its account it is a misspelt variable.
    for (misspelt, words) in [
        ("SECRET_", "write HUMAN_CHECK_SECRET"),
        ("SECRET_FLIE", "write HUMAN_CHECK_SECRET_FILE"),
        ("SECRET_OTHER", "HUMAN_CHECK__PROVIDERS__OTHER__"),
        ("SITEKEY", "write HUMAN_CHECK_SITE_KEY"),
    ] {
        let error = changed(&[(misspelt, SECRET)]).unwrap_err();
        assert_eq!(error.field(), format!("HUMAN_CHECK_{misspelt}"));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn the_short_form_beside_a_file_is_an_error() {
    let error = changed(&[("CONFIG", "human-check.toml")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("beside a configuration file"), "{error}");
}

#[test]
fn a_secret_comes_from_a_file_and_is_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0x4AAAAAAAFileSecret\n").unwrap();
    let name = file.path().to_str().unwrap().to_owned();
    let deployment = changed(&[("SECRET", ""), ("SECRET_FILE", &name)]).unwrap();
    assert!(!format!("{deployment:?}").contains("FileSecret"));
}

#[test]
fn the_field_reaches_the_check_and_the_widget() {
    let deployment = changed(&[("FIELD", "captcha")]).unwrap();
    let check = deployment.check();
    assert_eq!(
        check.providers()[0].fields().collect::<Vec<_>>(),
        ["captcha"]
    );
    let guard = deployment.guard("signup").unwrap();
    assert_eq!(guard.widgets()[0].field(), "captcha");
}

#[test]
fn a_server_that_no_store_is_on_is_an_error() {
    for (variable, value) in [
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("DIGEST_SECRET", "0123456789abcdef0123456789abcdef"),
    ] {
        let error = changed(&[(variable, value)]).unwrap_err();
        assert_eq!(error.field(), format!("HUMAN_CHECK_{variable}"));
        let remedy = "HUMAN_CHECK__REPLAY_STORE__KIND=redis";
        assert!(error.to_string().contains(remedy), "{error}");
    }
    let server = [
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("DIGEST_SECRET", "0123456789abcdef0123456789abcdef"),
    ];
    for (variable, value) in [
        ("_REPLAY_STORE__KIND", "redis"),
        ("_ATTEMPT_STORE__KIND", "redis"),
        ("_REPLAY_STORE", "{ kind = \"redis\" }"),
    ] {
        let changes = [&server[..], &[(variable, value)]].concat();
        assert!(changed(&changes).is_ok(), "{variable}");
    }
}
