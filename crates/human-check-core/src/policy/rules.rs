//! The rules, one after the other.

use std::time::{Duration, SystemTime};

use super::{Origins, Policy};
use crate::{FactKind, Facts, Reason, Refusal, Submission, Verdict};

impl Policy {
    /// Turns a human verdict that breaks a rule into a refusal. Refusals stay as they are. Where
    /// several providers judged, each one's facts are held to every rule.
    pub fn judge(&self, verdict: Verdict, submission: &Submission, now: SystemTime) -> Verdict {
        let facts = match verdict {
            Verdict::Human(facts) => facts,
            refused @ Verdict::NotHuman(_) => return refused,
        };
        let broken = facts
            .all()
            .find_map(|judged| self.broken_by(judged, submission, now));
        let Some(reason) = broken else {
            return Verdict::Human(facts);
        };
        let refusal = Refusal::new(reason).with_facts(facts);
        Verdict::NotHuman(match reason {
            Reason::TestKey => refusal.with_alert(),
            _ => refusal,
        })
    }

    fn broken_by(&self, facts: &Facts, submission: &Submission, now: SystemTime) -> Option<Reason> {
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
        if let Some(floor) = self.min_score {
            match facts.score {
                None => return Some(Reason::EvidenceAbsent(FactKind::Score)),
                Some(score) if !score.at_least(floor) => return Some(Reason::ScoreTooLow),
                Some(_) => {}
            }
        }
        self.max_age
            .and_then(|age| aged(facts.solved_at, age, self.clock_skew, now))
    }
}

impl Origins {
    fn broken_by(&self, facts: &Facts) -> Option<Reason> {
        match (&facts.hostname, &facts.app) {
            (None, None) => Some(Reason::EvidenceAbsent(FactKind::Hostname)),
            (host, app) => {
                // Either vouches. If both had to, taking one out of a reply could make it pass.
                let host_ok = host
                    .as_ref()
                    .is_some_and(|h| self.hostnames.iter().any(|p| p.matches(h)));
                let app_ok = app.as_ref().is_some_and(|a| self.apps.contains(a));
                (!(host_ok || app_ok)).then_some(Reason::WrongHostname)
            }
        }
    }
}

fn aged(
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
