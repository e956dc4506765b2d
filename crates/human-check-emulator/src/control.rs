//! The emulator's own API, for clients in other processes and languages.

use serde::Deserialize;
use serde_json::json;

use crate::fault::Fault;
use crate::http::{Outgoing, RecordedRequest};
use crate::mint::Mint;
use crate::state::State;

const PREFIX: &str = "/emulator/";

pub(crate) fn is_control(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// A fault and how often.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    fault: Fault,
    #[serde(default)]
    times: Option<usize>,
}

/// Any page that somebody has open could give orders to an emulator on his machine, or to one that a name
/// of its own leads to. Browsers say at least one of these of every page's POST, and programs neither.
fn comes_from_a_page(request: &RecordedRequest) -> bool {
    let from = request.header("sec-fetch-site");
    request.header("origin").is_some() || from.is_some_and(|from| from != "none")
}

pub(crate) fn answer(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let wrong = |problem: &dyn std::fmt::Display| {
        Outgoing::json(400, &json!({"error": problem.to_string()}))
    };
    let what = &request.path[PREFIX.len()..];
    if what != "elsewhere" && comes_from_a_page(request) {
        let error = "orders come from programs, and this one from a page in a browser";
        return Outgoing::json(403, &json!({"error": error}));
    }
    match (request.method.as_str(), what) {
        ("GET", "sites") => Outgoing::json(200, &json!(state.sites)),
        ("GET", "requests") => {
            let seen: Vec<_> = state.seen.iter().map(|s| format!("{s:?}")).collect();
            Outgoing::json(200, &json!(seen))
        }
        // Where a redirect leads: a client that follows it shows up in the log.
        (_, "elsewhere") => {
            state.see(request);
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
                false => wrong(&"too many faults wait already; heal first"),
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
            &"the emulator knows GET sites, GET requests, POST mint, POST fail, POST heal, POST knobs",
        ),
    }
}
