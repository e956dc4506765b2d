//! What the providers serve to browsers: scripts of our own that behave as the contracts say, and the
//! frame that their widgets stand in.
//!
//! A frame mints its token here, for the host of the page around it as the browser states it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::emulated_account::EmulatedAccount;
use crate::http::{Outgoing, RecordedRequest};
use crate::mint::Mint;
use crate::state::State;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A frame loads what is its own and asks its own origin.
const FRAME_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'";

/// A provider's script behind the part that it shares with the others, in a scope of its own.
macro_rules! script {
    ($provider:literal) => {
        concat!(
            "(function () {\n\"use strict\";\n",
            include_str!("browser/host.js"),
            include_str!($provider),
            "})();\n"
        )
    };
}

/// Where the frames of a provider are, and whose tokens they mint.
struct Place {
    directory: &'static str,
    providers: &'static [&'static str],
}

const PLACES: [Place; 4] = [
    Place {
        directory: "/turnstile/v0",
        providers: &["turnstile"],
    },
    Place {
        directory: "/1",
        providers: &["hcaptcha"],
    },
    Place {
        directory: "/recaptcha",
        providers: &["recaptcha-v2", "recaptcha-v3", "recaptcha-enterprise"],
    },
    // Its widget stands in the page itself.
    Place {
        directory: CAPTCHALA,
        providers: &["captchala"],
    },
];

const CAPTCHALA: &str = "/captchala";

/// What a widget asks, first whether its key will do and then for a token.
#[derive(Deserialize)]
struct BoxQuestion {
    sitekey: String,
    hostname: String,
    mode: Mode,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    cdata: Option<String>,
    #[serde(default)]
    server_token: Option<String>,
    solve: bool,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Checkbox,
    Invisible,
    Score,
}

/// A provider's code for the page's script, and words for the visitor.
struct Complaint(String, &'static str);

/// Answers a browser, if this is for one.
pub(crate) fn answer(state: &mut State, request: &RecordedRequest) -> Option<Outgoing> {
    let asked = PLACES.iter().find(|place| {
        let rest = request.path.strip_prefix(place.directory);
        rest == Some("/answer")
    });
    let (method, mut reply) = match asked {
        Some(place) => ("POST", talk(state, place, request)),
        None => ("GET", file(&request.path)?),
    };
    state.see(request);
    if request.method != method {
        reply = Outgoing::text(405, "text/plain", "");
    }
    reply.headers.push(("cache-control", "no-store".to_owned()));
    Some(reply)
}

fn file(path: &str) -> Option<Outgoing> {
    let script = match path {
        "/turnstile/v0/api.js" => script!("browser/turnstile.js"),
        "/1/api.js" => script!("browser/hcaptcha.js"),
        "/recaptcha/api.js" | "/recaptcha/enterprise.js" => script!("browser/recaptcha.js"),
        "/captchala-loader.js" => include_str!("browser/captchala-loader.js"),
        "/captchala.js" => include_str!("browser/captchala.js"),
        _ => return frame(path),
    };
    let mut reply = Outgoing::text(200, JAVASCRIPT, script);
    // Some pages load it with `crossorigin`.
    reply.headers.push(any_origin());
    Some(reply)
}

fn frame(path: &str) -> Option<Outgoing> {
    let (directory, name) = path.rsplit_once('/')?;
    let framed = |place: &Place| place.directory == directory && directory != CAPTCHALA;
    if !PLACES.iter().any(framed) {
        return None;
    }
    let mut reply = match name {
        "frame.html" => Outgoing::text(
            200,
            "text/html; charset=utf-8",
            include_str!("browser/frame.html"),
        ),
        "frame.css" => Outgoing::text(
            200,
            "text/css; charset=utf-8",
            include_str!("browser/frame.css"),
        ),
        "frame.js" => Outgoing::text(200, JAVASCRIPT, include_str!("browser/frame.js")),
        _ => return None,
    };
    let policy = ("content-security-policy", FRAME_POLICY.to_owned());
    reply.headers.push(policy);
    Some(reply)
}

fn any_origin() -> (&'static str, String) {
    ("access-control-allow-origin", "*".to_owned())
}

fn talk(state: &mut State, place: &Place, request: &RecordedRequest) -> Outgoing {
    let in_page = place.directory == CAPTCHALA;
    if !in_page && !is_own_frame(request) {
        return Outgoing::json(403, &json!({"error": "", "text": "not asked by a frame"}));
    }
    let Ok(question) = serde_json::from_slice::<BoxQuestion>(&request.body) else {
        return Outgoing::json(400, &json!({"error": "", "text": "no question"}));
    };
    let answer = match reply(state, place, &question, request) {
        Ok(answer) => answer,
        Err(Complaint(code, text)) => json!({"error": code, "text": text}),
    };
    let mut reply = Outgoing::json(200, &answer);
    if in_page {
        reply.headers.push(any_origin());
    }
    reply
}

/// Browsers tell the origin with every POST, and a page around the frame has another one.
fn is_own_frame(request: &RecordedRequest) -> bool {
    let origin = request.header("origin").and_then(|o| o.split_once("://"));
    origin.is_some_and(|(_, authority)| request.header("host") == Some(authority))
}

fn reply(
    state: &mut State,
    place: &Place,
    question: &BoxQuestion,
    request: &RecordedRequest,
) -> Result<Value, Complaint> {
    let patience = state.knobs.challenge_ttl_ms;
    if let Some(token) = testing(place.directory, &question.sitekey)? {
        return Ok(match question.solve {
            false => json!({"at_once": true}),
            true => json!({"token": token, "ttl": ttl(state, place)}),
        });
    }
    let site = state.sites.iter().find(|site| {
        site.site_key == question.sitekey && place.providers.contains(&site.provider.as_str())
    });
    let site = site
        .ok_or_else(|| unknown_key(place, &question.sitekey))?
        .clone();
    fits(&site, question)?;
    if !question.solve {
        return Ok(json!({"at_once": false, "patience": patience}));
    }
    let token = state
        .mint(&order(state, &site, question, request))
        .map_err(|problem| Complaint(problem.0, "the server token will not do"))?;
    Ok(json!({"token": token, "ttl": ttl(state, place)}))
}

/// The providers' published testing keys: their token, or what they complain about.
fn testing(directory: &str, site_key: &str) -> Result<Option<&'static str>, Complaint> {
    Ok(match (directory, site_key) {
        ("/turnstile/v0", "1x00000000000000000000AA" | "1x00000000000000000000BB") => {
            Some("XXXX.DUMMY.TOKEN.XXXX")
        }
        ("/turnstile/v0", "2x00000000000000000000AB" | "2x00000000000000000000BB") => {
            return Err(Complaint("600010".to_owned(), "challenge failed"));
        }
        ("/1", "10000000-ffff-ffff-ffff-000000000001") => {
            Some("10000000-aaaa-bbbb-cccc-000000000001")
        }
        ("/1", "20000000-ffff-ffff-ffff-000000000002") => {
            Some("20000000-aaaa-bbbb-cccc-000000000002")
        }
        ("/1", "30000000-ffff-ffff-ffff-000000000003") => {
            Some("30000000-aaaa-bbbb-cccc-000000000003")
        }
        // Its secret takes any text.
        ("/recaptcha", "6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI") => Some("03A-for-testing"),
        _ => None,
    })
}

fn unknown_key(place: &Place, site_key: &str) -> Complaint {
    let code = match place.providers[0] {
        "turnstile" if site_key.get(1..2) != Some("x") => "400020",
        "turnstile" => "110100",
        "hcaptcha" => "invalid-data",
        "captchala" => "invalid_app_key",
        _ => "Invalid site key",
    };
    Complaint(code.to_owned(), "invalid site key")
}

/// Whether the provider lets this key, page and action meet.
fn fits(site: &EmulatedAccount, question: &BoxQuestion) -> Result<(), Complaint> {
    let no = |code: &str, text| Err(Complaint(code.to_owned(), text));
    let word = |text: &Option<String>, longest: usize| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        text.as_deref()
            .is_none_or(|t| t.len() <= longest && t.chars().all(fits))
    };
    match (site.provider.as_str(), question.mode) {
        ("turnstile", _) if !site.allows(&question.hostname) => no("110200", "invalid domain"),
        ("turnstile", _) if !word(&question.action, 32) => no("110420", "invalid action"),
        ("turnstile", _) if !word(&question.cdata, 255) => no("110430", "invalid cdata"),
        ("recaptcha-v2", Mode::Score) | ("recaptcha-v3", Mode::Checkbox) => {
            no("Invalid key type", "invalid key type")
        }
        _ => Ok(()),
    }
}

/// A token as this visitor would get it.
fn order(
    state: &State,
    site: &EmulatedAccount,
    question: &BoxQuestion,
    request: &RecordedRequest,
) -> Mint {
    let bot = state.knobs.visitors_are_bots;
    let provider = site.provider.as_str();
    let scores = match provider {
        "recaptcha-v3" | "recaptcha-enterprise" => Some(0.1),
        "hcaptcha" if state.knobs.hcaptcha_enterprise => Some(0.95),
        _ => None,
    };
    let mut order = Mint::for_provider(provider)
        .with_site_key(&site.site_key)
        .with_hostname(&question.hostname);
    order.score = scores.filter(|_| bot);
    order.unsolved = bot && scores.is_none();
    order.interactive = question.mode == Mode::Checkbox;
    // A key of v2 knows no action. Google's scripts give a page of a foreign host a token that is none.
    order.action = question
        .action
        .clone()
        .filter(|_| provider != "recaptcha-v2");
    order.browser_error =
        ["recaptcha-v2", "recaptcha-v3"].contains(&provider) && !site.allows(&question.hostname);
    order.binding.clone_from(&question.cdata);
    order.server_token.clone_from(&question.server_token);
    order.user_ip = request.peer.map(|ip| ip.to_string());
    order
}

/// How long the page keeps a token, in milliseconds.
fn ttl(state: &State, place: &Place) -> u64 {
    let usual = if place.providers == ["turnstile"] {
        300_000
    } else {
        120_000
    };
    state.knobs.token_ttl_ms.map_or(usual, |own| own.min(usual))
}
