//! annotateAssessment (recaptcha.md section 3.7).

use human_check_core::CheckError;
use human_check_http::{Endpoint, Reply, Request};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::google_error;

/// What a visitor turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Annotation {
    /// The visitor, or the transaction, was fraudulent.
    Fraudulent,
    /// It was legitimate.
    Legitimate,
}

/// What made that known. The names are Google's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say what Google says")]
pub enum AnnotationReason {
    Chargeback,
    ChargebackDispute,
    ChargebackFraud,
    CorrectPassword,
    FailedTwoFactor,
    IncorrectPassword,
    InitiatedTwoFactor,
    PassedTwoFactor,
    PaymentHeuristics,
    Refund,
    RefundFraud,
    SocialSpam,
    TransactionAccepted,
    TransactionDeclined,
}

/// The path for an assessment's name, which the reply gave. `None` when it is not such a name.
pub(crate) fn path(name: &str) -> Option<String> {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["projects", project, "assessments", id] if plain(project) && plain(id) => {
            Some(format!("v1/{name}:annotate"))
        }
        _ => None,
    }
}

pub(crate) fn build(
    endpoint: &Endpoint,
    annotation: Option<Annotation>,
    reasons: &[AnnotationReason],
) -> Request {
    let mut body = Map::new();
    if let Some(annotation) = annotation {
        body.insert("annotation".into(), serde_json::json!(annotation));
    }
    if !reasons.is_empty() {
        body.insert("reasons".into(), serde_json::json!(reasons));
    }
    Request::json(endpoint, &Value::Object(body))
}

pub(crate) fn read(reply: &Reply) -> Result<(), CheckError> {
    google_error::read(reply).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_assessments_name_becomes_a_path() {
        assert_eq!(
            path("projects/850000000068/assessments/f8a1b2c3d4000000").as_deref(),
            Some("v1/projects/850000000068/assessments/f8a1b2c3d4000000:annotate")
        );
        for bad in [
            "",
            "projects/1/keys/2",
            "projects/1/assessments/",
            "projects/../assessments/1",
            "projects/1/assessments/1?x=y",
            "/projects/1/assessments/1",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
