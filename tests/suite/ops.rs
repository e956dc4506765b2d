//! The alerting rules and the dashboard of `ops/`, against what a program serves while each kind of
//! trouble is brought about for real. `promtool` evaluates the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::{Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_config::Deployment;
use human_check_core::{
    Comparison, ComparisonSink, EventSink, ExperimentEvent, Health, HumanCheck, HumanCheckExt,
    MemoryReplayStore, Provider, Submission,
};
use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    Account, AccountList, Experiment, ExperimentArm, Guard, MemoryAttemptStore, MonthlyQuota,
    RequestHead, RoutePolicy, ScriptProbe, Selection,
};
use human_check_testkit::{SCRIPTED, Scripted};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::metrics;
use crate::server::Server;

fn ops() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops")
}

/// A request from an address.
#[derive(Debug)]
struct Head(IpAddr);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        Some(self.0)
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

/// A program with one guarded route, and what it depends on.
struct Program {
    emulator: Emulator,
    guard: Guard,
    visits: u32,
}

impl Program {
    /// Starts a program whose provider is emulated, with these lines in the tables of its account, its
    /// check and its route, and with these tables.
    async fn start(account: &str, check: &str, route: &str, tables: &str) -> Self {
        let secret = EmulatedAccount::for_provider("recaptcha-v2").secret;
        Self::start_with(&secret, account, check, route, tables).await
    }

    async fn start_with(
        secret: &str,
        account: &str,
        check: &str,
        route: &str,
        tables: &str,
    ) -> Self {
        let secret = secret.to_owned();
        let emulator = Emulator::start().await.unwrap();
        let keys = EmulatedAccount::for_provider("recaptcha-v2");
        let text = format!(
            "[providers.recaptcha]\nkind = \"recaptcha-v2\"\nsite_key = \"{}\"\nsecret = {{ env = \"SECRET\" }}\nbase_url = \"{}\"\n{account}\n[check]\nuse = \"recaptcha\"\n{check}\n[routes.signup]\n{route}\n{tables}",
            keys.site_key,
            emulator.base_url()
        );
        let deployment = Deployment::builder()
            .from_text(&text, move |name| {
                Some(match name {
                    "SECRET" => secret.clone(),
                    "KEY" => "0123456789abcdef0123456789abcdef".to_owned(),
                    // The text of the variable is in its name.
                    other => other.to_owned(),
                })
            })
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let guard = deployment.guard("signup").unwrap();
        Self {
            emulator,
            guard,
            visits: 0,
        }
    }

    /// Sends a token from an address of a network of its own.
    async fn send(&mut self, token: &str) {
        self.visits += 1;
        let [_, third, second, first] = (self.visits << 8).to_be_bytes();
        let _ = third;
        let address = Ipv4Addr::new(203, second, first, 7);
        self.send_from(address, token).await;
    }

    async fn send_from(&self, address: Ipv4Addr, token: &str) {
        let mut tokens = SubmittedTokens::none();
        let field = self.guard.fields().find("g-recaptcha-response").unwrap();
        tokens.push(field, token.to_owned());
        let head = Head(address.into());
        let inspected = self.guard.inspect(&head);
        let _decision = inspected.with_tokens(tokens).decide().await;
        let _selected = self.guard.select(&head);
    }

    fn mint(&self) -> String {
        let mint = Mint::for_provider("recaptcha-v2");
        self.emulator.mint(&mint).unwrap()
    }

    /// Sends tokens of as many visitors.
    async fn visit(&mut self, visitors: usize) {
        for _ in 0..visitors {
            let token = self.mint();
            self.send(&token).await;
        }
    }
}

/// The values of one scrape, by name and labels, with the type of each metric.
type Scrape = BTreeMap<String, (String, f64)>;

fn scrape(handle: &PrometheusHandle) -> Scrape {
    let text = handle.render();
    let mut types = BTreeMap::new();
    let mut values = Scrape::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else if let Some((series, value)) = line.rsplit_once(' ')
            && !line.starts_with('#')
        {
            let name = series.split('{').next().unwrap();
            let is_growing = name.ends_with("_sum") || name.ends_with("_count");
            let kind = match is_growing {
                true => "counter",
                false => types.get(name).map_or("gauge", String::as_str),
            };
            values.insert(series.to_owned(), (kind.to_owned(), value.parse().unwrap()));
        }
    }
    values
}

/// The names of the alerts that fire after the trouble has gone on for 20 minutes, as promtool says.
fn firing(before: &Scrape, after: &Scrape, named: &str) -> BTreeSet<String> {
    let names = alerts();
    let fires = |name: &str| {
        let expected = format!("'{{alertname=\"{name}\"}}'");
        evaluate(
            before,
            after,
            named,
            name,
            &format!("[{{ labels: {expected}, value: 1 }}]"),
        )
    };
    names.into_iter().filter(|name| fires(name)).collect()
}

/// Returns the names of all alerts.
fn alerts() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(ops().join("prometheus/rules.yml")).unwrap();
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// Returns whether an alert fires as expected.
fn evaluate(before: &Scrape, after: &Scrape, named: &str, alert: &str, expected: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let rules = ops().join("prometheus/rules.yml").canonicalize().unwrap();
    let mut test = format!(
        "rule_files:\n  - {}\nevaluation_interval: 1m\ntests:\n  - name: {named}\n    interval: 1m\n    input_series:\n",
        rules.display()
    );
    for (series, (kind, value)) in after {
        let first = before.get(series).map(|(_, value)| *value);
        let growth = value - first.unwrap_or(0.0);
        // 15 minutes as before, and then the trouble: what was counted once is counted each minute.
        let start = match first {
            Some(first) => format!("{first}x14"),
            None => "_x14".to_owned(),
        };
        let rest = match kind.as_str() {
            "counter" => format!("{value}+{growth}x30"),
            _ => format!("{value}x30"),
        };
        let series = series.replace('\'', "''");
        let _ = writeln!(
            test,
            "      - series: '{series}'\n        values: '{start} {rest}'"
        );
    }
    let _ = writeln!(
        test,
        "    promql_expr_test:\n      - expr: 'group by (alertname) (ALERTS{{alertstate=\"firing\", alertname=\"{alert}\"}})'\n        eval_time: 35m\n        exp_samples: {expected}"
    );
    let file = folder.path().join("test.yml");
    std::fs::write(&file, &test).unwrap();
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run promtool ({error}); install it, on Debian: apt-get install prometheus"
            )
        });
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let is_well_formed =
        output.status.success() || said.contains("FAILED:") && said.contains("exp:");
    assert!(is_well_formed, "{said}\n{test}");
    output.status.success()
}

/// Runs `trouble` between two scrapes, and returns the names of the alerts that fire, without the prefix
/// that all have.
async fn alarms<T>(
    named: &str,
    mut program: Program,
    trouble: impl AsyncFnOnce(&mut Program) -> T,
    handle: &PrometheusHandle,
) -> BTreeSet<String> {
    // The series of what works are there before.
    program.visit(3).await;
    let before = scrape(handle);
    let _kept = trouble(&mut program).await;
    let after = scrape(handle);
    fired(&before, &after, named)
}

/// Returns the names of the alerts that fire, without the prefix that all have.
fn fired(before: &Scrape, after: &Scrape, named: &str) -> BTreeSet<String> {
    let fired = firing(before, after, named).into_iter();
    fired
        .map(|name| name.trim_start_matches("HumanCheck").to_owned())
        .collect()
}

/// Installs a recorder for this test, and evaluates to its handle.
macro_rules! recorded {
    ($handle:ident) => {
        let recorder = PrometheusBuilder::new().build_recorder();
        let $handle = recorder.handle();
        let _local = ::metrics::set_default_local_recorder(&recorder);
    };
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn no_alert_fires_while_all_works() {
    recorded!(handle);
    let program = Program::start("", "", "", "").await;
    let fired = alarms(
        "all works",
        program,
        async |p: &mut Program| p.visit(20).await,
        &handle,
    );
    assert_eq!(fired.await, set(&[]));
}

#[tokio::test]
async fn each_trouble_of_a_provider_fires_its_own_alert() {
    let with_fault = |fault: Fault| {
        async move |program: &mut Program| {
            program.emulator.fail(fault, None);
            program.visit(25).await;
        }
    };
    for (named, fault, expected) in [
        (
            "an outage",
            Fault::status(503),
            &["ProviderDown", "VisitorsRefusedByOutage"][..],
        ),
        (
            "status 429",
            Fault::status(429),
            &["RateLimited", "VisitorsRefusedByOutage"],
        ),
        (
            "a page in place of a reply",
            Fault::Html { status: 200 },
            &["InvalidReplies", "VisitorsRefusedByOutage"],
        ),
        (
            "slow replies",
            Fault::delay(Duration::from_millis(1_200)),
            &["Slow"],
        ),
    ] {
        recorded!(handle);
        let program = Program::start("", "", "", "").await;
        // 25 slow replies would take half a minute.
        let fired = match named {
            "slow replies" => {
                let slow = async move |program: &mut Program| {
                    program.emulator.fail(fault, None);
                    program.visit(4).await;
                };
                alarms(named, program, slow, &handle).await
            }
            _ => alarms(named, program, with_fault(fault), &handle).await,
        };
        assert_eq!(fired, set(expected), "{named}");
    }
}

#[tokio::test]
async fn a_used_up_quota_fires_its_own_alert() {
    recorded!(handle);
    let program = Program::start("", "", "", "").await;
    let used_up = async |program: &mut Program| {
        program
            .emulator
            .configure(|knobs| knobs.quota_used_up = true);
        program.visit(25).await;
    };
    let fired = alarms("a used up quota", program, used_up, &handle).await;
    assert_eq!(fired, set(&["QuotaUsedUp", "VisitorsRefusedByOutage"]));
}

#[tokio::test]
async fn a_wrong_secret_a_wrong_host_and_bots_are_told_apart() {
    recorded!(handle);
    let secret = "6LAnotherSecretAnotherSecretAnotherSecr";
    let program = Program::start_with(secret, "", "", "", "").await;
    let rotated = async |program: &mut Program| program.visit(25).await;
    let fired = alarms("a wrong secret", program, rotated, &handle).await;
    assert_eq!(fired, set(&["Misconfigured"]));
    drop(handle);

    recorded!(handle);
    let program = Program::start("hostnames = [\"shop.example\"]", "", "", "").await;
    let fired = alarms(
        "a wrong host",
        program,
        async |p: &mut Program| p.visit(25).await,
        &handle,
    );
    assert_eq!(fired.await, set(&["ManyRefused", "NoTokenPasses"]));
    drop(handle);

    // One network sends what no provider has issued.
    recorded!(handle);
    let program = Program::start("", "", "", "").await;
    let bots = async |program: &mut Program| {
        for nth in 0..25 {
            let token = format!("03AFcWeA-made-up-{nth}");
            program
                .send_from(Ipv4Addr::new(198, 51, 100, 7), &token)
                .await;
        }
    };
    let fired = alarms("bots", program, bots, &handle).await;
    assert_eq!(fired, set(&["ManyRefused"]));
}

#[tokio::test]
async fn a_store_that_dies_fires_its_own_alert() {
    let redis = |server: &Server, name: &str| {
        format!(
            "[{name}]\nkind = \"redis\"\nurl = {{ env = \"{}\" }}\ndigest_secret = {{ env = \"KEY\" }}\n",
            server.url().expose()
        )
    };
    for (name, route, expected) in [
        (
            "replay_store",
            "",
            &["StoreFails", "VisitorsRefusedByOutage"][..],
        ),
        (
            "attempt_store",
            "[routes.signup.challenge]\nafter_requests = 1000\n",
            &["AttemptStoreFails"],
        ),
    ] {
        recorded!(handle);
        let mut server = Server::start();
        let program = Program::start("", "", route, &redis(&server, name)).await;
        let dies = async |program: &mut Program| {
            server.kill();
            program.visit(20).await;
            // Without a token the trigger counts.
            let inspected = program
                .guard
                .inspect(&Head(Ipv4Addr::new(203, 0, 113, 9).into()));
            let _decision = inspected
                .with_tokens(SubmittedTokens::none())
                .decide()
                .await;
        };
        let fired = alarms(name, program, dies, &handle).await;
        assert_eq!(fired, set(expected), "{name}");
    }
}

#[tokio::test]
async fn an_open_route_a_full_house_and_replays_fire_their_alerts() {
    recorded!(handle);
    let program = Program::start("", "", "on_outage = \"fail-open\"", "").await;
    let outage = async |program: &mut Program| {
        program.emulator.fail(Fault::status(503), None);
        program.visit(25).await;
    };
    let fired = alarms("an open route", program, outage, &handle).await;
    assert_eq!(fired, set(&["PassesUnverified", "ProviderDown"]));
    drop(handle);

    recorded!(handle);
    let program = Program::start("max_in_flight = 1", "", "", "").await;
    let flood = async |program: &mut Program| {
        program
            .emulator
            .fail(Fault::delay(Duration::from_millis(200)), None);
        let tokens: Vec<String> = (0..20).map(|_| program.mint()).collect();
        let sent = tokens
            .iter()
            .zip(1..)
            .map(|(token, nth)| program.send_from(Ipv4Addr::new(203, 0, nth, 7), token));
        futures_util::future::join_all(sent).await;
    };
    let fired = alarms("a full house", program, flood, &handle).await;
    assert_eq!(fired, set(&["TooManyInFlight", "VisitorsRefusedByOutage"]));
    drop(handle);

    recorded!(handle);
    let program = Program::start("", "", "", "[replay_store]\nkind = \"memory\"\n").await;
    // The emulated provider takes this token again and again, as one that keeps no account would.
    let replays = async |program: &mut Program| {
        program.visit(20).await;
        let check = Scripted::human().replay_guard(MemoryReplayStore::new(100));
        for _ in 0..20 {
            let submission =
                Submission::new().with_token(&SCRIPTED, "one token, sent again and again");
            let _verdict = HumanCheck::check(&check, &submission).await;
        }
    };
    let fired = alarms("replays", program, replays, &handle).await;
    assert_eq!(fired, set(&["ManyReplays"]));
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

/// Drops what it receives.
#[derive(Debug)]
struct Nothing;

impl EventSink for Nothing {
    fn record(&self, _: ExperimentEvent) {}
}

impl ComparisonSink for Nothing {
    fn record(&self, _: Comparison) {}

    fn lost(&self, _: &'static str) {}
}

static OTHER: Provider = Provider::new("other", &["other-response"]);

#[tokio::test(start_paused = true)]
async fn a_missing_script_a_stopped_experiment_lost_comparisons_and_a_quota_fire_their_alerts() {
    recorded!(handle);
    let before = scrape(&handle);
    let head = Head(Ipv4Addr::new(203, 0, 113, 9).into());
    let guard_of = |selection: Selection| {
        Guard::builder_for(selection)
            .build(RoutePolicy::fail_closed("signup"))
            .unwrap()
    };
    let account = Account::new("scripted", Scripted::human()).with_script_probe(NoScript);
    let guard = guard_of(Selection::new(AccountList::new(account)));
    for _ in 0..5 {
        let _selected = guard.select(&head);
        tokio::time::sleep(Duration::from_secs(61)).await;
    }

    let [current, candidate] = [
        Account::new("scripted", Scripted::human()),
        Account::new("other", Scripted::human().with_provider(&OTHER)),
    ];
    let arms = [
        ExperimentArm::new(current.clone(), 0.5),
        ExperimentArm::new(candidate, 0.5),
    ];
    let experiment = Experiment::new("signup-2026", arms, Nothing).unwrap();
    let switch = experiment.switch().clone();
    let guard = guard_of(Selection::new(AccountList::new(current)).with_experiment(experiment));
    switch.stop();
    let _selected = guard.select(&head);

    let shadow = Scripted::human().shadow(Scripted::human().with_provider(&OTHER), Nothing);
    let shadow = shadow.unwrap().with_max_in_flight(0);
    let submission = Submission::new().with_token(&SCRIPTED, "a-token-that-is-long-enough");
    assert!(
        HumanCheck::check(&shadow, &submission)
            .await
            .unwrap()
            .is_human()
    );

    let store = Arc::new(MemoryAttemptStore::new(10));
    let quota = MonthlyQuota::new(Scripted::human(), "scripted", store, 10).unwrap();
    for _ in 0..9 {
        assert!(
            HumanCheck::check(&quota, &submission)
                .await
                .unwrap()
                .is_human()
        );
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    let fired = fired(&before, &scrape(&handle), "others");
    assert_eq!(
        fired,
        set(&[
            "ComparisonsLost",
            "ExperimentStopped",
            "QuotaNearlyUsedUp",
            "ScriptDown"
        ])
    );
}

#[test]
fn each_alert_has_its_section_in_the_runbook_and_each_is_brought_about_here() {
    let page = ops().join("../docs/how-to/on-call.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rules = std::fs::read_to_string(ops().join("prometheus/rules.yml")).unwrap();
    let own = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/ops.rs"));
    let own = own.unwrap();
    for alert in alerts() {
        assert!(
            page.contains(&format!("### {alert}\n")),
            "{alert} has no section"
        );
        let anchor = format!("docs/how-to/on-call.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&anchor), "{alert} does not lead to {anchor}");
        let name = alert.trim_start_matches("HumanCheck");
        assert!(
            own.contains(&format!("\"{name}\"")),
            "{alert} is not tested"
        );
    }
}

/// A real Prometheus that scrapes what this test serves.
struct Prometheus {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it with the rules of `ops/`. It scrapes the metrics of `handle` each second.
    fn start(handle: PrometheusHandle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4_096]);
                let head = "HTTP/1.0 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\r\n";
                let _ = stream.write_all((head.to_owned() + &handle.render()).as_bytes());
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let rules = ops().join("prometheus/rules.yml").canonicalize().unwrap();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{:?}]\nscrape_configs:\n  - job_name: site\n    static_configs:\n      - targets: [\"{target}\"]\n",
            rules.display().to_string()
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .current_dir(folder.path())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run prometheus ({error}); install it, on Debian: apt-get install prometheus")
            });
        Self {
            port,
            child,
            _folder: folder,
        }
    }

    /// Returns the result of a call of its API. `None` while it does not reply.
    fn call(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .write_all(format!("GET /api/v1/{path} HTTP/1.0\r\n\r\n").as_bytes())
            .ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (_, body) = reply.split_once("\r\n\r\n")?;
        Some(serde_json::from_str::<serde_json::Value>(body).ok()?["data"].clone())
    }

    /// Returns how many series a query has now.
    fn series(&self, query: &str) -> usize {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let data = self.call(&format!("query?query={query}"));
        data.map_or(0, |data| data["result"].as_array().map_or(0, Vec::len))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the queries of the panels, each with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(ops().join("grafana/human-check.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap().replace("$route", ".*");
            all.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn every_panel_of_the_dashboard_has_data_and_no_rule_fails_in_a_real_prometheus() {
    recorded!(handle);
    metrics::drive_all().await;
    let prometheus = Prometheus::start(handle.clone());
    let start = Instant::now();
    let until = |what: &str, is_so: &mut dyn FnMut() -> bool| {
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let visits = "human_check_decisions_total";
    until("no scrape", &mut || prometheus.series(visits) > 0);
    // What grows between two scrapes has a rate.
    metrics::drive_all().await;
    let queries = queries();
    assert!(queries.len() > 25, "{}", queries.len());
    for (panel, query) in &queries {
        until(&format!("{panel} has no data: {query}"), &mut || {
            prometheus.series(query) > 0
        });
    }
    let rules = prometheus.call("rules").unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let health: BTreeSet<String> = rules.map(|rule| rule["health"].to_string()).collect();
    assert_eq!(health, BTreeSet::from(["\"ok\"".to_owned()]));
}

#[test]
fn every_metric_of_the_page_is_on_the_dashboard() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let names = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `human_check_"));
    let queries = queries();
    for name in names.map(|rest| rest.split('`').next().unwrap()) {
        let is_shown = queries.iter().any(|(_, query)| query.contains(name));
        assert!(is_shown, "human_check_{name} has no panel");
    }
}
