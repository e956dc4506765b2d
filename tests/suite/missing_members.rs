//! Replies without some of their members. Removing members never turns a refusal into a pass. If
//! every rule is set, only replies with every fact pass.

use human_check_explain::{Case, explain};
use serde_json::{Map, Value, json};

async fn outcome(provider: &str, status: u16, body: &Value, policy: &Value) -> String {
    let case = json!({
        "provider": provider, "status": status, "body": body.to_string(), "policy": policy,
        "now": "2026-01-01T00:01:00Z", "site_key": "own-key", "token": "pt_token",
    });
    let case: Case = serde_json::from_value(case).unwrap();
    explain(case).await.unwrap().outcome.to_owned()
}

/// Collects the path of every member, at any depth.
fn paths(value: &Value, prefix: &[String], all: &mut Vec<Vec<String>>) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            let path = [prefix, std::slice::from_ref(name)].concat();
            all.push(path.clone());
            paths(member, &path, all);
        }
    }
}

/// Returns the value without the members at these paths.
fn without(value: &Value, removed: &[Vec<String>]) -> Value {
    fn cut(value: &Value, prefix: &[String], removed: &[Vec<String>]) -> Value {
        let Value::Object(members) = value else {
            return value.clone();
        };
        let mut kept = Map::new();
        for (name, member) in members {
            let path = [prefix, std::slice::from_ref(name)].concat();
            if !removed.contains(&path) {
                kept.insert(name.clone(), cut(member, &path, removed));
            }
        }
        Value::Object(kept)
    }
    cut(value, &[], removed)
}

struct Subject {
    provider: &'static str,
    policy: Value,
    good: Value,
    /// Replies that do not pass with all their members.
    bad: Vec<Value>,
    /// Members without which the good reply must not pass under the policy.
    needed: Vec<&'static str>,
}

fn subjects() -> Vec<Subject> {
    let stamp = "2026-01-01T00:00:30Z";
    let siteverify = |extra: Value| {
        let mut body =
            json!({"success": true, "challenge_ts": stamp, "hostname": "www.example.com"});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let with = |mut body: Value, changes: Value| {
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let turnstile = siteverify(
        json!({"error-codes": [], "action": "signup", "cdata": "session-1",
        "metadata": {"interactive": true, "ephemeral_id": "x:1"}, "messages": []}),
    );
    let hcaptcha = siteverify(
        json!({"score": 0.1, "score_reason": ["safe"], "sitekey": "own-key", "credit": false}),
    );
    let v3 = siteverify(json!({"score": 0.9, "action": "signup"}));
    let v2 = siteverify(json!({}));
    let captchala = json!({"code": 0, "msg": "ok", "data": {"valid": true, "action": "signup", "uid": "session-1",
        "captcha_args": {"risk_score": 12, "solved_at": 1_767_225_630, "referer": "https://www.example.com/x"}}});
    let enterprise = json!({"name": "projects/1/assessments/2",
        "riskAnalysis": {"score": 0.9, "challenge": "PASSED", "reasons": []},
        "tokenProperties": {"valid": true, "hostname": "www.example.com", "action": "signup", "createTime": stamp}});
    let rules = json!({"hostnames": ["www.example.com"], "max_age_s": 60});
    let rules_with = |extra: Value| with(rules.clone(), extra);
    vec![
        Subject {
            provider: "turnstile",
            policy: rules_with(json!({"action": "signup", "cdata": "session-1"})),
            bad: vec![
                with(
                    turnstile.clone(),
                    json!({"success": false, "error-codes": ["invalid-input-response"]}),
                ),
                with(
                    turnstile.clone(),
                    json!({"success": false, "error-codes": ["invalid-input-secret", "timeout-or-duplicate"]}),
                ),
                with(turnstile.clone(), json!({"success": "true"})),
                with(turnstile.clone(), json!({"hostname": "evil.example"})),
                with(turnstile.clone(), json!({"action": "login"})),
                with(turnstile.clone(), json!({"cdata": "session-2"})),
                with(
                    turnstile.clone(),
                    json!({"challenge_ts": "2025-01-01T00:00:00Z"}),
                ),
            ],
            needed: vec!["success", "hostname", "action", "cdata", "challenge_ts"],
            good: turnstile,
        },
        Subject {
            provider: "hcaptcha",
            policy: rules_with(json!({"max_risk": 0.5})),
            bad: vec![
                with(hcaptcha.clone(), json!({"score": 0.9})),
                with(hcaptcha.clone(), json!({"hostname": "not-provided"})),
                with(
                    hcaptcha.clone(),
                    json!({"success": false, "error-codes": ["expired-input-response"]}),
                ),
            ],
            needed: vec!["success", "hostname", "score", "challenge_ts"],
            good: hcaptcha,
        },
        Subject {
            provider: "recaptcha-v3",
            policy: rules_with(json!({"action": "signup", "min_score": 0.5})),
            bad: vec![
                with(v3.clone(), json!({"score": 0.1})),
                with(v3.clone(), json!({"action": "home"})),
                with(v3.clone(), json!({"success": false})),
            ],
            needed: vec!["success", "hostname", "score", "action", "challenge_ts"],
            good: v3,
        },
        Subject {
            provider: "recaptcha-v2",
            policy: rules.clone(),
            bad: vec![with(
                v2.clone(),
                json!({"success": false, "error-codes": ["timeout-or-duplicate"]}),
            )],
            needed: vec!["success", "hostname", "challenge_ts"],
            good: v2,
        },
        Subject {
            provider: "captchala",
            policy: rules_with(json!({"action": "signup", "uid": "session-1", "max_risk": 50})),
            bad: vec![
                json!({"code": 0, "data": {"valid": false, "ok": true, "action": "signup", "uid": "session-1"}}),
                json!({"code": 9, "data": {"valid": true, "action": "signup", "uid": "session-1"}}),
                json!({"code": 0, "data": {"valid": false, "error": "token_expired", "degraded": false, "action": "signup"}}),
            ],
            needed: vec![
                "code",
                "data",
                "data.valid",
                "data.action",
                "data.uid",
                "data.captcha_args",
                "data.captcha_args.risk_score",
                "data.captcha_args.solved_at",
                "data.captcha_args.referer",
            ],
            good: captchala,
        },
        Subject {
            provider: "recaptcha-enterprise",
            policy: rules_with(json!({"action": "signup", "min_score": 0.5})),
            bad: vec![
                with(
                    enterprise.clone(),
                    json!({"tokenProperties": {"valid": false, "invalidReason": "EXPIRED",
                    "hostname": "www.example.com", "action": "signup", "createTime": stamp}}),
                ),
                with(enterprise.clone(), json!({"riskAnalysis": {"score": 0.1}})),
                with(
                    enterprise.clone(),
                    json!({"riskAnalysis": {"score": 0.9, "challenge": "FAILED"},
                    "tokenProperties": {"valid": false, "hostname": "www.example.com", "action": "signup", "createTime": stamp}}),
                ),
            ],
            needed: vec![
                "riskAnalysis",
                "riskAnalysis.score",
                "tokenProperties",
                "tokenProperties.valid",
                "tokenProperties.hostname",
                "tokenProperties.action",
                "tokenProperties.createTime",
            ],
            good: enterprise,
        },
    ]
}

fn subsets(body: &Value) -> impl Iterator<Item = Vec<Vec<String>>> {
    let mut all = Vec::new();
    paths(body, &[], &mut all);
    assert!(
        all.len() <= 12,
        "{} members make too many subsets",
        all.len()
    );
    (0..1_u32 << all.len()).map(move |bits| {
        let chosen = all.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
        chosen.map(|(_, path)| path.clone()).collect()
    })
}

#[tokio::test]
async fn removing_members_never_turns_a_refusal_into_a_pass() {
    for subject in subjects() {
        for bad in &subject.bad {
            for removed in subsets(bad) {
                let rest = without(bad, &removed);
                // The remaining members must not pass, whatever outcome they have.
                let outcome = outcome(subject.provider, 200, &rest, &subject.policy).await;
                assert_ne!(outcome, "human", "{}: {rest}", subject.provider);
            }
        }
    }
}

#[tokio::test]
async fn a_good_reply_passes_only_with_every_fact_that_a_rule_needs() {
    for subject in subjects() {
        let whole = outcome(subject.provider, 200, &subject.good, &subject.policy).await;
        assert_eq!(whole, "human", "{}", subject.provider);
        for removed in subsets(&subject.good) {
            let rest = without(&subject.good, &removed);
            let gone = |needed: &str| {
                let needed: Vec<String> = needed.split('.').map(str::to_owned).collect();
                removed.contains(&needed)
            };
            let outcome = outcome(subject.provider, 200, &rest, &subject.policy).await;
            let lacks = subject.needed.iter().any(|needed| gone(needed));
            assert_eq!(outcome == "human", !lacks, "{}: {rest}", subject.provider);
        }
    }
}

#[tokio::test]
async fn a_pass_needs_status_200() {
    for subject in subjects() {
        for status in (100..=999).filter(|status| *status != 200) {
            let outcome = outcome(subject.provider, status, &subject.good, &subject.policy).await;
            assert_ne!(outcome, "human", "{} {status}", subject.provider);
        }
    }
}
