//! The call that tells Google later what a visitor turned out to be.
//!
//! See docs/providers/recaptcha.md#enterprise.

use human_check_core::CheckError;
use human_check_http::{Endpoint, Reply, Request};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::google_error;

/// What a visitor turned out to be, for [`RecaptchaEnterprise::annotate`].
///
/// [`RecaptchaEnterprise::annotate`]: crate::RecaptchaEnterprise::annotate
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Annotation {
    /// The visitor, or the transaction, was fraudulent.
    Fraudulent,
    /// The visitor, or the transaction, was legitimate.
    Legitimate,
}

/// The event that showed what a visitor turned out to be, for [`RecaptchaEnterprise::annotate`].
///
/// Names and meanings are Google's.
///
/// [`RecaptchaEnterprise::annotate`]: crate::RecaptchaEnterprise::annotate
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum AnnotationReason {
    /// The transaction was charged back, for an unknown reason.
    Chargeback,
    /// The cardholder charged the transaction back because of a dispute about the purchase.
    ChargebackDispute,
    /// The cardholder charged the transaction back as unauthorized, such as with a stolen card.
    ChargebackFraud,
    /// The visitor gave the correct password.
    CorrectPassword,
    /// The visitor failed the second factor.
    FailedTwoFactor,
    /// The visitor gave a wrong password.
    IncorrectPassword,
    /// The site asked the visitor for a second factor.
    InitiatedTwoFactor,
    /// The visitor passed the second factor.
    PassedTwoFactor,
    /// The payment looks fraudulent, by its method, addresses or other data.
    PaymentHeuristics,
    /// The seller refunded the payment.
    Refund,
    /// The seller found the payment fraudulent, and cancelled and refunded it.
    RefundFraud,
    /// The visitor sent unwanted messages to other users, such as spam or scams.
    SocialSpam,
    /// The payment was accepted and the visitor was charged.
    TransactionAccepted,
    /// The payment was declined, such as for invalid card details.
    TransactionDeclined,
}

/// Returns the path for annotating the assessment `name`, or `None` when `name` is not the name of
/// an assessment. A name with other characters could lead to another path on Google's host.
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

/// Builds the request, without a credential.
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

/// Reads the reply, which is `{}` on success.
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
