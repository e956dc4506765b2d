//! The emulator's own API, for clients in other processes and languages.

use serde::Deserialize;
use serde_json::json;

use super::fault::Fault;
use super::http::{Outgoing, Seen};
use super::mint::Mint;
use super::state::State;

const PREFIX: &str = "/emulator/";

pub(super) fn is_control(path: &str) -> bool {
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

pub(super) fn answer(state: &mut State, request: &Seen) -> Outgoing {
    let wrong = |problem: &dyn std::fmt::Display| {
        Outgoing::json(400, &json!({"error": problem.to_string()}))
    };
    match (request.method.as_str(), &request.path[PREFIX.len()..]) {
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
            Ok(Fail { fault, times }) => {
                state.faults.push(fault, times);
                Outgoing::json(200, &json!({}))
            }
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
