//! An experiment by configuration: what is read, what is written, and what stops it.
#![cfg(all(feature = "hcaptcha", feature = "turnstile", feature = "rustls"))]
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use human_check_compare::{Line, RecordReader, StopNote};
use human_check_config::Deployment;
use human_check_core::FunnelStep;
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{Guard, RequestHead, Visitor, Why};

/// A request without headers.
#[derive(Debug)]
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

/// A folder with a configuration whose providers are emulated.
struct Site {
    folder: tempfile::TempDir,
    emulator: Emulator,
}

impl Site {
    async fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            emulator: Emulator::start().await.unwrap(),
        };
        for provider in ["hcaptcha", "turnstile"] {
            let secret = EmulatedAccount::for_provider(provider).secret;
            std::fs::write(site.folder.path().join(provider), secret).unwrap();
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration with this table, and returns its path.
    fn write(&self, experiment: &str) -> PathBuf {
        let base = self.emulator.base_url();
        let account = |provider: &str| {
            let key = EmulatedAccount::for_provider(provider).site_key;
            format!(
                "[providers.{provider}]\nkind = \"{provider}\"\nsite_key = \"{key}\"\nsecret = {{ file = \"{provider}\" }}\nbase_url = \"{base}\"\n"
            )
        };
        let text = format!(
            "{}{}[check]\nuse = \"hcaptcha\"\n[routes.signup]\n[routes.login]\n[experiment]\n{experiment}",
            account("hcaptcha"),
            account("turnstile")
        );
        let path = self.path("human-check.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, experiment: &str) -> Result<Deployment, String> {
        Deployment::load(self.write(experiment)).map_err(|error| error.to_string())
    }

    /// One visitor: a page, a token, and a sign-up if the token is accepted and `completes` says so.
    async fn visit(&self, guard: &Guard, completes: impl Fn(&str) -> bool) {
        let page = guard.select(&Head);
        let provider = page.account().to_owned();
        let token = self.emulator.mint(&Mint::for_provider(&provider)).unwrap();
        let field = page.widget().unwrap().field().to_owned();
        let mut tokens = SubmittedTokens::none();
        tokens.push(guard.fields().find(&field).unwrap(), token);
        tokens.push(
            guard.fields().find("human-check-offer").unwrap(),
            page.offer(),
        );
        let decision = guard.inspect(&Head).with_tokens(tokens).decide().await;
        let visitor: Visitor = decision.require().unwrap();
        if let Some(receipt) = visitor.human().unwrap().receipt()
            && completes(&provider)
        {
            guard.completed(receipt);
        }
    }

    fn lines(&self, name: &str) -> Vec<Line> {
        let text = std::fs::read(self.path(name)).unwrap();
        let mut reader = RecordReader::new(&*text);
        let mut lines = Vec::new();
        while let Some((_, line)) = reader.read().unwrap() {
            lines.push(line.unwrap());
        }
        lines
    }
}

const TABLE: &str = "name = \"e\"\narms = { hcaptcha = 0.5, turnstile = 0.5 }\nroutes = [\"signup\"]\nfile = \"events.jsonl\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_of_the_route_take_part_and_the_file_has_the_plan() {
    let site = Site::new().await;
    let table = format!("{TABLE}planned = 4000\nmargin = 0.01\nuntil = 2999-01-01\n");
    let deployment = site.load(&table).unwrap();
    let (signup, login) = (
        deployment.guard("signup").unwrap(),
        deployment.guard("login").unwrap(),
    );
    for _ in 0..30 {
        site.visit(&signup, |_| true).await;
        assert_eq!(login.select(&Head).why(), Why::Primary);
    }
    drop((signup, login, deployment));
    let lines = site.lines("events.jsonl");
    let Line::Header(header) = &lines[0] else {
        panic!("{:?}", lines[0])
    };
    let plan = header.experiment.as_ref().unwrap();
    assert_eq!(
        (plan.name.as_str(), plan.planned, plan.margin),
        ("e", Some(4_000), Some(0.01))
    );
    let arms: Vec<_> = plan
        .arms
        .iter()
        .map(|arm| (arm.name.as_str(), arm.weights[0]))
        .collect();
    assert_eq!(arms, [("hcaptcha", 0.5), ("turnstile", 0.5)]);
    let count = |wanted: fn(&FunnelStep) -> bool| {
        let events = lines
            .iter()
            .filter(|line| matches!(line, Line::Event(event) if wanted(&event.step)));
        events.count()
    };
    assert_eq!(count(|step| matches!(step, FunnelStep::Shown { .. })), 30);
    assert_eq!(count(|step| matches!(step, FunnelStep::Judged { .. })), 30);
    assert_eq!(count(|step| matches!(step, FunnelStep::Completed)), 30);
}

/// Visits until the experiment has stopped, or fails after a minute.
async fn visit_until_stopped(site: &Site, guard: &Guard, completes: impl Fn(&str) -> bool) {
    let start = Instant::now();
    while guard.select(&Head).why() == Why::Arm {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it does not stop"
        );
        site.visit(guard, &completes).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_arm_that_completes_less_stops_the_experiment_for_good() {
    let site = Site::new().await;
    let deployment = site.load(TABLE).unwrap();
    let guard = deployment.guard("signup").unwrap();
    visit_until_stopped(&site, &guard, |provider| provider == "hcaptcha").await;
    // Visitors first, then the note.
    let start = Instant::now();
    let note = loop {
        if let Some(note) = StopNote::read(&site.path("events.jsonl.state"), "e").unwrap() {
            break note;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no note");
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (note.experiment.as_str(), note.arm.as_str()),
        ("e", "turnstile")
    );
    assert!(note.reason.contains("points less"), "{}", note.reason);
    // A reload does not start it again, and neither does a new process.
    site.write(&format!("{TABLE}planned = 100\n"));
    assert!(deployment.reload().unwrap());
    assert_eq!(guard.select(&Head).why(), Why::Primary);
    drop((guard, deployment));
    let again = site.load(TABLE).unwrap();
    assert_eq!(
        again.guard("signup").unwrap().select(&Head).why(),
        Why::Primary
    );
    // A new name does.
    let other = site.load(&TABLE.replace("\"e\"", "\"e2\"")).unwrap();
    assert_eq!(other.guard("signup").unwrap().select(&Head).why(), Why::Arm);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_by_another_process_is_noticed_by_the_state_file() {
    let site = Site::new().await;
    let table = format!("{TABLE}state_file = \"state.json\"\n");
    let deployment = site.load(&table).unwrap();
    let guard = deployment.guard("signup").unwrap();
    site.visit(&guard, |_| true).await;
    let note = StopNote::new("e", "turnstile", "by hand", std::time::SystemTime::now());
    note.write(&site.path("state.json")).unwrap();
    visit_until_stopped(&site, &guard, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_difference_and_without_a_guardrail_it_goes_on() {
    let site = Site::new().await;
    for (table, completes) in [
        (TABLE.to_owned(), true),
        (
            format!("{}guardrail = false\n", TABLE.replace("\"e\"", "\"f\"")),
            false,
        ),
    ] {
        let deployment = site.load(&table).unwrap();
        let guard = deployment.guard("signup").unwrap();
        for _ in 0..400 {
            site.visit(&guard, |provider| completes || provider == "hcaptcha")
                .await;
        }
        assert_eq!(guard.select(&Head).why(), Why::Arm);
    }
}

#[tokio::test]
async fn a_change_of_the_plan_is_a_new_header() {
    let site = Site::new().await;
    let deployment = site.load(TABLE).unwrap();
    let guard = deployment.guard("signup").unwrap();
    site.visit(&guard, |_| true).await;
    // A file that is refused changes nothing, and one with another name ends nothing.
    let wrong = "[routes.other]\nwithout.captchala = [\"action\"]\n";
    for (from, to) in [("turnstile = 0.5", "turnstile = 9"), ("\"e\"", "\"other\"")] {
        site.write(&format!("{}{wrong}", TABLE.replace(from, to)));
        deployment.reload().unwrap_err();
    }
    site.visit(&guard, |_| true).await;
    site.write(&TABLE.replace("turnstile = 0.5", "turnstile = 1.5"));
    assert!(deployment.reload().unwrap());
    site.visit(&guard, |_| true).await;
    drop((guard, deployment));
    let shown = |line: &Line| matches!(line, Line::Event(event) if matches!(event.step, FunnelStep::Shown { .. }));
    let lines = site.lines("events.jsonl");
    assert_eq!(lines.iter().filter(|line| shown(line)).count(), 3);
    let weights: Vec<_> = site
        .lines("events.jsonl")
        .into_iter()
        .filter_map(|line| match line {
            Line::Header(header) => Some(header.experiment.unwrap().arms[1].weights[0]),
            _ => None,
        })
        .collect();
    assert_eq!(weights, [0.5, 0.75]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_experiment_that_is_taken_out_ends() {
    let site = Site::new().await;
    let deployment = site.load(TABLE).unwrap();
    site.visit(&deployment.guard("signup").unwrap(), |_| true)
        .await;
    let text = std::fs::read_to_string(site.path("human-check.toml")).unwrap();
    let without = text.split("[experiment]").next().unwrap();
    std::fs::write(site.path("human-check.toml"), without).unwrap();
    assert!(deployment.reload().unwrap());
    let guard = deployment.guard("signup").unwrap();
    assert_eq!(guard.select(&Head).why(), Why::Primary);
    // The file is free for another writer.
    let lock = std::fs::File::open(site.path("events.jsonl.lock")).unwrap();
    let start = Instant::now();
    while lock.try_lock().is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the file is open"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_arm_meets_the_demands_of_its_routes_or_is_exempt() {
    let site = Site::new().await;
    let with = |route: &str| {
        let path = site.write(TABLE);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("[routes.signup]\n", &format!("[routes.signup]\n{route}"));
        std::fs::write(&path, text).unwrap();
        Deployment::load(path).map_err(|error| error.to_string())
    };
    // Turnstile reports no score, so it would refuse every visitor of its arm.
    let error = with("min_score = 0.5\n").unwrap_err();
    assert!(
        error.contains("without.turnstile = [\"min_score\"]"),
        "{error}"
    );
    let deployment = with("min_score = 0.5\nwithout.turnstile = [\"min_score\"]\n").unwrap();
    let summary = deployment.summary();
    for words in [
        "turnstile is exempt from min_score",
        "experiment  e: hcaptcha (hcaptcha, another base URL) at 0.5, current",
        "into events.jsonl",
    ] {
        assert!(summary.contains(words), "{summary}");
    }
    // A route that takes no part has no arms.
    let path = site.write(&TABLE.replace("[\"signup\"]", "[\"login\"]"));
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "[routes.signup]\n",
        "[routes.signup]\nwithout.turnstile = [\"action\"]\n",
    );
    std::fs::write(&path, &text).unwrap();
    let error = Deployment::load(path).unwrap_err().to_string();
    assert!(error.contains("names no account of this route"), "{error}");
    // So nothing of the route is demanded of the arms.
    let text = text.replace("without.turnstile = [\"action\"]\n", "min_score = 0.5\n");
    let path = site.path("other.toml");
    std::fs::write(&path, text).unwrap();
    let deployment = Deployment::load(&path).unwrap();
    let why = |route: &str| deployment.guard(route).unwrap().select(&Head).why();
    assert_eq!((why("login"), why("signup")), (Why::Arm, Why::Primary));
}

#[tokio::test]
async fn a_route_of_another_account_takes_no_part() {
    let site = Site::new().await;
    let path = site.write(&TABLE.replace("routes = [\"signup\"]\n", ""));
    let text = std::fs::read_to_string(&path).unwrap();
    // The account of the route is the other arm, which meets its demands.
    let own = "[routes.signup]\nuse = \"turnstile\"\naction = \"signup\"\n";
    std::fs::write(&path, text.replace("[routes.signup]\n", own)).unwrap();
    let deployment = Deployment::load(&path).unwrap();
    let why = |route: &str| deployment.guard(route).unwrap().select(&Head).why();
    assert_eq!((why("login"), why("signup")), (Why::Arm, Why::Primary));
}

#[tokio::test]
async fn what_is_wrong_with_the_table_is_named_with_a_remedy() {
    let site = Site::new().await;
    for (from, to, problem) in [
        ("hcaptcha = 0.5, ", "", "lacks \"hcaptcha\""),
        ("turnstile = 0.5", "captchala = 0.5", "captchala"),
        ("turnstile = 0.5", "turnstile = 0.0", "the weight 0"),
        ("turnstile = 0.5", "turnstile = 1e300", "from 0.001 to 1000"),
        (
            "file =",
            "state_file = \"no/such/folder/s\"\nfile =",
            "experiment.state_file",
        ),
        (
            "file =",
            "ramp = [\"1%\", \"2%\", \"3%\"]\nramp_every = \"9000000000000000000s\"\nstart = 2026-12-01\nfile =",
            "experiment.ramp_every",
        ),
        (", turnstile = 0.5", "", "has 1 entries"),
        ("\"e\"", "\"two words\"", "experiment.name"),
        (
            "[\"signup\"]",
            "[\"sign-up\"]",
            "there is no table [routes.sign-up]",
        ),
        ("[\"signup\"]", "[\"*\"]", "which stands for many routes"),
        (
            "file = \"events.jsonl\"",
            "file = \"no/such/folder/e.jsonl\"",
            "experiment.file",
        ),
        ("file =", "margin = 5\nfile =", "experiment.margin"),
        ("file =", "max_share = 0\nfile =", "experiment.max_share"),
        ("file =", "max_share = 1.1\nfile =", "experiment.max_share"),
        ("file =", "planned = 0\nfile =", "experiment.planned"),
        ("file =", "until = \"soon\"\nfile =", "experiment.until"),
        ("file =", "ramp = [\"1%\"]\nfile =", "experiment.ramp"),
        (
            "file =",
            "ramp = [\"x\"]\nramp_every = \"48h\"\nstart = 2026-12-01\nfile =",
            "no percentage",
        ),
        (
            "file =",
            "ramp_every = \"48h\"\nfile =",
            "is missing beside ramp_every",
        ),
        ("file =", "wight = 1\nfile =", "wight"),
    ] {
        let table = TABLE.replace(from, to);
        assert_ne!(table, TABLE, "{from}");
        let error = site.load(&table).unwrap_err();
        assert!(error.contains(problem), "{table}: {error}");
        assert!(error.contains("; "), "names a remedy: {error}");
    }
    std::fs::write(site.path("events.jsonl.state"), "{").unwrap();
    let error = site.load(TABLE).unwrap_err();
    assert!(error.contains("experiment.state_file"), "{error}");
}
