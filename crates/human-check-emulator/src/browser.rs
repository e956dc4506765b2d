//! What the providers serve to browsers: widget scripts, and the frame that a widget runs in.
//!
//! The scripts are written for this emulator, from the documented behaviour of the providers' own.
//! A frame requests its token here. The token is for the host of the page around the frame, which
//! the browser tells the frame.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::emulated_account::EmulatedAccount;
use crate::http::{Outgoing, RecordedRequest};
use crate::mint::Mint;
use crate::state::State;

/// The content type of a script.
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The content security policy of a frame: it loads and calls its own origin only.
const FRAME_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'";

/// Returns a provider's script, after the part that all scripts share, in one scope.
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

/// Returns a script of a widget without a frame, after the part that all of them share.
macro_rules! in_page {
    ($provider:literal) => {
        concat!(
            "{\n\"use strict\";\n",
            include_str!("browser/in_page.js"),
            include_str!($provider),
            "}\n"
        )
    };
}

/// The directory of a provider's frames, and the providers whose tokens they request.
struct Place {
    directory: &'static str,
    providers: &'static [&'static str],
}

/// The directories of all frames.
const PLACES: [Place; 8] = [
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
    Place {
        directory: "/captchala",
        providers: &["captchala"],
    },
    Place {
        directory: "/cap",
        providers: &["cap"],
    },
    Place {
        directory: "/captchafox",
        providers: &["captchafox"],
    },
    Place {
        directory: "/friendly-captcha",
        providers: &["friendly-captcha"],
    },
    Place {
        directory: "/mcaptcha",
        providers: &["mcaptcha"],
    },
];

/// The directories whose widgets run in a frame of the emulator. The other widgets are part of the
/// page, and mCaptcha's frame is a page of its own.
const FRAMED: [&str; 3] = ["/turnstile/v0", "/1", "/recaptcha"];

/// What a widget sends.
#[derive(Deserialize)]
struct WidgetRequest {
    sitekey: String,
    hostname: String,
    mode: Mode,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    cdata: Option<String>,
    #[serde(default)]
    server_token: Option<String>,
    /// `false` checks whether the site key is valid here. `true` requests a token.
    solve: bool,
}

/// How a widget runs.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Checkbox,
    Invisible,
    Score,
}

/// The provider's error code for the page's script, and a text for the visitor.
struct WidgetError(String, &'static str);

/// Returns the response to a browser's request, or `None` when the path is not one for browsers.
pub(crate) fn handle(state: &mut State, request: &RecordedRequest) -> Option<Outgoing> {
    let called = PLACES.iter().find(|place| {
        let rest = request.path.strip_prefix(place.directory);
        rest == Some("/token")
    });
    let (method, mut response) = match called {
        Some(place) => ("POST", respond(state, place, request)),
        None => {
            let file = file(&request.path)?;
            let fails = state.knobs.scripts_fail;
            let unavailable = || Outgoing::text(503, "text/plain", "");
            ("GET", if fails { unavailable() } else { file })
        }
    };
    state.record(request);
    if request.method != method {
        response = Outgoing::text(405, "text/plain", "");
    }
    response
        .headers
        .push(("cache-control", "no-store".to_owned()));
    Some(response)
}

/// Returns a script, or a file of a frame.
fn file(path: &str) -> Option<Outgoing> {
    let script = match path {
        "/turnstile/v0/api.js" => script!("browser/turnstile.js"),
        "/1/api.js" => script!("browser/hcaptcha.js"),
        "/recaptcha/api.js" | "/recaptcha/enterprise.js" => script!("browser/recaptcha.js"),
        "/captchala-loader.js" => include_str!("browser/captchala-loader.js"),
        "/captchala.js" => include_str!("browser/captchala.js"),
        "/api.js" | "/captchafox/api.js" => in_page!("browser/captchafox.js"),
        "/cap/cap.min.js" => in_page!("browser/cap.js"),
        "/friendly-captcha/site.min.js" => in_page!("browser/friendly.js"),
        "/mcaptcha/frame.js" => in_page!("browser/mcaptcha.js"),
        "/widget/" => {
            let page = "<!doctype html><title>mCaptcha (emulated)</title><script type=\"module\" \
                        src=\"/mcaptcha/frame.js\"></script>";
            return Some(Outgoing::text(200, "text/html; charset=utf-8", page));
        }
        _ => return frame(path),
    };
    let mut response = Outgoing::text(200, JAVASCRIPT, script);
    // Some pages load the script with `crossorigin`.
    response.headers.push(any_origin());
    Some(response)
}

/// Returns a file of a frame.
fn frame(path: &str) -> Option<Outgoing> {
    let (directory, name) = path.rsplit_once('/')?;
    if !FRAMED.contains(&directory) {
        return None;
    }
    let mut response = match name {
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
    response.headers.push(policy);
    Some(response)
}

/// The header that lets pages of every origin read a response.
fn any_origin() -> (&'static str, String) {
    ("access-control-allow-origin", "*".to_owned())
}

/// Returns the response to a widget.
fn respond(state: &mut State, place: &Place, request: &RecordedRequest) -> Outgoing {
    let in_page = !FRAMED.contains(&place.directory);
    if !in_page && !is_own_frame(request) {
        return Outgoing::json(
            403,
            &json!({"error": "", "text": "not sent by a frame of the widget"}),
        );
    }
    let Ok(sent) = serde_json::from_slice::<WidgetRequest>(&request.body) else {
        return Outgoing::json(400, &json!({"error": "", "text": "malformed request"}));
    };
    let body = match token_or_check(state, place, &sent, request) {
        Ok(body) => body,
        Err(WidgetError(code, text)) => json!({"error": code, "text": text}),
    };
    let mut response = Outgoing::json(200, &body);
    if in_page {
        response.headers.push(any_origin());
    }
    response
}

/// Returns whether a frame of this emulator sent the request.
///
/// A browser states the origin of every POST. The page around the frame has another origin.
fn is_own_frame(request: &RecordedRequest) -> bool {
    let origin = request.header("origin").and_then(|o| o.split_once("://"));
    origin.is_some_and(|(_, authority)| request.header("host") == Some(authority))
}

/// Checks the site key, and mints a token where the widget requests one.
fn token_or_check(
    state: &mut State,
    place: &Place,
    sent: &WidgetRequest,
    request: &RecordedRequest,
) -> Result<Value, WidgetError> {
    if let Some(token) = testing(place.directory, &sent.sitekey)? {
        return Ok(match sent.solve {
            false => json!({"at_once": true}),
            true => json!({"token": token, "ttl": ttl(state, place)}),
        });
    }
    let account = state.accounts.iter().find(|account| {
        account.site_key == sent.sitekey && place.providers.contains(&account.provider.as_str())
    });
    let account = account
        .ok_or_else(|| unknown_key(place, &sent.sitekey))?
        .clone();
    validate(&account, sent)?;
    if !sent.solve {
        let patience = state.knobs.challenge_ttl_ms;
        return Ok(json!({"at_once": false, "patience": patience}));
    }
    let token = state
        .mint(&mint(state, &account, sent, request))
        .map_err(|error| WidgetError(error.0, "the server token was refused"))?;
    Ok(json!({"token": token, "ttl": ttl(state, place)}))
}

/// Returns the token or the error of a published testing key, or `None` for another key.
fn testing(directory: &str, site_key: &str) -> Result<Option<&'static str>, WidgetError> {
    Ok(match (directory, site_key) {
        ("/turnstile/v0", "1x00000000000000000000AA" | "1x00000000000000000000BB") => {
            Some("XXXX.DUMMY.TOKEN.XXXX")
        }
        ("/turnstile/v0", "2x00000000000000000000AB" | "2x00000000000000000000BB") => {
            return Err(WidgetError("600010".to_owned(), "challenge failed"));
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
        // Google's testing secret accepts every text.
        ("/recaptcha", "6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI") => Some("03A-for-testing"),
        _ => None,
    })
}

/// Returns the provider's error for a site key that no account has.
fn unknown_key(place: &Place, site_key: &str) -> WidgetError {
    let code = match place.providers[0] {
        "turnstile" if site_key.get(1..2) != Some("x") => "400020",
        "turnstile" => "110100",
        "hcaptcha" => "invalid-data",
        "captchala" => "invalid_app_key",
        _ => "Invalid site key",
    };
    WidgetError(code.to_owned(), "invalid site key")
}

/// Checks that the account allows the host of the page, and that the values are well-formed.
fn validate(account: &EmulatedAccount, sent: &WidgetRequest) -> Result<(), WidgetError> {
    let error = |code: &str, text| Err(WidgetError(code.to_owned(), text));
    let is_word = |text: &Option<String>, max_chars: usize| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        text.as_deref()
            .is_none_or(|t| t.len() <= max_chars && t.chars().all(is_allowed))
    };
    match (account.provider.as_str(), sent.mode) {
        ("turnstile", _) if !account.allows(&sent.hostname) => error("110200", "invalid domain"),
        ("turnstile", _) if !is_word(&sent.action, 32) => error("110420", "invalid action"),
        ("turnstile", _) if !is_word(&sent.cdata, 255) => error("110430", "invalid cdata"),
        ("recaptcha-v2", Mode::Score) | ("recaptcha-v3", Mode::Checkbox) => {
            error("Invalid key type", "invalid key type")
        }
        _ => Ok(()),
    }
}

/// Returns the description of the token that this visitor gets.
fn mint(
    state: &State,
    account: &EmulatedAccount,
    sent: &WidgetRequest,
    request: &RecordedRequest,
) -> Mint {
    let bot = state.knobs.visitors_are_bots;
    let provider = account.provider.as_str();
    let bad_score = match provider {
        "recaptcha-v3" | "recaptcha-enterprise" => Some(0.1),
        "hcaptcha" if state.knobs.hcaptcha_enterprise => Some(0.95),
        _ => None,
    };
    let mut mint = Mint::for_provider(provider)
        .with_site_key(&account.site_key)
        .with_hostname(&sent.hostname);
    mint.score = state.knobs.visitor_score.or(bad_score.filter(|_| bot));
    mint.unsolved = bot && bad_score.is_none();
    mint.interactive = sent.mode == Mode::Checkbox;
    // reCAPTCHA v2 has no actions.
    mint.action = sent.action.clone().filter(|_| provider != "recaptcha-v2");
    // On a host that the key does not allow, Google's script gives out a token that the service
    // refuses.
    mint.browser_error =
        ["recaptcha-v2", "recaptcha-v3"].contains(&provider) && !account.allows(&sent.hostname);
    mint.binding.clone_from(&sent.cdata);
    mint.server_token.clone_from(&sent.server_token);
    mint.user_ip = request.peer.map(|ip| ip.to_string());
    mint
}

/// Returns how long the page keeps a token, in milliseconds.
fn ttl(state: &State, place: &Place) -> u64 {
    let usual = if place.providers == ["turnstile"] {
        300_000
    } else {
        120_000
    };
    state.knobs.token_ttl_ms.map_or(usual, |own| own.min(usual))
}
