//! Reads the reply to createAssessment. See docs/providers/recaptcha.md#reply.

use human_check_core::{
    CheckError, DetailValue, ErrorKind, EvidenceKind, FactKind, Facts, Hostname, Reason, Refusal,
    ReplayProtection, ReportedAction, Score, Verdict,
};
use human_check_http::Reply;
use human_check_http::adapter::json::{Codes, Number, Object, Objects, Text};
use human_check_http::adapter::{json, timestamp};
use serde::Deserialize;

use crate::{KeyKind, RECAPTCHA_ENTERPRISE, google_error};

/// Turns a reply to createAssessment into a verdict, for a key of this kind.
///
/// The reply repeats the token, so no text of it is shown in an error.
///
/// # Errors
///
/// [`CheckError`] when the reply holds no verdict.
pub(crate) fn judge(reply: &Reply, kind: KeyKind) -> Result<Verdict, CheckError> {
    if let Some(error) = google_error::read(reply) {
        return Err(error);
    }
    let protocol = |reason| CheckError::new(ErrorKind::Protocol, &RECAPTCHA_ENTERPRISE, reason);
    let mut assessment: Assessment<'_> = json::object(reply.body())
        .map_err(|malformed| protocol("unreadable-reply").with_source(malformed))?;
    let unreadable = |malformed| protocol("unreadable-reply").with_source(malformed);
    // Without the token's properties a score says nothing about this token.
    let token = std::mem::take(&mut assessment.token_properties)
        .or_malformed()
        .map_err(unreadable)?;
    let token = token.ok_or_else(|| protocol("no-verdict"))?;
    let risk = std::mem::take(&mut assessment.risk_analysis)
        .or_malformed()
        .map_err(unreadable)?;
    let codes = token.invalid_reason.clone().into_vec();
    let reason = codes
        .iter()
        .map(String::as_str)
        .find(|reason| *reason != "INVALID_REASON_UNSPECIFIED");
    // Protobuf JSON may leave out default values, and the default of `valid` is false.
    let valid = token.valid.unwrap_or(false);
    let challenge = risk
        .as_ref()
        .map_or(Challenge::Unstated, RiskAnalysis::challenge);
    let facts = facts(token, risk, assessment);
    let refusal = match (valid, reason) {
        (true, Some(_)) => return Err(protocol("success-contradicted").with_codes(codes)),
        (false, reason) => Some(invalid(reason).with_codes(codes.clone())),
        (true, None) => unmet(kind, challenge, facts.score),
    };
    Ok(match refusal {
        None => Verdict::Human(facts),
        Some(refusal) => refusal.with_facts(facts).into(),
    })
}

/// Returns the refusal of a valid token that does not meet the rule of its kind of key.
fn unmet(kind: KeyKind, challenge: Challenge, score: Option<Score>) -> Option<Refusal> {
    match (kind, challenge) {
        (_, Challenge::Failed) => Some(Refusal::new(Reason::Invalid)),
        (KeyKind::Challenge(_), Challenge::Unstated) => {
            Some(Refusal::new(Reason::Invalid).with_alert())
        }
        (KeyKind::Challenge(_), Challenge::Passed) | (KeyKind::Checkbox, _) => None,
        (KeyKind::Challenge(floor), Challenge::NotShown) | (KeyKind::Score(floor), _) => {
            match score {
                None => Some(Refusal::new(Reason::EvidenceAbsent(FactKind::Score))),
                Some(score) => (!score.at_least(floor)).then(Refusal::for_score_alone),
            }
        }
    }
}

/// Returns the refusal for an invalid token. A visitor can cause every reason. A wrong key in the
/// configuration causes two of them as well, so those raise an alert.
///
/// See docs/providers/recaptcha.md#error-codes.
fn invalid(reason: Option<&str>) -> Refusal {
    match reason {
        // A failed challenge or, with older services, a token of another key.
        None => Refusal::new(Reason::Invalid),
        Some("BROWSER_ERROR") => Refusal::new(Reason::Invalid),
        Some("DOMAIN_MISMATCH") => Refusal::new(Reason::WrongHostname).with_alert(),
        Some("DUPE") => Refusal::new(Reason::Replayed),
        Some("EXPIRED") => Refusal::new(Reason::Expired),
        Some("KEY_MISMATCH" | "SITE_MISMATCH") => Refusal::new(Reason::WrongSiteKey).with_alert(),
        Some("MALFORMED") => Refusal::new(Reason::Malformed),
        Some("MISSING") => Refusal::new(Reason::Missing),
        Some("UNEXPECTED_ACTION") => Refusal::new(Reason::WrongAction),
        Some(_) => Refusal::new(Reason::Other),
    }
}

/// What the reply says about the challenge.
#[derive(Clone, Copy)]
enum Challenge {
    /// The visitor failed it.
    Failed,
    /// Google showed none, which says nothing about the visitor.
    NotShown,
    /// The visitor passed it.
    Passed,
    /// The reply does not say.
    Unstated,
}

/// The members of an assessment that the adapter reads. All of them may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assessment<'a> {
    #[serde(borrow, default)]
    token_properties: Object<TokenProperties<'a>>,
    #[serde(borrow, default)]
    risk_analysis: Object<RiskAnalysis<'a>>,
    // The members below become details and never change the verdict.
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    account_defender_assessment: Object<AccountDefender>,
    #[serde(default)]
    phone_fraud_assessment: Object<PhoneFraud>,
    #[serde(default)]
    fraud_prevention_assessment: Object<FraudPrevention>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenProperties<'a> {
    #[serde(default)]
    valid: Option<bool>,
    #[serde(default)]
    invalid_reason: Codes,
    #[serde(borrow, default)]
    hostname: Text<'a>,
    #[serde(borrow, default)]
    android_package_name: Text<'a>,
    #[serde(borrow, default)]
    ios_bundle_id: Text<'a>,
    #[serde(borrow, default)]
    action: Text<'a>,
    #[serde(borrow, default)]
    create_time: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RiskAnalysis<'a> {
    #[serde(default)]
    score: Number,
    #[serde(default)]
    reasons: Codes,
    #[serde(default)]
    extended_verdict_reasons: Codes,
    #[serde(borrow, default)]
    challenge: Text<'a>,
    #[serde(borrow, default)]
    last_challenge_type: Text<'a>,
    #[serde(default)]
    verified_bots: Objects<VerifiedBot>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerifiedBot {
    #[serde(default)]
    name: Codes,
}

#[derive(Deserialize)]
struct AccountDefender {
    #[serde(default)]
    labels: Codes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhoneFraud {
    #[serde(default)]
    sms_toll_fraud_verdict: Object<SmsTollFraud>,
}

#[derive(Deserialize)]
struct SmsTollFraud {
    #[serde(default)]
    risk: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FraudPrevention {
    #[serde(default)]
    transaction_risk: Number,
}

impl RiskAnalysis<'_> {
    /// Returns the state of the challenge. Google documents two spellings of each value. A value
    /// that it does not document counts as failed.
    fn challenge(&self) -> Challenge {
        match self.challenge.get() {
            Some("NOCAPTCHA") => Challenge::NotShown,
            Some("PASSED" | "PASS") => Challenge::Passed,
            Some(text) if text.ends_with("_UNSPECIFIED") => Challenge::Unstated,
            _ if self.challenge.is_stated() && !self.challenge.is_empty() => Challenge::Failed,
            _ => Challenge::Unstated,
        }
    }
}

fn facts(
    token: TokenProperties<'_>,
    risk: Option<RiskAnalysis<'_>>,
    rest: Assessment<'_>,
) -> Facts {
    let mut facts = Facts::new(&RECAPTCHA_ENTERPRISE);
    facts.replay_protection = ReplayProtection::Provider;
    facts.hostname = token.hostname.get().and_then(Hostname::parse);
    facts.app = token
        .android_package_name
        .owned()
        .or_else(|| token.ios_bundle_id.owned());
    facts.action = token.action.owned().map(ReportedAction::ignoring_case);
    facts.solved_at = token.create_time.get().and_then(timestamp);
    let mut text = |name, text: Text<'_>| {
        let stated = text.owned().filter(|text| !text.ends_with("_UNSPECIFIED"));
        if let Some(text) = stated {
            facts.details.push((name, DetailValue::Text(text)));
        }
    };
    text("name", rest.name);
    let mut lists = Vec::new();
    if let Some(risk) = risk {
        if let Challenge::Passed = risk.challenge() {
            facts.evidence = EvidenceKind::Interactive;
        }
        text("challenge", risk.challenge);
        text("lastChallengeType", risk.last_challenge_type);
        facts.score = risk
            .score
            .get()
            .and_then(|score| Score::humanity(score).ok());
        let bots = risk.verified_bots.0.into_iter();
        lists.push(("reasons", risk.reasons.into_vec()));
        lists.push((
            "extendedVerdictReasons",
            risk.extended_verdict_reasons.into_vec(),
        ));
        lists.push((
            "verifiedBots",
            bots.flat_map(|bot| bot.name.into_vec()).collect(),
        ));
    }
    let defender = rest.account_defender_assessment.or_absent();
    lists.push((
        "accountDefenderLabels",
        defender.map_or_else(Vec::new, |d| d.labels.into_vec()),
    ));
    lists.retain(|(_, list)| !list.is_empty());
    let lists = lists
        .into_iter()
        .map(|(name, list)| (name, DetailValue::List(list)));
    facts.details.extend(lists);
    let toll = rest.phone_fraud_assessment.or_absent();
    let toll = toll.and_then(|phone| phone.sms_toll_fraud_verdict.or_absent());
    let payment = rest.fraud_prevention_assessment.or_absent();
    let numbers = [
        ("smsTollFraudRisk", toll.and_then(|t| t.risk.get())),
        (
            "transactionRisk",
            payment.and_then(|p| p.transaction_risk.get()),
        ),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            facts.details.push((name, DetailValue::Number(number)));
        }
    }
    if facts.score.is_some() && facts.evidence == EvidenceKind::Unstated {
        facts.evidence = EvidenceKind::RiskScored;
    }
    facts
}
