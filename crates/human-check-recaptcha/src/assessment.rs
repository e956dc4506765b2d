//! What an assessment says (recaptcha.md sections 3.4 and 3.5).

use human_check::{
    Action, Assurance, CheckError, Detail, ErrorKind, Fact, Facts, Hostname, Reason, Refusal,
    Score, Verdict,
};
use human_check_http::json::{Codes, Number, Text};
use human_check_http::{Reply, json, timestamp};
use serde::Deserialize;

use crate::{KeyKind, RECAPTCHA_ENTERPRISE, google_error};

/// What a reply to createAssessment means for a key of this kind.
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no. The reply repeats the token, so it is never shown.
pub fn judge(reply: &Reply, kind: KeyKind) -> Result<Verdict, CheckError> {
    if let Some(error) = google_error::read(reply) {
        return Err(error);
    }
    let protocol = |reason| CheckError::new(ErrorKind::Protocol, &RECAPTCHA_ENTERPRISE, reason);
    let assessment: Assessment<'_> = json::object(reply.body())
        .map_err(|malformed| protocol("unreadable-reply").with_source(malformed))?;
    // A score without the token's properties is about no token.
    let token = assessment
        .token_properties
        .as_ref()
        .ok_or_else(|| protocol("no-verdict"))?;
    let mut codes = Codes::default();
    if let Some(reason) = token.invalid_reason.get() {
        codes.push(reason);
    }
    let codes = codes.into_vec();
    let reason = codes
        .first()
        .map(String::as_str)
        .filter(|reason| *reason != "INVALID_REASON_UNSPECIFIED");
    // Defaults may be left out of protobuf JSON, and the default of `valid` is false.
    let valid = token.valid.unwrap_or(false);
    let challenge = assessment.challenge();
    let facts = assessment.facts();
    let refusal = match (valid, reason) {
        (true, Some(_)) => return Err(protocol("success-contradicted").with_codes(codes)),
        (false, reason) => Some(invalid(reason).with_codes(codes.clone())),
        (true, None) => missed(kind, challenge, facts.score),
    };
    Ok(match refusal {
        None => Verdict::Human(facts),
        Some(refusal) => refusal.with_facts(facts).into(),
    })
}

/// Why a valid token does not satisfy a key of this kind.
fn missed(kind: KeyKind, challenge: Challenge, score: Option<Score>) -> Option<Refusal> {
    match (kind, challenge) {
        (_, Challenge::Failed) => Some(Refusal::new(Reason::Invalid)),
        (KeyKind::Challenge, Challenge::Unstated) => Some(Refusal::new(Reason::Invalid).alerting()),
        (KeyKind::Challenge, Challenge::Passed) | (KeyKind::Checkbox, _) => None,
        (KeyKind::Score(floor), _) => match score {
            None => Some(Refusal::new(Reason::EvidenceAbsent(Fact::Score))),
            Some(score) => (!score.at_least(floor)).then(|| Refusal::new(Reason::ScoreTooLow)),
        },
    }
}

/// The table of section 3.4. A visitor can cause each, two of them with a token or page of
/// somebody else's, which a wrong key of ours would cause as well.
fn invalid(reason: Option<&str>) -> Refusal {
    match reason {
        // A failed challenge, or with older services another site's key.
        None => Refusal::new(Reason::Invalid),
        Some("BROWSER_ERROR") => Refusal::new(Reason::Invalid),
        Some("DOMAIN_MISMATCH") => Refusal::new(Reason::WrongHostname).alerting(),
        Some("DUPE") => Refusal::new(Reason::Spent),
        Some("EXPIRED") => Refusal::new(Reason::Expired),
        Some("KEY_MISMATCH" | "SITE_MISMATCH") => Refusal::new(Reason::WrongSiteKey).alerting(),
        Some("MALFORMED") => Refusal::new(Reason::Malformed),
        Some("MISSING") => Refusal::new(Reason::Missing),
        Some("UNEXPECTED_ACTION") => Refusal::new(Reason::WrongAction),
        Some(_) => Refusal::new(Reason::Other),
    }
}

#[derive(Clone, Copy)]
enum Challenge {
    Failed,
    /// Solved, or none was shown.
    Passed,
    Unstated,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assessment<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    token_properties: Option<TokenProperties<'a>>,
    #[serde(borrow, default)]
    risk_analysis: Option<RiskAnalysis<'a>>,
    #[serde(default)]
    account_defender_assessment: Option<AccountDefender>,
    #[serde(default)]
    phone_fraud_assessment: Option<PhoneFraud>,
    #[serde(default)]
    fraud_prevention_assessment: Option<FraudPrevention>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenProperties<'a> {
    #[serde(default)]
    valid: Option<bool>,
    #[serde(borrow, default)]
    invalid_reason: Text<'a>,
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
    verified_bots: Option<Vec<VerifiedBot>>,
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
    sms_toll_fraud_verdict: Option<SmsTollFraud>,
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

impl Assessment<'_> {
    /// Google's documentation spells it both ways.
    fn challenge(&self) -> Challenge {
        match self
            .risk_analysis
            .as_ref()
            .and_then(|risk| risk.challenge.get())
        {
            Some("NOCAPTCHA" | "PASSED" | "PASS") => Challenge::Passed,
            Some("FAILED" | "FAIL") => Challenge::Failed,
            _ => Challenge::Unstated,
        }
    }

    fn facts(self) -> Facts {
        let mut facts = Facts::new(&RECAPTCHA_ENTERPRISE);
        let mut text = |name, text: Text<'_>| {
            let stated = text.owned().filter(|text| !text.ends_with("_UNSPECIFIED"));
            if let Some(text) = stated {
                facts.details.push((name, Detail::Text(text)));
            }
        };
        text("name", self.name);
        let mut lists = Vec::new();
        if let Some(risk) = self.risk_analysis {
            text("challenge", risk.challenge);
            text("lastChallengeType", risk.last_challenge_type);
            facts.score = risk
                .score
                .get()
                .and_then(|score| Score::humanity(score).ok());
            let bots = risk.verified_bots.unwrap_or_default();
            lists.push(("reasons", risk.reasons.into_vec()));
            lists.push((
                "extendedVerdictReasons",
                risk.extended_verdict_reasons.into_vec(),
            ));
            lists.push((
                "verifiedBots",
                bots.into_iter()
                    .flat_map(|bot| bot.name.into_vec())
                    .collect(),
            ));
        }
        let defender = self.account_defender_assessment;
        lists.push((
            "accountDefenderLabels",
            defender.map_or_else(Vec::new, |d| d.labels.into_vec()),
        ));
        lists.retain(|(_, list)| !list.is_empty());
        let lists = lists
            .into_iter()
            .map(|(name, list)| (name, Detail::List(list)));
        facts.details.extend(lists);
        let toll = self
            .phone_fraud_assessment
            .and_then(|p| p.sms_toll_fraud_verdict);
        let payment = self.fraud_prevention_assessment;
        let numbers = [
            ("smsTollFraudRisk", toll.and_then(|t| t.risk.get())),
            (
                "transactionRisk",
                payment.and_then(|p| p.transaction_risk.get()),
            ),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                facts.details.push((name, Detail::Number(number)));
            }
        }
        if let Some(token) = self.token_properties {
            facts.hostname = token.hostname.get().and_then(Hostname::parse);
            facts.app = token
                .android_package_name
                .owned()
                .or_else(|| token.ios_bundle_id.owned());
            facts.action = token.action.owned().map(Action::ignoring_case);
            facts.solved_at = token.create_time.get().and_then(timestamp);
        }
        facts.assurance = if facts.score.is_some() {
            Assurance::RiskScored
        } else {
            Assurance::Interactive
        };
        facts
    }
}
