//! The examples with a proof of work: challenges, tokens, and the files of the widget.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use example_pages::{Guards, ProofOfWork};
use human_check_altcha::{Altcha, Difficulty, Keys, widget};
use human_check_config::Deployment;
use human_check_core::{MemoryReplayStore, Secret};
use human_check_guard::{ChallengeEndpoint, Guard, RoutePolicy};
use human_check_testkit::{ManualClock, solve};

use crate::body_kinds::{comment, form};
use crate::client::{Connection, Request, Response};
use crate::fixture::{Framework, serve};

const CHALLENGE: &str = "/human-check-altcha/challenge";
const SECRET: &str = "p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa";

/// Creates the files that `npm install altcha` installs. The content of each file is its own path.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("altcha");
    for file in [
        "dist/external/altcha.min.js",
        "dist/external/altcha.css",
        "dist/workers/pbkdf2.js",
        "dist/workers/sha.js",
        "dist/workers/scrypt.js",
        "dist/workers/argon2id.js",
        "dist/i18n/de.js",
        "LICENSE.txt",
    ] {
        let path = package.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    fs::write(package.join("package.json"), r#"{"version":"3.2.2"}"#).unwrap();
    folder
}

fn with_widget(challenges: ChallengeEndpoint) -> ProofOfWork {
    let folder = installed();
    ProofOfWork::new(challenges, folder.path().into()).unwrap()
}

/// A running example whose challenges expire by a manual clock.
struct App {
    framework: Framework,
    clock: ManualClock,
    connection: Connection,
}

impl App {
    /// Starts all examples. An address gets at most `max_challenges` challenges a minute.
    fn all(max_challenges: u32) -> Vec<Self> {
        Framework::ALL
            .map(|framework| Self::start(framework, max_challenges))
            .into()
    }

    fn start(framework: Framework, max_challenges: u32) -> Self {
        let clock = ManualClock::starting_now();
        let store = MemoryReplayStore::new(1_000).with_clock(clock.clone());
        let keys = Keys::new(Secret::new(SECRET).unwrap()).unwrap();
        let altcha = Altcha::new(keys, "www.example.com", store).unwrap();
        let altcha = altcha
            .with_difficulty(Difficulty::sha().with_tries(50).unwrap())
            .with_clock(clock.clone());
        let altcha = Arc::new(altcha);
        let policy = |name| RoutePolicy::fail_closed(name).with_action("sign up");
        let builder = Guard::builder(Arc::clone(&altcha)).with_widget(widget(CHALLENGE).unwrap());
        let signup = builder.build(policy("signup")).unwrap();
        let challenges = ChallengeEndpoint::new(altcha)
            .with_guard(signup.clone())
            .with_rate(max_challenges, Duration::from_secs(60))
            .unwrap();
        let guards = Guards {
            comments: signup.with_policy(policy("comments")).unwrap(),
            signup,
            options: human_check_guard::OptionsEndpoint::new([]),
            health: human_check_guard::HealthEndpoint::new(),
            proof_of_work: Some(with_widget(challenges)),
        };
        Self {
            framework,
            clock,
            connection: Connection::to(serve(framework, guards)),
        }
    }

    fn send(&mut self, request: &Request) -> Response {
        let response = self.connection.send(request);
        response.unwrap_or_else(|| panic!("{:?} closed without a response", self.framework))
    }

    fn get(&mut self, path: &str) -> Response {
        self.send(&Request::post(path).method("GET"))
    }

    fn solved(&mut self) -> String {
        let response = self.get(CHALLENGE);
        assert_eq!(response.status, 200, "{:?} {response:?}", self.framework);
        solve(&response.body).unwrap()
    }

    fn sign_up(&mut self, field: &str) -> Response {
        self.send(&form(&[("email", "a@b"), ("altcha", field)]))
    }
}

#[test]
fn a_solved_challenge_passes_once() {
    for mut app in App::all(30) {
        let challenge = app.get(CHALLENGE);
        assert_eq!(challenge.status, 200, "{:?}", app.framework);
        assert_eq!(challenge.header("content-type"), Some("application/json"));
        assert_eq!(challenge.header("cache-control"), Some("no-store"));
        let field = solve(&challenge.body).unwrap();
        let first = app.sign_up(&field);
        assert_eq!(first.status, 200, "{:?} {first:?}", app.framework);
        let again = app.sign_up(&field);
        assert_eq!(
            (again.status, again.problem().as_str()),
            (403, "verification-failed"),
            "{:?}",
            app.framework
        );
        let field = app.solved();
        let sent = comment().header("X-Captcha-Token", field.clone());
        assert_eq!(app.send(&sent).status, 200, "{:?}", app.framework);
        assert_eq!(app.sign_up(&field).status, 403, "{:?}", app.framework);
    }
}

#[test]
fn a_late_tampered_or_missing_token_is_refused() {
    for mut app in App::all(30) {
        let late = app.solved();
        app.clock.advance(Duration::from_secs(301));
        assert_eq!(app.sign_up(&late).status, 403, "{:?}", app.framework);

        let json = String::from_utf8(STANDARD.decode(app.solved()).unwrap()).unwrap();
        // The percent sign shows that the value is encoded in the signed data.
        assert!(json.contains("sign%20up"), "{json}");
        let tampered = STANDARD.encode(json.replace("sign%20up", "log%20in"));
        let response = app.sign_up(&tampered);
        assert_eq!(
            (response.status, response.problem().as_str()),
            (403, "verification-failed"),
            "{:?}",
            app.framework
        );
        for unsolved in [
            form(&[("email", "a@b")]),
            form(&[("email", "a@b"), ("altcha", "")]),
        ] {
            let response = app.send(&unsolved);
            assert_eq!(
                (response.status, response.problem().as_str()),
                (403, "challenge-required"),
                "{:?}",
                app.framework
            );
        }
        let good = STANDARD.encode(json);
        assert_eq!(app.sign_up(&good).status, 200, "{:?}", app.framework);
    }
}

#[test]
fn an_address_that_takes_too_many_challenges_is_told_to_wait() {
    for mut app in App::all(2) {
        let solved = app.solved();
        app.solved();
        let third = app.get(CHALLENGE);
        assert_eq!(third.status, 429, "{:?}", app.framework);
        assert_eq!(
            third.header("retry-after"),
            Some("60"),
            "{:?}",
            app.framework
        );
        assert_eq!(third.header("cache-control"), Some("no-store"));
        assert!(third.json()["error"].is_string(), "{third:?}");
        assert_eq!(
            app.sign_up(&solved).status,
            200,
            "the first challenge stays valid"
        );
    }
}

#[test]
fn only_get_returns_a_challenge() {
    for mut app in App::all(30) {
        for method in ["POST", "PUT", "DELETE"] {
            let address = app.connection.address();
            let request = Request::post(CHALLENGE).method(method);
            let response = Connection::to(address).send(&request).unwrap();
            assert!(
                matches!(response.status, 404 | 405) && !response.body.contains("parameters"),
                "{:?} {method} {response:?}",
                app.framework
            );
        }
        // A response to HEAD has no body.
        let head = app.send(&Request::post(CHALLENGE).method("HEAD"));
        assert!(head.body.is_empty());
        app.solved();
    }
}

#[test]
fn the_widget_s_files_are_served_from_memory_and_no_others() {
    for mut app in App::all(30) {
        for (name, kind) in [
            ("widget.js", "text/javascript"),
            ("altcha.min.js", "text/javascript"),
            ("workers/sha.js", "text/javascript"),
            ("i18n/de.js", "text/javascript"),
            ("altcha.css", "text/css"),
            ("LICENSE.txt", "text/plain; charset=utf-8"),
        ] {
            let file = app.get(&format!("/human-check-altcha/{name}"));
            assert_eq!(file.status, 200, "{:?} {name}", app.framework);
            assert_eq!(
                file.header("content-type"),
                Some(kind),
                "{:?} {name}",
                app.framework
            );
            let last = name.rsplit('/').next().unwrap();
            let is_loader = name == "widget.js" && file.body.contains("$altcha");
            assert!(
                is_loader || file.body.ends_with(last),
                "{name}: {}",
                file.body
            );
        }
        for name in [
            "",
            "altcha.js",
            "package.json",
            "../package.json",
            "%2e%2e/package.json",
            "..%2fpackage.json",
            "workers/../../package.json",
            "workers/..%5c..%5cpackage.json",
            "workers/",
            "i18n/xx.js",
            "widget.js/x",
        ] {
            let address = app.connection.address();
            let request = Request::post(&format!("/human-check-altcha/{name}")).method("GET");
            let response = Connection::to(address).send(&request).unwrap();
            assert_eq!(
                response.status, 404,
                "{:?} {name} {response:?}",
                app.framework
            );
        }
    }
}

#[test]
fn the_page_loads_what_is_there_under_its_policy() {
    for mut app in App::all(30) {
        let page = app.get("/");
        assert!(page.body.contains("altcha-widget"), "{}", page.body);
        let policy = page.header("content-security-policy").unwrap();
        assert!(!policy.contains("unsafe"), "{policy}");
        let nonce = policy.split("'nonce-").nth(1).unwrap();
        let nonce = nonce.split('\'').next().unwrap();
        let scripts = page.body.matches("<script").count();
        let own = page.body.matches(&format!("nonce=\"{nonce}\"")).count();
        assert!(scripts > 0 && own >= scripts, "{}", page.body);
        let mut loaded = 0;
        for part in page.body.split("&quot;/human-check-altcha/").skip(1) {
            let name = part.split("&quot;").next().unwrap();
            let response = app.get(&format!("/human-check-altcha/{name}"));
            assert_eq!(response.status, 200, "{:?} {name}", app.framework);
            loaded += 1;
        }
        assert!(loaded >= 3, "script, style and challenges: {}", page.body);
    }
}

#[test]
fn variables_are_enough_and_without_a_proof_of_work_nothing_of_it_is_there() {
    let variables = [
        ("PROVIDER", "altcha"),
        ("SITE", "www.example.com"),
        ("SECRET", SECRET),
        ("DIFFICULTY", "sha"),
    ];
    let variables =
        variables.map(|(name, value)| (format!("HUMAN_CHECK_{name}"), value.to_owned()));
    let deployment = Deployment::builder().from_vars(variables).unwrap();
    let guard = |route| deployment.guard(route).unwrap();
    for framework in Framework::ALL {
        let challenges = deployment.challenge_endpoint("signup").unwrap().unwrap();
        let mut guards = Guards::new(guard("signup"), guard("comments"));
        let get = Request::post(CHALLENGE).method("GET");
        let without = Connection::to(serve(framework, guards.clone()))
            .send(&get)
            .unwrap();
        assert_eq!(without.status, 404, "{framework:?}");
        guards.proof_of_work = Some(with_widget(challenges));
        let mut connection = Connection::to(serve(framework, guards));
        let challenge = connection.send(&get).unwrap();
        let field = solve(&challenge.body).unwrap();
        let request = form(&[("email", "a@b"), ("altcha", &field)]);
        assert_eq!(
            connection.send(&request).unwrap().status,
            200,
            "{framework:?}"
        );
        assert_eq!(
            connection.send(&request).unwrap().status,
            403,
            "{framework:?}"
        );
    }
}

#[test]
fn a_missing_widget_stops_the_start_and_names_the_package() {
    let challenges = || {
        let variables = [("PROVIDER", "altcha"), ("SITE", "x"), ("SECRET", SECRET)];
        let variables =
            variables.map(|(name, value)| (format!("HUMAN_CHECK_{name}"), value.into()));
        let deployment = Deployment::builder().from_vars(variables).unwrap();
        deployment.challenge_endpoint("signup").unwrap().unwrap()
    };
    let empty = tempfile::tempdir().unwrap();
    for folder in ["".into(), empty.path().into()] {
        let error = ProofOfWork::new(challenges(), folder).unwrap_err();
        assert_eq!(error.field(), "HUMAN_CHECK_WIDGET");
        assert!(
            error.to_string().contains("npm install altcha@3"),
            "{error}"
        );
    }
}
