//! The control API, for programs in other processes and languages.
//!
//! Its calls mint tokens, add and remove faults, change the settings, and return accounts and
//! requests, as the methods of [`Emulator`](crate::Emulator) do. The README lists the calls.

use serde::Deserialize;
use serde_json::json;

use crate::fault::Fault;
use crate::http::{Outgoing, RecordedRequest};
use crate::mint::Mint;
use crate::state::State;

const PREFIX: &str = "/emulator/";

/// Returns whether a request is for the control API.
pub(crate) fn is_control(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// The body of `POST /emulator/fail`: a fault, and how many requests it affects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    fault: Fault,
    #[serde(default)]
    times: Option<usize>,
}

/// Returns whether a web page sent the request.
///
/// Without this check, any page that is open in a browser could control an emulator on the same
/// machine, or under a host name that resolves to it. Browsers add at least one of these headers to
/// a page's POST. Other programs add neither.
fn comes_from_a_page(request: &RecordedRequest) -> bool {
    let site = request.header("sec-fetch-site");
    request.header("origin").is_some() || site.is_some_and(|site| site != "none")
}

/// Returns whether the request names this machine or a machine of a private network.
///
/// The name of a page's own site could resolve to this machine, and the browser would take the
/// control API for that site. Such names have dots; names of containers have none.
fn names_this_machine(request: &RecordedRequest) -> bool {
    let Some(host) = request.header("host") else {
        return true;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    !name.contains('.') || name.parse::<std::net::IpAddr>().is_ok()
}

/// Runs one call of the control API.
pub(crate) fn handle(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let wrong = |problem: &dyn std::fmt::Display| {
        Outgoing::json(400, &json!({"error": problem.to_string()}))
    };
    let call = &request.path[PREFIX.len()..];
    if call != "elsewhere" && comes_from_a_page(request) {
        let error = "the control API refuses requests from web pages";
        return Outgoing::json(403, &json!({"error": error}));
    }
    if call != "elsewhere" && !names_this_machine(request) {
        let error = "the control API responds to addresses and to names without dots only";
        return Outgoing::json(421, &json!({"error": error}));
    }
    match (request.method.as_str(), call) {
        ("GET", "accounts") => Outgoing::json(200, &json!(state.accounts)),
        ("GET", "requests") => {
            let requests = state.requests.iter().map(RecordedRequest::summary);
            Outgoing::json(200, &requests.collect())
        }
        // The target of `Fault::Redirect`. Recorded, so that a test sees a client that followed it.
        (_, "elsewhere") => {
            state.record(request);
            Outgoing::json(200, &json!({"success": true}))
        }
        ("POST", "mint") => match serde_json::from_slice::<Mint>(&request.body) {
            Err(problem) => wrong(&problem),
            Ok(mint) => match state.mint(&mint) {
                Err(problem) => wrong(&problem),
                Ok(token) => Outgoing::json(200, &json!({"token": token})),
            },
        },
        ("POST", "fail") => match serde_json::from_slice::<Fail>(&request.body) {
            Err(problem) => wrong(&problem),
            Ok(Fail { fault, times }) => match state.faults.push(fault, times) {
                true => Outgoing::json(200, &json!({})),
                false => wrong(&"the queue of faults is full; call POST heal first"),
            },
        },
        ("POST", "heal") => {
            state.faults.clear();
            Outgoing::json(200, &json!({}))
        }
        ("POST", "knobs") => match serde_json::from_slice(&request.body) {
            Err(problem) => wrong(&problem),
            Ok(knobs) => {
                state.knobs = knobs;
                Outgoing::json(200, &json!({}))
            }
        },
        _ => wrong(
            &"the calls are GET accounts, GET requests, POST mint, POST fail, POST heal, POST knobs",
        ),
    }
}
