use human_check_core::{CheckError, ConfigError, ErrorKind, Facts, Verdict};
use serde::Serialize;

/// One line of machine output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The name that the question came with.
    pub name: Option<String>,
    /// `human`, `not-human`, `unavailable`, `declined`, `misconfigured` or `protocol`.
    pub outcome: &'static str,
    /// Why it is not human.
    pub reason: Option<String>,
    /// The provider's own codes.
    pub codes: Vec<String>,
    /// The score on the common scale, 1 = human.
    pub score: Option<f64>,
    /// The host that showed the challenge.
    pub hostname: Option<String>,
    /// Whether the site's owner must look.
    pub alert: bool,
    /// What the visitor was doing, as the page declared it. For people only.
    #[serde(skip)]
    pub action: Option<String>,
    /// What an error was caused by, link by link. For people only.
    #[serde(skip)]
    pub causes: Vec<String>,
}

impl Explanation {
    /// Words an outcome.
    pub fn new(name: Option<String>, outcome: &Result<Verdict, CheckError>) -> Self {
        let answer =
            |class, reason: Option<&str>, codes: &[String], facts: Option<&Facts>, alert| Self {
                name,
                outcome: class,
                reason: reason.map(str::to_owned),
                codes: codes.to_vec(),
                // Six places are more than any provider has, and hide the noise of subtraction.
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
            Ok(Verdict::Human(facts)) => answer("human", None, &[], Some(facts), false),
            Ok(Verdict::NotHuman(refusal)) => answer(
                "not-human",
                Some(refusal.reason().as_str()),
                refusal.codes(),
                refusal.facts(),
                refusal.is_alert(),
            ),
            Err(error) => answer(
                error.kind().as_str(),
                Some(error.reason()),
                error.codes(),
                None,
                error.is_alert(),
            ),
        }
    }

    /// A check that the library refuses to build.
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

    /// The exit code: 0 human, 1 not human, 2 could not tell, 3 misconfigured.
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            "human" => 0,
            "not-human" => 1,
            "misconfigured" => 3,
            _ => 2,
        }
    }

    /// The same on one line of JSON.
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What the outcome means and what to do about it.
    pub fn advice(&self) -> &'static str {
        match (self.outcome, self.reason.as_deref().unwrap_or("")) {
            ("human", _) => "The provider vouches for the visitor and every rule holds.",
            ("not-human", "missing") => "No token arrived. Show the challenge.",
            ("not-human", "malformed") => "What arrived cannot be a token.",
            ("not-human", "expired" | "replayed" | "expired-or-replayed" | "too-old") => {
                "The token was good once. Let the visitor solve a new challenge."
            }
            ("not-human", "score-too-low") => {
                "The token is genuine, the provider just does not believe in a human strongly enough."
            }
            ("not-human", "wrong-hostname" | "wrong-site-key") => {
                "Solved on a site that is not ours, or our list of hosts and keys is wrong. If it happens to everybody, it is the latter."
            }
            ("not-human", "wrong-action" | "wrong-binding" | "wrong-address") => {
                "Solved for something or somebody else. A token of another page is being reused."
            }
            ("not-human", "test-key") => {
                "The answer belongs to a provider's testing keys, which let everybody in. Use real keys, or allow testing keys by name in a test."
            }
            ("not-human", "unverifiable-token") => {
                "Nobody can vouch for this kind of token. Anybody can type one."
            }
            ("not-human", reason) if reason.ends_with("-absent") => {
                "A rule needs a fact that the provider did not state, and missing evidence refuses."
            }
            ("not-human", _) => "The provider refused the token.",
            ("unavailable", _) => {
                "The provider could not be asked. Nothing is known about the visitor; a route may decide what to do."
            }
            ("declined", _) => {
                "The provider answered and would not judge. An attacker can burn a quota, so this is not an outage."
            }
            ("misconfigured", _) => {
                "Our own settings are wrong. No visitor is to blame; mend the configuration."
            }
            _ => "The answer makes no sense. It counts as no verdict and never opens a route.",
        }
    }
}

fn causes(error: &CheckError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes
}
