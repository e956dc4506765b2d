//! Property tests: a changed reply never causes a panic, and never passes with less than a good
//! reply has.

use human_check_explain::{Case, explain};
use proptest::prelude::*;
use serde_json::{Value, json};

const GOOD: [(&str, &str, &str); 6] = [
    (
        "turnstile",
        r#"{"hostname":["www.example.com"],"action":"signup"}"#,
        r#"{"success":true,"error-codes":[],"challenge_ts":"2026-01-01T00:00:30Z","hostname":"www.example.com","action":"signup","cdata":"","metadata":{"interactive":true}}"#,
    ),
    (
        "hcaptcha",
        r#"{"max_risk":0.5}"#,
        r#"{"success":true,"challenge_ts":"2026-01-01T00:00:30Z","hostname":"www.example.com","score":0.1,"score_reason":["safe"]}"#,
    ),
    (
        "recaptcha-v2",
        "{}",
        r#"{"success":true,"challenge_ts":"2026-01-01T00:00:30Z","hostname":"www.example.com"}"#,
    ),
    (
        "recaptcha-v3",
        r#"{"action":"signup","min_score":0.5}"#,
        r#"{"success":true,"challenge_ts":"2026-01-01T00:00:30Z","hostname":"www.example.com","score":0.9,"action":"signup"}"#,
    ),
    (
        "recaptcha-enterprise",
        r#"{"action":"signup","min_score":0.5}"#,
        r#"{"name":"projects/1/assessments/2","riskAnalysis":{"score":0.9,"reasons":[]},"tokenProperties":{"valid":true,"invalidReason":"INVALID_REASON_UNSPECIFIED","hostname":"www.example.com","action":"signup","createTime":"2026-01-01T00:00:30Z"}}"#,
    ),
    (
        "captchala",
        r#"{"action":"signup","max_risk":50}"#,
        r#"{"code":0,"msg":"ok","data":{"valid":true,"challenge_id":"ch_1","action":"signup","uid":null,"captcha_args":{"risk_score":12}}}"#,
    ),
];

fn outcome(provider: &str, status: u16, body: &[u8], policy: &str) -> String {
    use std::fmt::Write;
    // The case format takes a body that is not UTF-8 as base64.
    let mut encoded = String::new();
    for chunk in body.chunks(3) {
        let n = chunk.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = if i <= chunk.len() {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
                    [(n >> (18 - 6 * i) & 63) as usize]
            } else {
                b'='
            };
            write!(encoded, "{}", char::from(digit)).unwrap();
        }
    }
    let policy: Value =
        serde_json::from_str(&policy.replace("\"hostname\"", "\"hostnames\"")).unwrap();
    let case = json!({"provider": provider, "status": status, "body": encoded, "enc": "b64",
        "policy": policy, "now": "2026-01-01T00:01:00Z"});
    let case: Case = serde_json::from_value(case).unwrap();
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(explain(case))
        .unwrap()
        .outcome
        .to_owned()
}

fn good() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    proptest::sample::select(GOOD.to_vec())
}

/// Any JSON value, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e3..1e3).prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        Just(json!("true")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn members(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, all: &mut Vec<String>) {
        if let Value::Object(members) = value {
            for (name, member) in members {
                let at = format!("{at}/{name}");
                walk(member, &at, all);
                all.push(at);
            }
        }
    }
    let mut all = Vec::new();
    walk(value, "", &mut all);
    all
}

/// Returns the paths of the members that a pass needs.
fn needed_members(provider: &str) -> &'static [&'static str] {
    match provider {
        "turnstile" => &["/success", "/hostname", "/action"],
        "hcaptcha" => &["/success", "/score"],
        "recaptcha-v2" => &["/success"],
        "recaptcha-v3" => &["/success", "/score", "/action"],
        "recaptcha-enterprise" => &[
            "/tokenProperties",
            "/tokenProperties/valid",
            "/tokenProperties/action",
            "/riskAnalysis",
            "/riskAnalysis/score",
        ],
        _ => &[
            "/code",
            "/data",
            "/data/valid",
            "/data/action",
            "/data/captcha_args",
            "/data/captcha_args/risk_score",
        ],
    }
}

/// Returns true if the new value of a member is equal to the old value or fulfils the same rule.
fn as_good(path: &str, new: &Value, old: &Value) -> bool {
    match path.rsplit('/').next() {
        Some("score") => new
            .as_f64()
            .or_else(|| new.as_str()?.parse().ok())
            .is_some(),
        Some("risk_score") => new.as_f64().is_some(),
        _ => new == old,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Replaces bytes at random places of the body.
    #[test]
    fn bytes_never_panic((provider, policy, body) in good(), cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), status in 100_u16..=999) {
        let mut bytes = body.as_bytes().to_vec();
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = outcome(provider, status, &bytes, policy);
    }

    /// Cuts the reply off.
    #[test]
    fn a_prefix_never_passes((provider, policy, body) in good(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(body.len());
        prop_assert_ne!(outcome(provider, 200, &body.as_bytes()[..cut], policy), "human");
    }

    /// Adds text after the reply.
    #[test]
    fn a_suffix_never_passes((provider, policy, body) in good(), suffix in "[^ \\t\\r\\n].{0,20}") {
        let body = format!("{body}{suffix}");
        prop_assert_ne!(outcome(provider, 200, body.as_bytes(), policy), "human");
    }

    /// Replaces any member by any value.
    #[test]
    fn a_replaced_member_passes_only_if_it_is_as_good((provider, policy, body) in good(), at in any::<prop::sample::Index>(), new in any_json()) {
        let mut value: Value = serde_json::from_str(body).unwrap();
        let paths = members(&value);
        let path = &paths[at.index(paths.len())];
        let old = value.pointer(path).unwrap().clone();
        *value.pointer_mut(path).unwrap() = new.clone();
        let outcome = outcome(provider, 200, value.to_string().as_bytes(), policy);
        if outcome == "human" && needed_members(provider).contains(&path.as_str()) {
            prop_assert!(as_good(path, &new, &old), "{path} = {new} passed");
        }
        // A body must never count as an outage, because a visitor may influence it.
        prop_assert_ne!(outcome, "unavailable");
    }

    /// Repeats a member with the same value.
    #[test]
    fn a_repeated_member_never_passes((provider, policy, body) in good(), at in any::<prop::sample::Index>()) {
        let value: Value = serde_json::from_str(body).unwrap();
        let members = value.as_object().unwrap();
        let (name, member) = members.iter().nth(at.index(members.len())).unwrap();
        let body = format!("{{\"{name}\":{member},{}", &body[1..]);
        prop_assert_ne!(outcome(provider, 200, body.as_bytes(), policy), "human");
    }

    /// Adds an error code to a reply with `success`.
    #[test]
    fn a_code_beside_success_never_passes(index in 0_usize..4, code in any_json()) {
        let (provider, policy, body) = GOOD[index];
        let nothing = code.is_null() || code == json!([]) || code == json!("");
        prop_assume!(!nothing);
        let mut value: Value = serde_json::from_str(body).unwrap();
        value["error-codes"] = code;
        prop_assert_ne!(outcome(provider, 200, value.to_string().as_bytes(), policy), "human");
    }
}
