//! Every metric by name, type and labels, against what an exporter would serve.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use human_check_core::{
    CheckError, CircuitBreakerPolicy, ClaimError, Claimed, Comparison, ComparisonSink, EventSink,
    ExperimentEvent, Health, HumanCheck, HumanCheckExt, MemoryReplayStore, Provider, ReplayStore,
    Score, Secret, Submission, TokenId,
};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    Account, AccountList, AttemptKey, AttemptStore, AttemptStoreError, Experiment, ExperimentArm,
    FallbackOn, Guard, MonthlyQuota, RoutePolicy, ScriptProbe, Selection, Trigger,
};
use human_check_http::{MockTransport, ProviderClient, Reply};
use human_check_recaptcha::{RECAPTCHA_V3, RecaptchaV3};
use human_check_testkit::{ManualClock, Scripted};
use metrics_exporter_prometheus::PrometheusBuilder;

static NEW: Provider = Provider::new("new", &["new-response"]);
static OLD: Provider = Provider::new("old", &["old-response"]);

fn both() -> Submission {
    Submission::new()
        .with_token(&NEW, "new-token")
        .with_token(&OLD, "old-token")
}

fn new(check: Scripted) -> Scripted {
    check.with_provider(&NEW)
}

fn old(check: Scripted) -> Scripted {
    check.with_provider(&OLD)
}

/// The name, the type and the labels of one metric.
type Metric = (String, String, BTreeSet<String>);

/// Returns the metrics of the table in the documentation.
fn documented() -> BTreeSet<Metric> {
    let page =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `human_check_"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`').to_owned());
        (
            cells[1].trim_matches('`').to_owned(),
            cells[2].to_owned(),
            labels.collect(),
        )
    })
    .collect()
}

/// Returns the metrics in the text of a scrape.
fn scraped(text: &str) -> BTreeSet<Metric> {
    let mut types = BTreeMap::new();
    let mut metrics = BTreeSet::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            let kind = if kind == "summary" { "histogram" } else { kind };
            types.insert(name.to_owned(), kind.to_owned());
        }
        let Some((name, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let plain = name.trim_end_matches("_sum").trim_end_matches("_count");
        let name = if types.contains_key(name) {
            name
        } else {
            plain
        };
        let labels = labels.split('}').next().unwrap().split(',');
        let labels = labels.map(|label| label.split('=').next().unwrap().to_owned());
        let labels = labels.filter(|label| label != "quantile").collect();
        metrics.insert((name.to_owned(), types[name].clone(), labels));
    }
    metrics
}

/// A store whose server is down.
#[derive(Debug)]
struct Down;

#[human_check_core::adapter::async_trait]
impl ReplayStore for Down {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        Err(ClaimError::new("not-connected"))
    }
}

#[derive(Debug)]
struct NoSink;

impl ComparisonSink for NoSink {
    fn record(&self, _: Comparison) {}

    fn lost(&self, _: &'static str) {}
}

/// Causes each metric of the core's combinators.
async fn drive_combinators() {
    let clock = ManualClock::starting_now();
    let mut policy = CircuitBreakerPolicy::default();
    policy.consecutive_failures = 1;
    let flaky = new(Scripted::unavailable().then(&Scripted::human()));
    let breaking = flaky
        .circuit_breaker(policy)
        .unwrap()
        .with_clock(clock.clone());
    let _ = breaking.check(&both()).await;
    assert_eq!(
        breaking.check(&both()).await.unwrap_err().reason(),
        "circuit-open"
    );
    clock.advance(Duration::from_secs(3_600));
    assert!(breaking.check(&both()).await.unwrap().is_human());

    let failing = new(Scripted::unavailable())
        .failover_to(old(Scripted::human()))
        .unwrap();
    assert!(failing.check(&both()).await.unwrap().is_human());
    let migrating = new(Scripted::human())
        .dual_accept(old(Scripted::human()))
        .unwrap();
    assert!(migrating.check(&both()).await.unwrap().is_human());
    let once = new(Scripted::human()).replay_guard(MemoryReplayStore::new(10));
    for human in [true, false] {
        assert_eq!(once.check(&both()).await.unwrap().is_human(), human);
    }
    assert!(
        new(Scripted::human())
            .replay_guard(Down)
            .check(&both())
            .await
            .is_err()
    );
    assert!(
        new(Scripted::human())
            .concurrency_limit(0)
            .check(&both())
            .await
            .is_err()
    );
    for places in [1, 0] {
        let shadow = new(Scripted::human())
            .shadow(old(Scripted::human()), NoSink)
            .unwrap();
        let shadow = shadow.with_max_in_flight(places);
        assert!(shadow.check(&both()).await.unwrap().is_human());
    }
    let slow = StalledCheck.timeout(Duration::from_millis(1));
    assert_eq!(slow.check(&both()).await.unwrap_err().reason(), "timeout");
    tokio::task::yield_now().await;
}

/// A check that never returns.
#[derive(Debug)]
struct StalledCheck;

#[human_check_core::adapter::async_trait]
impl HumanCheck for StalledCheck {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&NEW)
    }

    fn capabilities(&self) -> human_check_core::Capabilities {
        human_check_core::Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<human_check_core::Verdict, CheckError> {
        std::future::pending().await
    }
}

/// Decides about a request with a token on a route of `check`.
async fn decide(check: impl HumanCheck, refusals_before_warning: u32) {
    let guard = Guard::builder(check)
        .with_refusals_before_warning(refusals_before_warning)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    decide_by(&guard).await;
}

async fn decide_by(guard: &Guard) {
    let (parts, ()) = http::Request::post("/").body(()).unwrap().into_parts();
    let mut tokens = SubmittedTokens::none();
    tokens.push(
        guard.fields().find("g-recaptcha-response").unwrap(),
        "03AFcWeA",
    );
    let inspected = guard.inspect(&human_check_axum::Head(&parts));
    let _decision = inspected.with_tokens(tokens).decide().await;
}

/// Returns a check of reCAPTCHA v3 whose provider replies with this status and body.
fn recaptcha(status: u16, body: &'static str) -> RecaptchaV3 {
    let client = ProviderClient::new(MockTransport::always(Reply::new(status, body)));
    let secret = Secret::new("6Lsecret").unwrap();
    RecaptchaV3::new(&client, secret, Score::humanity(0.5).unwrap()).unwrap()
}

/// A script that cannot be loaded.
#[derive(Debug)]
struct NoScript;

#[human_check_core::adapter::async_trait]
impl ScriptProbe for NoScript {
    async fn probe_script(&self) -> Health {
        Health::Down("not-connected")
    }
}

/// Causes each metric of selection: an account goes down, its script cannot be loaded, and it has
/// troubles before.
async fn drive_selection() {
    let first = Account::new(
        "a",
        new(Scripted::declined().then(&Scripted::unavailable())),
    )
    .with_script_probe(NoScript);
    let selection = Selection::new(
        AccountList::new(first).with_fallback([Account::new("b", old(Scripted::human()))]),
    );
    let mut fallback_on = FallbackOn::default();
    fallback_on.declined = true;
    let guard = Guard::builder_for(selection.with_fallback_on(fallback_on))
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let (parts, ()) = http::Request::post("/").body(()).unwrap().into_parts();
    for pause in [0, 61, 61] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let mut tokens = SubmittedTokens::none();
        tokens.push(guard.fields().find("new-response").unwrap(), "t");
        let inspected = guard.inspect(&human_check_axum::Head(&parts));
        let _decision = inspected.with_tokens(tokens).decide().await;
        let _selected = guard.select(&human_check_axum::Head(&parts));
    }
}

/// Drops the events of an experiment.
#[derive(Debug)]
struct NoEvents;

impl EventSink for NoEvents {
    fn record(&self, _: ExperimentEvent) {}
}

/// Causes each metric of an experiment: a page is shown, and the experiment stops.
fn drive_experiment() {
    let (a, b) = (
        Account::new("a", new(Scripted::human())),
        Account::new("b", old(Scripted::human())),
    );
    let arms = [
        ExperimentArm::new(a.clone(), 0.5),
        ExperimentArm::new(b, 0.5),
    ];
    let experiment = Experiment::new("e", arms, NoEvents).unwrap();
    let switch = experiment.switch().clone();
    let selection = Selection::new(AccountList::new(a)).with_experiment(experiment);
    let guard = Guard::builder_for(selection)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let (parts, ()) = http::Request::get("/").body(()).unwrap().into_parts();
    let _selected = guard.select(&human_check_axum::Head(&parts));
    switch.stop();
    let _selected = guard.select(&human_check_axum::Head(&parts));
}

/// An attempt store whose server is down.
#[derive(Debug)]
struct NoAttempts;

#[human_check_core::adapter::async_trait]
impl AttemptStore for NoAttempts {
    async fn add(&self, _: &AttemptKey, _: Duration) -> Result<u32, AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }

    async fn count(&self, _: &AttemptKey) -> Result<u32, AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }

    async fn clear(&self, _: &AttemptKey) -> Result<(), AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }
}

/// Decides on a route whose trigger cannot count.
async fn drive_trigger() {
    let store = std::sync::Arc::new(NoAttempts);
    let trigger = Trigger::after_requests(store, 1, Duration::from_secs(60))
        .keyed_by(|_| Some(AttemptKey::named("one")));
    let guard = Guard::builder(new(Scripted::human()))
        .build(RoutePolicy::fail_closed("signup").with_trigger(trigger))
        .unwrap();
    let (parts, ()) = http::Request::post("/").body(()).unwrap().into_parts();
    let inspected = guard.inspect(&human_check_axum::Head(&parts));
    let _decision = inspected
        .with_tokens(SubmittedTokens::none())
        .decide()
        .await;
}

/// Causes each metric of a monthly quota.
async fn drive_quota() {
    let store = std::sync::Arc::new(human_check_guard::MemoryAttemptStore::new(10));
    let quota = MonthlyQuota::new(new(Scripted::human()), "a", store, 1).unwrap();
    assert!(quota.check(&both()).await.unwrap().is_human());
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Causes each metric. It needs a paused clock.
pub(crate) async fn drive_all() {
    drive_combinators().await;
    drive_selection().await;
    drive_experiment();
    drive_quota().await;
    drive_trigger().await;
    for reply in [
        r#"{"success":true,"score":0.9,"action":"a"}"#,
        r#"{"success":true,"score":0.1,"action":"a"}"#,
    ] {
        decide(recaptcha(200, reply), 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_metric_of_the_page_is_served_and_no_other() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    drive_all().await;
    let (served, documented) = (scraped(&handle.render()), documented());
    let missing: Vec<_> = documented.difference(&served).collect();
    let unknown: Vec<_> = served.difference(&documented).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:#?} unknown {unknown:#?}"
    );
}

#[tokio::test]
async fn the_gauges_of_a_configuration_that_was_replaced_end_with_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    let value = |metric: &str| {
        let text = handle.render();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{metric}{{")));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    let mut policy = CircuitBreakerPolicy::default();
    policy.consecutive_failures = 1;
    let breaking = new(Scripted::unavailable())
        .circuit_breaker(policy)
        .unwrap();
    let clone = breaking.clone();
    assert!(breaking.check(&both()).await.is_err());
    drop(breaking);
    assert_eq!(value("human_check_circuit_open"), "1", "a clone is used");
    let next = new(Scripted::human()).circuit_breaker(policy).unwrap();
    assert_eq!(
        value("human_check_circuit_open"),
        "0",
        "the next one is closed"
    );
    drop((clone, next));
    assert_eq!(value("human_check_circuit_open"), "0");
    decide(
        recaptcha(200, r#"{"success":true,"score":0.1,"action":"a"}"#),
        1,
    )
    .await;
    assert_eq!(
        value("human_check_all_refused"),
        "0",
        "the guard is dropped"
    );
    let build = |check: RecaptchaV3| {
        let guard = Guard::builder(check).with_refusals_before_warning(1);
        guard.build(RoutePolicy::fail_closed("signup")).unwrap()
    };
    let low = recaptcha(200, r#"{"success":true,"score":0.1,"action":"a"}"#);
    let guard = build(low.clone()).into_replaceable();
    decide_by(&guard.snapshot()).await;
    assert_eq!(value("human_check_all_refused"), "1");
    Guard::replace(&[(&guard, &build(low))]).unwrap();
    assert_eq!(value("human_check_all_refused"), "0", "replaced");
}

#[tokio::test(start_paused = true)]
async fn six_kinds_of_trouble_are_told_apart_by_provider_and_reason() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    let trouble = [
        (recaptcha(503, ""), "unavailable", "server-error"),
        (recaptcha(429, ""), "rate-limited", "rate-limited"),
        (
            recaptcha(
                200,
                r#"{"success":true,"score":0.9,"error-codes":["Over free quota."]}"#,
            ),
            "declined",
            "quota",
        ),
        (recaptcha(200, "nonsense"), "protocol", "unreadable-reply"),
        (
            recaptcha(
                200,
                r#"{"success":false,"error-codes":["invalid-input-secret"]}"#,
            ),
            "misconfigured",
            "secret",
        ),
        (
            recaptcha(
                200,
                r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#,
            ),
            "not-human",
            "expired-or-replayed",
        ),
    ];
    let mut expected = Vec::new();
    for (check, outcome, reason) in trouble {
        decide(check, 20).await;
        let labels = format!(r#"provider="recaptcha-v3",outcome="{outcome}",reason="{reason}""#);
        expected.push(format!("human_check_checks_total{{{labels}}} 1"));
    }
    let text = handle.render();
    for line in expected {
        assert!(
            text.lines().any(|served| served == line),
            "{line} is not in\n{text}"
        );
    }
    let decision = r#"decision="misconfigured",provider="recaptcha-v3",reason="secret""#;
    assert!(text.contains(decision), "{text}");
}

#[tokio::test(start_paused = true)]
async fn no_text_of_a_visitor_or_a_provider_is_a_label() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    let typed = r#"{"success":false,"error-codes":["canary-code"],"action":"canary-action","hostname":"canary.example"}"#;
    for _ in 0..3 {
        decide(recaptcha(200, typed), 1).await;
    }
    let submission = Submission::new().with_token(&RECAPTCHA_V3, "canary token");
    let _ = recaptcha(200, "{}").check(&submission).await;
    assert!(!handle.render().contains("canary"), "{}", handle.render());
}
