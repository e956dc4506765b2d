//! Tests of the demo over HTTP, with the requests that a browser sends.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::net::Ipv4Addr;

use human_check_altcha::WidgetFiles;
use human_check_demo::{Demo, Work};
use reqwest::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PROVIDERS: [(&str, &str); 7] = [
    ("altcha", "altcha"),
    ("turnstile", "cf-turnstile-response"),
    ("hcaptcha", "h-captcha-response"),
    ("recaptcha-v2", "g-recaptcha-response"),
    ("recaptcha-v3", "g-recaptcha-response"),
    ("recaptcha-enterprise", "g-recaptcha-response"),
    ("captchala", "captchala_token"),
];

struct Site {
    url: String,
    client: Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(Err("widget is missing in this test".to_owned())).await
    }

    async fn start_with(widget: Result<WidgetFiles, String>) -> Self {
        // In a build of the whole workspace, reqwest needs a crypto provider to be selected. Every
        // test but the first finds one selected, which is not an error here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let demo = Demo::new(listener, widget, Work::default()).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let url = demo.url();
        let served = tokio::spawn(demo.serve(async {
            let _ = stopped.await;
        }));
        Self {
            url,
            client: Client::builder().no_proxy().build().unwrap(),
            stop,
            served,
        }
    }

    async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.url));
        let request = request.header(ACCEPT, "text/html,*/*;q=0.8");
        request.send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = request.body(form).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// Returns a token as the widget on the page gets it, from the same server as its script.
    async fn mint(&self, provider: &str) -> String {
        if provider == "altcha" {
            let challenge = self.text("human-check-altcha/challenge").await;
            return human_check_testkit::solve(&challenge).unwrap();
        }
        let page = self.text(&format!("?provider={provider}")).await;
        let script = page.split("<script src=\"").nth(1).unwrap();
        let emulator: String = script.split('/').take(3).collect::<Vec<_>>().join("/");
        let score = match provider {
            "hcaptcha" => Some(0.1),
            "captchala" => Some(10.0),
            "recaptcha-v3" | "recaptcha-enterprise" => Some(0.9),
            _ => None,
        };
        let mint = json!({"provider": provider, "hostname": "127.0.0.1", "action": "signup", "score": score});
        let request = self.client.post(format!("{emulator}/emulator/mint"));
        let reply = request.body(mint.to_string()).send().await.unwrap();
        let reply: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
        reply["token"].as_str().unwrap().to_owned()
    }
}

fn header(response: &Response, name: impl reqwest::header::AsHeaderName) -> &str {
    response.headers()[name].to_str().unwrap()
}

/// Returns the number after the first occurrence of `mark`.
fn number_after(page: &str, mark: &str) -> u64 {
    let rest = page.split(mark).nth(1).unwrap_or_else(|| panic!("{mark}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn agreement(page: &str) -> [u64; 4] {
    ["both", "first-only", "second-only", "neither"]
        .map(|cell| number_after(page, &format!("data-cell=\"{cell}\">")))
}

#[tokio::test]
async fn every_page_is_sent_with_a_strict_policy() {
    let site = Site::start().await;
    let mut pages: Vec<String> = ["", "side-by-side", "simulate", "outage", "log", "metrics"]
        .map(str::to_owned)
        .into();
    pages.extend(PROVIDERS.map(|(provider, _)| format!("?provider={provider}")));
    pages.push("side-by-side?first=captchala&second=recaptcha-v3".to_owned());
    let mut nonces = Vec::new();
    for page in pages {
        let response = site.get(&page).await;
        assert_eq!(response.status(), 200, "{page}");
        let policy = header(&response, CONTENT_SECURITY_POLICY).to_owned();
        for part in [
            "default-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "object-src 'none'",
        ] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{page}: {policy}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert!(response.headers().contains_key("referrer-policy"));
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next();
        let nonce = nonce.unwrap().to_owned();
        assert!(nonce.len() >= 22, "{nonce}");
        let body = response.text().await.unwrap();
        for script in body.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains(&format!("nonce=\"{nonce}\"")), "{page}: {tag}");
        }
        assert!(!body.contains(" style=") && !body.contains(" onclick="));
        assert!(body.contains("<html lang=\"en\">") && body.contains("<main "));
        nonces.push(nonce);
    }
    let all = nonces.len();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), all, "a nonce is drawn for each response");
    for asset in ["demo.css", "demo.js", "icon.svg"] {
        assert_eq!(site.get(asset).await.status(), 200, "{asset}");
    }
    assert_eq!(site.get("nowhere").await.status(), 404);
    assert_eq!(site.get("?provider=unknown").await.status(), 404);
}

#[tokio::test]
async fn other_names_and_other_sites_are_refused() {
    let site = Site::start().await;
    let status = async |name, value: &str, post: bool| {
        let url = format!("{}simulate", site.url);
        let request = if post {
            site.client.post(url)
        } else {
            site.client.get(url)
        };
        let request = request.header(name, value);
        request.send().await.unwrap().status()
    };
    assert_eq!(status(HOST, "evil.example", false).await, 421);
    assert_eq!(status(HOST, "localhost.evil.example", false).await, 421);
    assert_eq!(status(HOST, "localhost:8642", false).await, 200);
    let from = reqwest::header::HeaderName::from_static("sec-fetch-site");
    assert_eq!(status(from.clone(), "cross-site", true).await, 403);
    assert_eq!(status(from.clone(), "cross-site", false).await, 200);
    // Other browsers send `Origin` and not `Sec-Fetch-Site`.
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(status(ORIGIN, origin, true).await, 403, "{origin}");
    }
    // These requests are not refused, although their body is not the form.
    assert_ne!(status(from, "same-origin", true).await, 403);
    let own = site.url.trim_end_matches('/').to_owned();
    assert_ne!(status(ORIGIN, &own, true).await, 403);
}

#[tokio::test]
async fn a_token_passes_once_with_every_provider() {
    let site = Site::start().await;
    for (provider, field) in PROVIDERS {
        let path = format!("signup/{provider}");
        let token = site.mint(provider).await;
        let form = [
            ("name", "Ada"),
            ("email", "ada@example.com"),
            (field, &token),
        ];
        let (status, page) = site.post(&path, &form).await;
        assert_eq!(status, 200, "{provider}: {page}");
        assert!(page.contains("You are signed up") && page.contains("Ada"));
        let again = format!("name=\"{field}\" value=\"{token}\"");
        assert!(page.contains(&again), "{provider} can be sent again");
        let (status, page) = site.post(&path, &form).await;
        assert_eq!(status, 403, "{provider}: {page}");
        assert!(page.contains("verification-failed"), "for the operator");
        assert!(page.contains("value=\"Ada\""), "what was typed is kept");
        assert!(!page.contains(&token), "a refused token is not repeated");
    }
}

#[tokio::test]
async fn what_was_typed_is_kept_and_escaped_when_the_check_is_missing() {
    let site = Site::start().await;
    let name = "\"><script>alert(1)</script>";
    let form = [("name", name), ("email", "ada@example.com")];
    let (status, page) = site.post("signup/turnstile", &form).await;
    assert_eq!(status, 403);
    assert!(page.contains("challenge-required") && page.contains("value=\"ada@example.com\""));
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("alert(1)"), "it is kept nevertheless");
    let token = site.mint("turnstile").await;
    let form = [
        ("name", name),
        ("email", "ada@example.com"),
        ("cf-turnstile-response", &token),
    ];
    let (status, page) = site.post("signup/turnstile", &form).await;
    assert_eq!(status, 200);
    assert!(!page.contains("<script>alert"), "{page}");
    // The body is not the form, so no provider is called.
    let (status, _) = site.post("signup/turnstile", &[("name", "Ada")]).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn two_providers_are_counted_side_by_side() {
    let site = Site::start().await;
    let path = "side-by-side?first=turnstile&second=hcaptcha";
    let empty = site.text(path).await;
    assert!(empty.contains("No visitor was compared yet"));
    let (first, second) = (site.mint("turnstile").await, site.mint("hcaptcha").await);
    let form = [
        ("cf-turnstile-response", first.as_str()),
        ("h-captcha-response", &second),
    ];
    let (status, page) = site.post(path, &form).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(agreement(&page), [1, 0, 0, 0]);
    // The same tokens again: both providers refuse them, which says nothing about the visitor.
    let (status, page) = site.post(path, &form).await;
    assert_eq!(status, 403);
    assert_eq!(agreement(&page), [1, 0, 0, 0]);
    let (status, page) = site.post(path, &[]).await;
    assert_eq!(status, 403);
    assert_eq!(agreement(&page), [1, 0, 0, 0], "no provider was called");
    let (status, page) = site
        .post("side-by-side/simulate?first=turnstile&second=hcaptcha", &[])
        .await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(agreement(&page).iter().sum::<u64>(), 51);
    assert!(page.contains("id=\"kappa\"") && page.contains("turnstile") && page.contains(" ms"));
    let other = site
        .text("side-by-side?first=hcaptcha&second=turnstile")
        .await;
    assert!(
        other.contains("No visitor was compared yet"),
        "roles are kept apart"
    );
}

/// Returns a part of the outage page: the account of its form, and the status of the last request.
fn shown(page: &str) -> (String, Option<u64>) {
    let account = option_member(page, "account");
    let status = page.contains("data-status=\"");
    (
        account,
        status.then(|| number_after(page, "data-status=\"")),
    )
}

/// Returns a member of the option that the page script shows first.
fn option_member(page: &str, name: &str) -> String {
    let mark = format!("&quot;{name}&quot;:&quot;");
    let rest = page.split(&mark).nth(1).unwrap_or_else(|| panic!("{name}"));
    rest.split("&quot;").next().unwrap().to_owned()
}

/// Returns a token of an account of the outage page, for a visitor with this risk.
async fn outage_token(site: &Site, provider: &str, risk: Option<f64>) -> String {
    let page = site.text("outage").await;
    let main = page.split("[providers.main]").nth(1).unwrap();
    let spare = page.split("[providers.spare]").nth(1).unwrap();
    let of = |text: &str| text.split("base_url = &#34;").nth(1).unwrap().to_owned();
    let text = if provider == "captchala" {
        of(main)
    } else {
        of(spare)
    };
    let emulator = text.split("&#34;").next().unwrap();
    let mint =
        json!({"provider": provider, "hostname": "127.0.0.1", "action": "signup", "score": risk});
    let request = site.client.post(format!("{emulator}/emulator/mint"));
    let reply = request.body(mint.to_string()).send().await.unwrap();
    let reply: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    reply["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_form_goes_on_while_the_first_provider_is_broken() {
    let site = Site::start().await;
    let page = site.text("outage").await;
    assert_eq!(shown(&page), ("main".to_owned(), None));

    // A whole service: the visitor's token stays unused, and the form shows the next provider.
    site.post("outage/break", &[("service", "true"), ("score", "good")])
        .await;
    let token = outage_token(&site, "captchala", Some(12.0)).await;
    let sent = [("name", "Ada <3"), ("captchala_token", token.as_str())];
    let (status, page) = site.post("outage", &sent).await;
    assert_eq!(status, 403, "{page}");
    assert_eq!(shown(&page), ("spare".to_owned(), Some(403)));
    assert!(
        page.contains("value=\"Ada &#60;3\""),
        "what was typed is kept"
    );
    let offer = option_member(&page, "offer");
    let token = outage_token(&site, "turnstile", None).await;
    let sent = [
        ("name", "Ada"),
        ("cf-turnstile-response", token.as_str()),
        ("human-check-offer", offer.as_str()),
    ];
    let (status, page) = site.post("outage", &sent).await;
    assert_eq!(status, 200, "{page}");
    for cell in [
        "<td>spare</td><td>fallback</td><td>turnstile</td>",
        "challenge-required",
    ] {
        assert!(page.contains(cell), "{cell}");
    }
    assert_eq!(shown(&site.text("outage").await).0, "spare");
    let log = site.text("log").await;
    assert!(
        log.contains("<td>spare: fallback</td><td>outage</td>"),
        "{log}"
    );
}

#[tokio::test]
async fn a_low_score_and_an_exhausted_quota_lead_to_another_challenge() {
    let cases = [
        ("score", "slightly-low", "stronger"),
        ("quota", "true", "spare"),
        ("score", "low", "main"),
    ];
    for (broken, value, account) in cases {
        let site = Site::start().await;
        site.post("outage/break", &[(broken, value)]).await;
        let risk = match value {
            "slightly-low" => 60.0,
            "low" => 95.0,
            _ => 12.0,
        };
        let token = outage_token(&site, "captchala", Some(risk)).await;
        // Over its quota, CaptchaLa's widget gives out tokens of another kind.
        let token = match broken {
            "quota" => token.replacen("pt_", "dg_", 1),
            _ => token,
        };
        let sent = [("name", "Ada"), ("captchala_token", token.as_str())];
        let (_, page) = site.post("outage", &sent).await;
        assert_eq!(
            shown(&page),
            (account.to_owned(), Some(403)),
            "{broken} {value}"
        );
    }
}

#[tokio::test]
async fn every_pair_can_be_simulated_or_says_why_not() {
    let site = Site::start().await;
    for (first, _) in PROVIDERS {
        for (second, _) in PROVIDERS {
            let page = site
                .text(&format!("side-by-side?first={first}&second={second}"))
                .await;
            let google = first.starts_with("recaptcha") && second.starts_with("recaptcha");
            let alike = first == second || google;
            assert_eq!(
                page.contains("cannot share a form"),
                alike,
                "{first} and {second}"
            );
        }
    }
    let (status, page) = site
        .post(
            "side-by-side/simulate?first=captchala&second=recaptcha-v3",
            &[],
        )
        .await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(agreement(&page).iter().sum::<u64>(), 50);
}

#[tokio::test]
async fn every_scene_ends_as_it_should_with_every_provider() {
    let site = Site::start().await;
    for (provider, _) in PROVIDERS {
        let silent = matches!(provider, "altcha" | "turnstile" | "hcaptcha");
        let quota = if silent {
            (200, "human")
        } else {
            (503, "verification-unavailable")
        };
        let down = match provider {
            "altcha" => (200, "human"),
            _ => (503, "verification-unavailable"),
        };
        for (scene, (status, decision)) in [
            ("human", (200, "human")),
            ("bot", (403, "verification-failed")),
            ("slow-provider", (200, "human")),
            ("provider-down", down),
            ("quota-used-up", quota),
            ("replay", (403, "verification-failed")),
        ] {
            let choice = [("provider", provider), ("scene", scene)];
            let (shown, page) = site.post("simulate", &choice).await;
            assert_eq!(shown, 200, "{provider}, {scene}: {page}");
            let shown_status = number_after(&page, "data-status=\"");
            assert_eq!(shown_status, status, "{provider}, {scene}");
            assert!(
                page.contains(&format!("\">{decision}</span>")),
                "{provider}, {scene}"
            );
            for what in [
                "The decision",
                "The status",
                "What the visitor sees",
                "What the operator sees",
            ] {
                assert!(page.contains(what));
            }
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_down_for_one_is_up_for_others() {
    let site = Site::start().await;
    let token = site.mint("turnstile").await;
    let choice = [("provider", "turnstile"), ("scene", "provider-down")];
    let form = [
        ("name", "Ada"),
        ("email", "ada@example.com"),
        ("cf-turnstile-response", &token),
    ];
    let (simulated, signed_up) = tokio::join!(
        site.post("simulate", &choice),
        site.post("signup/turnstile", &form)
    );
    assert_eq!(number_after(&simulated.1, "data-status=\""), 503);
    assert_eq!(signed_up.0, 200);
}

#[tokio::test]
async fn the_log_shows_decisions_and_tells_them_as_they_are_made() {
    let site = Site::start().await;
    let before = site.text("log").await;
    assert!(before.contains("data-last=\"0\""));
    let (_, _) = site
        .post("signup/hcaptcha", &[("name", "A"), ("email", "a@b.c")])
        .await;
    let shown = site.text("log").await;
    assert!(shown.contains("data-last=\"1\"") && shown.contains("challenge-required"));
    let mut events = site.get("log/events?after=0").await;
    assert_eq!(header(&events, CONTENT_TYPE), "text/event-stream");
    let mut received = String::new();
    while !received.contains("challenge-required") {
        received += std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap();
    }
    let token = site.mint("hcaptcha").await;
    let form = [
        ("name", "A"),
        ("email", "a@b.c"),
        ("h-captcha-response", &token),
    ];
    let (status, _) = site.post("signup/hcaptcha", &form).await;
    assert_eq!(status, 200);
    while !received.contains("\"decision\":\"human\"") {
        received += std::str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert!(
        received.contains("id: 2") || received.contains("id:2"),
        "{received}"
    );
    assert!(!received.contains(&token) && !received.contains("127.0.0.1"));
    let resumed = site.client.get(format!("{}log/events?after=0", site.url));
    let mut resumed = resumed.header("last-event-id", "1").send().await.unwrap();
    let first = resumed.chunk().await.unwrap().unwrap();
    assert!(
        std::str::from_utf8(&first)
            .unwrap()
            .contains("\"number\":2")
    );
}

#[tokio::test]
async fn the_log_keeps_the_latest_two_hundred() {
    let site = Site::start().await;
    for _ in 0..203 {
        site.post("signup/turnstile", &[("name", "A"), ("email", "a@b.c")])
            .await;
    }
    let shown = site.text("log").await;
    assert!(shown.contains("data-last=\"203\""));
    assert_eq!(shown.matches("<tr data-number=").count(), 200);
}

#[tokio::test]
async fn metrics_are_text_for_scrapers_and_a_page_for_people() {
    let site = Site::start().await;
    site.post("signup/turnstile", &[("name", "A"), ("email", "a@b.c")])
        .await;
    let request = site.client.get(format!("{}metrics", site.url));
    let response = request.send().await.unwrap();
    assert!(header(&response, CONTENT_TYPE).starts_with("text/plain; version=0.0.4"));
    assert_eq!(header(&response, "vary"), "accept");
    let text = response.text().await.unwrap();
    let counter = text.lines().find(|line| {
        line.starts_with("human_check_decisions_total{")
            && line.contains("route=\"signup\"")
            && line.contains("decision=\"challenge-required\"")
    });
    let count = counter.and_then(|line| line.rsplit(' ').next()).unwrap();
    assert!(count.parse::<u64>().unwrap() >= 1, "{text}");
    let page = site.text("metrics").await;
    assert!(page.contains("<html") && page.contains("challenge-required"));
    assert!(page.contains("How each request was decided"), "{page}");
}

#[tokio::test]
async fn it_ends_while_another_process_reads_along() {
    let site = Site::start().await;
    let mut events = site.get("log/events").await;
    assert_eq!(events.status(), 200);
    site.stop.send(()).unwrap();
    site.served.await.unwrap().unwrap();
    assert!(
        events.chunk().await.unwrap().is_none(),
        "the stream ended in order"
    );
}

#[tokio::test]
async fn the_widget_of_the_proof_of_work_is_served_where_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("altcha");
    for file in [
        "dist/external/altcha.min.js",
        "dist/external/altcha.css",
        "dist/workers/pbkdf2.js",
        "dist/workers/sha.js",
        "dist/workers/scrypt.js",
        "dist/workers/argon2id.js",
        "LICENSE.txt",
    ] {
        std::fs::create_dir_all(package.join(file).parent().unwrap()).unwrap();
        std::fs::write(package.join(file), file).unwrap();
    }
    std::fs::write(package.join("package.json"), r#"{"version":"3.2.2"}"#).unwrap();
    let site = Site::start_with(Ok(WidgetFiles::from_npm(folder.path()).unwrap())).await;
    let page = site.text("").await;
    assert!(page.contains("<altcha-widget") && page.contains("action=\"/signup/altcha\""));
    for (file, kind) in [("widget.js", "text/javascript"), ("altcha.css", "text/css")] {
        let response = site.get(&format!("human-check-altcha/{file}")).await;
        assert_eq!(response.status(), 200, "{file}");
        assert_eq!(header(&response, CONTENT_TYPE), kind);
    }
    let other = site.get("human-check-altcha/..%2fpackage.json").await;
    assert_eq!(other.status(), 404);

    let without = Site::start().await;
    let page = without.text("").await;
    assert!(
        page.contains("action=\"/signup/turnstile\""),
        "the first provider with a widget"
    );
    let page = without.text("?provider=altcha").await;
    assert!(page.contains("widget is missing in this test"), "{page}");
    assert!(!page.contains("<altcha-widget"));
}

/// The shares that the page counted, and what it says.
fn headline(page: &str) -> &str {
    let start = page.find("id=\"headline\">").unwrap() + "id=\"headline\">".len();
    page[start..].split('<').next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_experiment_finds_its_truth_and_stops_when_an_arm_breaks() {
    let site = Site::start().await;
    let start = site.text("experiment").await;
    assert!(start.contains("No day has gone by yet"), "{start}");
    for _ in 0..4 {
        site.post("experiment", &[("step", "week")]).await;
    }
    let page = site.text("experiment").await;
    assert!(page.contains("on day 28 of 28"), "{page}");
    // The truth is four points, nearly nine standard errors of 14,000 visitors.
    assert_eq!(headline(&page), "Turnstile completes more than hCaptcha");
    assert!(!page.contains("id=\"stopped\""));
    site.post("experiment", &[("step", "again")]).await;
    let _ = site.text("experiment").await;
    site.post("experiment", &[("step", "break")]).await;
    site.post("experiment", &[("step", "week")]).await;
    let page = site.text("experiment").await;
    assert!(
        page.contains("The experiment has stopped by itself on day"),
        "{page}"
    );
    assert!(page.contains("points less"), "{page}");
}
