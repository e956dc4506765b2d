//! How a policy judges a verdict: the rules, one after the other.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::{Origins, Policy};
use crate::verdict::HostPattern;
use crate::{FactKind, Facts, Reason, Refusal, Submission, Verdict};

impl Policy {
    /// Changes a human verdict that breaks a rule into a refusal. A refusal stays as it is.
    ///
    /// `now` is compared with the time of solving. If several providers judged, the facts of each
    /// must satisfy every rule.
    ///
    /// ```
    /// use human_check_core::{Facts, Hostname, Policy, Provider, Submission, Verdict};
    /// use std::time::SystemTime;
    ///
    /// static ACME: Provider = Provider::new("acme", &["acme-response"]);
    /// let policy = Policy::new().with_hostnames(["www.example.com"])?;
    /// let mut facts = Facts::new(&ACME);
    /// facts.hostname = Hostname::parse("other.example");
    /// let verdict = policy.judge(Verdict::Human(facts), &Submission::new(), SystemTime::now());
    /// assert_eq!(verdict.refusal().unwrap().reason().as_str(), "wrong-hostname");
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    pub fn judge(&self, verdict: Verdict, submission: &Submission, now: SystemTime) -> Verdict {
        let facts = match verdict {
            Verdict::Human(facts) => facts,
            Verdict::NotHuman(refusal) => {
                // Another policy found the score too low. Its other rules held; do those of this one?
                let others_hold = refusal.facts_but_for_score().is_some_and(|facts| {
                    let mut judged = facts.all();
                    judged.all(|facts| self.broken_but_for_score(facts, submission, now).is_none())
                });
                return Verdict::NotHuman(refusal.with_only_score_too_low(others_hold));
            }
        };
        let broken = facts
            .all()
            .find_map(|judged| self.broken_but_for_score(judged, submission, now))
            .or_else(|| facts.all().find_map(|judged| self.broken_score(judged)));
        let Some(reason) = broken else {
            return Verdict::Human(facts);
        };
        let refusal = Refusal::new(reason)
            .with_facts(facts)
            .with_only_score_too_low(reason == Reason::ScoreTooLow);
        let refusal = match self.expected(reason, submission) {
            Some(expected) => refusal.with_expected(expected),
            None => refusal,
        };
        Verdict::NotHuman(match reason {
            Reason::TestKey => refusal.with_alert(),
            _ => refusal,
        })
    }

    /// Returns what the rule that `reason` is about demands, for the operator.
    fn expected(&self, reason: Reason, submission: &Submission) -> Option<String> {
        match reason {
            Reason::WrongHostname | Reason::EvidenceAbsent(FactKind::Hostname) => {
                self.origins.as_ref().map(Origins::to_string)
            }
            Reason::WrongAction | Reason::EvidenceAbsent(FactKind::Action) => {
                let expected = self.action.as_deref().or(submission.expected_action());
                expected.map(str::to_owned)
            }
            Reason::ScoreTooLow | Reason::EvidenceAbsent(FactKind::Score) => {
                self.min_score.map(|floor| floor.raw().to_string())
            }
            _ => None,
        }
    }

    /// Returns the reason to refuse, if the score is below the threshold or absent.
    fn broken_score(&self, facts: &Facts) -> Option<Reason> {
        let floor = self.min_score?;
        match facts.score {
            None => Some(Reason::EvidenceAbsent(FactKind::Score)),
            Some(score) if !score.at_least(floor) => Some(Reason::ScoreTooLow),
            Some(_) => None,
        }
    }

    /// Returns the reason to refuse, if `facts` break a rule other than that for the score. The score
    /// comes last, so that a refusal for it says that all other rules hold.
    fn broken_but_for_score(
        &self,
        facts: &Facts,
        submission: &Submission,
        now: SystemTime,
    ) -> Option<Reason> {
        if facts.test_key && !self.test_keys.allowed() {
            return Some(Reason::TestKey);
        }
        if let Some(reason) = self.origins.as_ref().and_then(|o| o.broken_by(facts)) {
            return Some(reason);
        }
        if let Some(expected) = &self.action {
            match &facts.action {
                None => return Some(Reason::EvidenceAbsent(FactKind::Action)),
                Some(action) if !action.matches(expected) => return Some(Reason::WrongAction),
                Some(_) => {}
            }
        }
        if self.binding && (facts.binding.is_none() || submission.expected_binding().is_none()) {
            return Some(Reason::EvidenceAbsent(FactKind::Binding));
        }
        if let Some(reason) = submission.unmet_by(facts) {
            return Some(reason);
        }
        self.max_age
            .and_then(|age| broken_age(facts.solved_at, age, self.clock_skew, now))
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.hostnames.iter().map(HostPattern::to_string);
        let all: Vec<_> = hosts.chain(self.apps.iter().cloned()).collect();
        f.write_str(&all.join(", "))
    }
}

impl Origins {
    /// Returns the reason to refuse, if neither the host nor the app is listed.
    fn broken_by(&self, facts: &Facts) -> Option<Reason> {
        match (&facts.hostname, &facts.app) {
            (None, None) => Some(Reason::EvidenceAbsent(FactKind::Hostname)),
            (host, app) => {
                // One of both is enough. If both had to be listed, removing one from a reply could
                // turn a refusal into a pass.
                let host_ok = host
                    .as_ref()
                    .is_some_and(|h| self.hostnames.iter().any(|p| p.matches(h)));
                let app_ok = app.as_ref().is_some_and(|a| self.apps.contains(a));
                (!(host_ok || app_ok)).then_some(Reason::WrongHostname)
            }
        }
    }
}

/// Returns the reason to refuse, if the challenge is too old or was solved in the future.
fn broken_age(
    solved_at: Option<SystemTime>,
    max_age: Duration,
    skew: Duration,
    now: SystemTime,
) -> Option<Reason> {
    let Some(solved_at) = solved_at else {
        return Some(Reason::EvidenceAbsent(FactKind::SolvedAt));
    };
    match now.duration_since(solved_at) {
        Ok(age) => (age > max_age.saturating_add(skew)).then_some(Reason::TooOld),
        Err(ahead) => (ahead.duration() > skew).then_some(Reason::SolvedInFuture),
    }
}
