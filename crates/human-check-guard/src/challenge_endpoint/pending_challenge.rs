use std::sync::Arc;
use std::time::Duration;

use human_check_core::{ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind};
use serde_json::json;

use super::rate::Rate;
use crate::{AttemptKey, GuardResponse};

/// The longest binding, in bytes. The names of sessions and accounts are shorter.
const MAX_BINDING_BYTES: usize = 256;

/// A request for a challenge that has no response yet.
///
/// [`ChallengeEndpoint::prepare`](crate::ChallengeEndpoint::prepare) creates it.
#[derive(Debug)]
#[must_use = "the client gets no response until `respond` is awaited"]
pub struct PendingChallenge {
    pub(super) issuer: Arc<dyn ChallengeIssuer>,
    pub(super) rate: Rate,
    pub(super) request: ChallengeRequest,
    pub(super) key: AttemptKey,
}

impl PendingChallenge {
    /// Counts the request, calls the issuer, and returns the response: a challenge or a failure,
    /// see [`ChallengeEndpoint`](crate::ChallengeEndpoint).
    ///
    /// Dropping the future issues no challenge. The request may be counted or not.
    pub async fn respond(self) -> GuardResponse {
        // The client may have chosen the binding. A long one must not look like an error of the
        // configuration.
        let binding_bytes = self.request.binding().map_or(0, str::len);
        if binding_bytes > MAX_BINDING_BYTES {
            return failure(400, "Please load the page again.", None);
        }
        let count = self.rate.count(&self.key).await;
        if count > self.rate.max_requests {
            return failure(
                429,
                "Too many attempts. Please wait a little and try again.",
                Some(self.rate.window),
            );
        }
        let request = self.request.with_earlier(count.saturating_sub(1));
        match self.issuer.issue(&request).await {
            Ok(challenge) => json_response(200, challenge.json().to_owned()),
            Err(error) => issuer_failure(&error),
        }
    }
}

/// Logs an error of the issuer, and returns the response for it.
fn issuer_failure(error: &CheckError) -> GuardResponse {
    macro_rules! emit {
        ($level:ident) => {
            tracing::$level!(
                target: "human_check_guard",
                provider = error.provider().name(),
                decision = error.kind().as_str(),
                reason = error.reason(),
                error = error as &dyn std::error::Error,
                "no challenge was issued"
            )
        };
    }
    if error.kind() == ErrorKind::Misconfigured {
        emit!(error);
        return failure(500, "The check is not set up correctly.", None);
    }
    emit!(warn);
    let wait = error.retry_after().unwrap_or(Duration::from_secs(5));
    failure(
        503,
        "The check is busy. Please try again in a moment.",
        Some(wait),
    )
}

/// Returns a response with a member `error`, and with `Retry-After` from 1 second to an hour.
fn failure(status: u16, error: &str, wait: Option<Duration>) -> GuardResponse {
    let mut response = json_response(status, json!({"error": error}).to_string());
    if let Some(wait) = wait {
        let seconds = wait.as_secs().clamp(1, 3_600).to_string();
        response.headers.push(("retry-after", seconds.into()));
    }
    response
}

/// Returns a response that no cache may keep.
fn json_response(status: u16, body: String) -> GuardResponse {
    GuardResponse {
        status,
        headers: vec![
            ("content-type", "application/json".into()),
            ("cache-control", "no-store".into()),
            ("x-content-type-options", "nosniff".into()),
        ],
        body,
    }
}
