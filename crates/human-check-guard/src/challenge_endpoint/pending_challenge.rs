use std::sync::Arc;
use std::time::Duration;

use human_check_core::{ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind};
use serde_json::json;

use super::rate::Rate;
use crate::{AttemptKey, GuardResponse};

/// In bytes. Sessions and accounts have shorter names.
const MAX_BINDING_BYTES: usize = 256;

/// A request for a challenge, pending and not yet answered.
#[derive(Debug)]
#[must_use = "nobody is answered until this is"]
pub struct PendingChallenge {
    pub(super) issuer: Arc<dyn ChallengeIssuer>,
    pub(super) rate: Rate,
    pub(super) request: ChallengeRequest,
    pub(super) key: AttemptKey,
}

impl PendingChallenge {
    /// The answer. Dropping the future leaves the request counted or not.
    pub async fn respond(self) -> GuardResponse {
        // A visitor may have written it, and no error of ours may come of that.
        let bound = self.request.binding().map_or(0, str::len);
        if bound > MAX_BINDING_BYTES {
            return failure(400, "Please load the page again.", None);
        }
        let taken = self.rate.count(&self.key).await;
        if taken > self.rate.max_requests {
            return failure(
                429,
                "Too many attempts. Please wait a little and try again.",
                Some(self.rate.window),
            );
        }
        let request = self.request.with_earlier(taken.saturating_sub(1));
        match self.issuer.issue(&request).await {
            Ok(challenge) => answer(200, challenge.json().to_owned()),
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &CheckError) -> GuardResponse {
    let ours = error.kind() == ErrorKind::Misconfigured;
    macro_rules! tell {
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
    if ours {
        tell!(error);
        return failure(500, "The check is not set up correctly.", None);
    }
    tell!(warn);
    let wait = error.retry_after().unwrap_or(Duration::from_secs(5));
    failure(
        503,
        "The check is busy. Please try again in a moment.",
        Some(wait),
    )
}

fn failure(status: u16, error: &str, wait: Option<Duration>) -> GuardResponse {
    let mut answer = answer(status, json!({"error": error}).to_string());
    if let Some(wait) = wait {
        let seconds = wait.as_secs().clamp(1, 3_600).to_string();
        answer.headers.push(("retry-after", seconds.into()));
    }
    answer
}

fn answer(status: u16, body: String) -> GuardResponse {
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
