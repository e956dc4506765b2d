use human_check_core::{CheckError, ConfigError, ErrorKind, Facts, Verdict};
use serde::Serialize;

/// The outcome of a check, as texts and numbers. [`to_json`](Self::to_json) writes it as one line.
///
/// ```
/// use human_check_core::{Reason, Refusal};
/// use human_check_explain::Explanation;
///
/// let outcome = Ok(Refusal::new(Reason::Expired).into());
/// let explanation = Explanation::new(None, &outcome);
/// assert_eq!(explanation.exit_code(), 1);
/// println!("{}: {}", explanation.outcome, explanation.advice());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The name of the case.
    pub name: Option<String>,
    /// The class: `human`, `not-human`, or the kind of an error, such as `unavailable`, `declined`,
    /// `misconfigured` or `protocol`.
    pub outcome: &'static str,
    /// The reason of a refusal or of an error. `None` for a human.
    pub reason: Option<String>,
    /// The provider's own codes, in its order.
    pub codes: Vec<String>,
    /// The score on the common scale, from 0 (bot) to 1 (human).
    pub score: Option<f64>,
    /// The host that showed the challenge.
    pub hostname: Option<String>,
    /// Whether the outcome requires the operator's attention.
    pub alert: bool,
    /// The action that the provider reported. Not a part of the JSON.
    #[serde(skip)]
    pub action: Option<String>,
    /// The causes of an error, the nearest first. Not a part of the JSON.
    #[serde(skip)]
    pub causes: Vec<String>,
}

impl Explanation {
    /// Creates the explanation of a check's outcome. `name` is repeated in it.
    pub fn new(name: Option<String>, outcome: &Result<Verdict, CheckError>) -> Self {
        let explanation =
            |class, reason: Option<&str>, codes: &[String], facts: Option<&Facts>, alert| Self {
                name,
                outcome: class,
                reason: reason.map(str::to_owned),
                codes: codes.to_vec(),
                // Six digits are more than any provider sends. Rounding removes the error of the
                // subtraction from 1.
                score: facts
                    .and_then(|f| f.score)
                    .map(|s| (s.human() * 1e6).round() / 1e6),
                hostname: facts
                    .and_then(|f| f.hostname.as_ref())
                    .map(|h| h.as_str().to_owned()),
                alert,
                action: facts
                    .and_then(|f| f.action.as_ref())
                    .map(|a| a.as_str().to_owned()),
                causes: outcome.as_ref().err().map_or_else(Vec::new, causes),
            };
        match outcome {
            Ok(Verdict::Human(facts)) => explanation("human", None, &[], Some(facts), false),
            Ok(Verdict::NotHuman(refusal)) => explanation(
                "not-human",
                Some(refusal.reason().as_str()),
                refusal.codes(),
                refusal.facts(),
                refusal.is_alert(),
            ),
            Err(error) => explanation(
                error.kind().as_str(),
                Some(error.reason()),
                error.codes(),
                None,
                error.is_alert(),
            ),
        }
    }

    /// Creates the explanation of a configuration that the library refuses. Its outcome is
    /// `misconfigured`, and its reason `setting-` with the name of the setting.
    pub fn misconfigured(name: Option<String>, error: &ConfigError) -> Self {
        Self {
            name,
            outcome: ErrorKind::Misconfigured.as_str(),
            reason: Some(format!("setting-{}", error.field())),
            codes: Vec::new(),
            score: None,
            hostname: None,
            alert: true,
            action: None,
            causes: Vec::new(),
        }
    }

    /// Returns the exit code for a command: 0 for `human`, 1 for `not-human`, 3 for
    /// `misconfigured`, and 2 for every other error.
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            "human" => 0,
            "not-human" => 1,
            "misconfigured" => 3,
            _ => 2,
        }
    }

    /// Returns the explanation as one line of JSON, without a line break.
    pub fn to_json(&self) -> String {
        // Serializing a struct of texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns one or two sentences: what the outcome means, and what to do about it.
    pub fn advice(&self) -> &'static str {
        match (self.outcome, self.reason.as_deref().unwrap_or("")) {
            ("human", _) => "The provider returned a human verdict, and every rule holds.",
            ("not-human", "missing") => "The submission holds no token. Show the challenge.",
            ("not-human", "malformed") => "The submitted text cannot be a token.",
            ("not-human", "expired" | "replayed" | "expired-or-replayed" | "too-old") => {
                "The token is too old or was used before. Show a new challenge."
            }
            ("not-human", "score-too-low") => {
                "The token is genuine, but its score does not reach the threshold."
            }
            ("not-human", "wrong-hostname" | "wrong-site-key") => {
                "The challenge was solved on another site, or the configured hosts or keys are wrong. If this happens to every visitor, correct the configuration."
            }
            ("not-human", "wrong-action" | "wrong-binding" | "wrong-address") => {
                "The challenge was solved for another action, user or address, such as on another page."
            }
            ("not-human", "test-key") => {
                "The reply belongs to the provider's test keys, with which every visitor passes. Use the keys of the site, or allow test keys in a test."
            }
            ("not-human", "unverifiable-token") => {
                "The provider cannot verify tokens of this kind, and a visitor can type one."
            }
            ("not-human", reason) if reason.ends_with("-absent") => {
                "A rule requires a fact that the reply does not state, so the check refuses."
            }
            ("not-human", _) => "The provider refused the token.",
            ("unavailable", _) => {
                "The provider could not be reached or reported a fault of its own. There is no verdict, and the route decides whether to fail open."
            }
            ("declined", _) => {
                "The provider declined to verify the token, such as for an exhausted quota. An attacker can cause this, so it does not count as an outage."
            }
            ("rate-limited", _) => {
                "The provider replied that there are too many requests. There is no verdict, and no route fails open on this. Look for a flood of requests."
            }
            ("misconfigured", _) => {
                "The key, the secret or another setting is wrong. No visitor causes this. Correct the configuration."
            }
            _ => "The reply is invalid. There is no verdict, and no route fails open on this.",
        }
    }
}

/// Returns the messages of an error's sources, the nearest first.
fn causes(error: &CheckError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes
}
