use std::time::{Duration, SystemTime};

use crate::hostname::HostPattern;
use crate::{
    Capabilities, ConfigError, FactKind, Facts, Reason, Refusal, Score, Submission, Support,
    TestKeyPolicy, Verdict,
};

/// What a human verdict must satisfy beyond the provider's yes.
///
/// Pure: it reads a verdict, a submission and a time. Each rule can only refuse, so adding one
/// never lets anybody in; a fact that a rule needs and the verdict lacks refuses. A new policy
/// has one rule, that answers to a provider's testing keys are refused.
///
/// ```
/// use human_check_core::{Policy, Score};
///
/// let policy = Policy::new()
///     .with_hostnames(["www.example.com", "*.shop.example.com"])?
///     .with_action("signup")
///     .with_min_score(Score::humanity(0.5)?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    origins: Option<Origins>,
    action: Option<String>,
    binding: bool,
    min_score: Option<Score>,
    max_age: Option<Duration>,
    clock_skew: Duration,
    test_keys: TestKeyPolicy,
}

#[derive(Clone, Debug, Default)]
struct Origins {
    hostnames: Vec<HostPattern>,
    apps: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// Only refuses testing credentials.
    pub fn new() -> Self {
        Self {
            origins: None,
            action: None,
            binding: false,
            min_score: None,
            max_age: None,
            clock_skew: Duration::from_secs(60),
            test_keys: TestKeyPolicy::Refused,
        }
    }

    /// Requires the challenge to have been shown on one of these hosts.
    ///
    /// Names are compared without case, port and trailing dot. `*.example.com` stands for every
    /// host under example.com, at any depth, and not for example.com itself.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the list is empty or an entry is not a host name.
    pub fn with_hostnames<S: AsRef<str>>(
        self,
        hostnames: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        self.with_hostnames_or_apps(hostnames, [] as [&str; 0])
    }

    /// Requires the challenge to have been shown on one of these hosts or in one of these apps.
    ///
    /// Apps are Android package names or iOS bundle ids, compared exactly. One rule for both, so
    /// that a site with a web page and an app has one policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both lists are empty or an entry cannot be a name.
    pub fn with_hostnames_or_apps<H: AsRef<str>, A: AsRef<str>>(
        mut self,
        hostnames: impl IntoIterator<Item = H>,
        apps: impl IntoIterator<Item = A>,
    ) -> Result<Self, ConfigError> {
        let origins = Origins {
            hostnames: hostnames
                .into_iter()
                .map(|h| HostPattern::parse(h.as_ref()))
                .collect::<Result<_, _>>()?,
            apps: apps.into_iter().map(|a| a.as_ref().to_owned()).collect(),
        };
        if origins.apps.iter().any(|app| app.trim().is_empty()) {
            return Err(ConfigError::new(
                "apps",
                "holds an empty name",
                "write the package name or bundle id, like `com.example.shop`",
            ));
        }
        if origins.hostnames.is_empty() && origins.apps.is_empty() {
            return Err(ConfigError::new(
                "hostnames",
                "is empty",
                "list the hosts that show the challenge, or leave the rule out",
            ));
        }
        self.origins = Some(origins);
        Ok(self)
    }

    /// Requires the challenge to have been solved for this action, in addition to what a
    /// submission expects.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Requires every submission to expect a binding, and the verdict to carry it.
    #[must_use]
    pub fn with_binding_required(mut self) -> Self {
        self.binding = true;
        self
    }

    /// Requires a score as good as this one. Equal passes.
    #[must_use]
    pub fn with_min_score(mut self, score: Score) -> Self {
        self.min_score = Some(score);
        self
    }

    /// Requires the challenge to have been solved no longer ago than this, and not in the future.
    ///
    /// Providers end their tokens by themselves; this is for routes that want less. Some providers
    /// report when the challenge was loaded, so a visitor who ponders looks old.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// How far the provider's clock and ours may differ when an age is judged. Default 60 seconds.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = skew;
        self
    }

    /// Sets whether replies to a provider's published test keys may pass. Default
    /// [`TestKeyPolicy::Refused`]; allow them in tests only.
    #[must_use]
    pub fn with_test_keys(mut self, policy: TestKeyPolicy) -> Self {
        self.test_keys = policy;
        self
    }

    /// Whether a check that reports `reports` can ever satisfy this policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the first rule whose fact the check does not report, or an action
    /// without a name, which providers report as none.
    pub fn validate_for(&self, reports: Capabilities) -> Result<(), ConfigError> {
        if self.action.as_ref().is_some_and(|a| a.trim().is_empty()) {
            return Err(ConfigError::new(
                "action",
                "is empty, so it would refuse everybody",
                "write the action that the page gives the widget, or leave the rule out",
            ));
        }
        let rules = [
            ("hostnames", self.origins.is_some(), FactKind::Hostname),
            ("action", self.action.is_some(), FactKind::Action),
            ("binding", self.binding, FactKind::Binding),
            ("min_score", self.min_score.is_some(), FactKind::Score),
            ("max_age", self.max_age.is_some(), FactKind::SolvedAt),
        ];
        for (rule, asked, fact) in rules {
            if asked && reports.of(fact) == Support::Never {
                return Err(ConfigError::new(
                    rule,
                    format!(
                        "asks for the {fact}, which this check does not report, so it would refuse everybody"
                    ),
                    "leave the rule out, or use a provider or plan that reports it",
                ));
            }
        }
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hostname, Provider, ReportedAction};

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn facts() -> Facts {
        Facts {
            hostname: Hostname::parse("www.example.com"),
            action: Some(ReportedAction::exact("signup")),
            binding: Some("session-1".into()),
            score: Some(Score::humanity(0.7).unwrap()),
            solved_at: Some(at(1_000)),
            ..Facts::new(&ACME)
        }
    }

    fn reason(policy: &Policy, facts: Facts, submission: &Submission, now: u64) -> Option<Reason> {
        policy
            .judge(Verdict::Human(facts), submission, at(now))
            .refusal()
            .map(Refusal::reason)
    }

    type Rule = (
        &'static str,
        fn(Policy) -> Policy,
        fn(Policy) -> Policy,
        FactKind,
    );

    /// Every rule, with what breaks it by value and the fact it needs.
    fn rules() -> Vec<Rule> {
        vec![
            (
                "hostnames",
                |p| p.with_hostnames(["www.example.com"]).unwrap(),
                |p| p.with_hostnames(["other.example"]).unwrap(),
                FactKind::Hostname,
            ),
            (
                "action",
                |p| p.with_action("signup"),
                |p| p.with_action("login"),
                FactKind::Action,
            ),
            (
                "score",
                |p| p.with_min_score(Score::humanity(0.7).unwrap()),
                |p| p.with_min_score(Score::humanity(0.8).unwrap()),
                FactKind::Score,
            ),
            (
                "age",
                |p| p.with_max_age(Duration::from_secs(100)),
                |p| p.with_max_age(Duration::ZERO),
                FactKind::SolvedAt,
            ),
            (
                "binding",
                Policy::with_binding_required,
                Policy::with_binding_required,
                FactKind::Binding,
            ),
        ]
    }

    fn without(mut facts: Facts, fact: FactKind) -> Facts {
        match fact {
            FactKind::Action => facts.action = None,
            FactKind::Binding => facts.binding = None,
            FactKind::Hostname => facts.hostname = None,
            FactKind::Score => facts.score = None,
            FactKind::SolvedAt => facts.solved_at = None,
        }
        facts
    }

    #[test]
    fn each_rule_passes_what_fits_and_refuses_what_is_absent() {
        let submission = Submission::new().with_expected_binding("session-1");
        for (name, fits, _, fact) in rules() {
            let policy = fits(Policy::new());
            assert_eq!(reason(&policy, facts(), &submission, 1_100), None, "{name}");
            assert_eq!(
                reason(&policy, without(facts(), fact), &submission, 1_100),
                Some(Reason::EvidenceAbsent(fact)),
                "{name}"
            );
            assert!(
                policy.validate_for(Capabilities::nothing()).is_err(),
                "{name}"
            );
            assert!(
                policy
                    .validate_for(Capabilities::nothing().sometimes(fact))
                    .is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn adding_a_rule_never_turns_a_refusal_into_a_pass() {
        // All pairs of subsets: whatever a smaller policy refuses, the larger one refuses too.
        let submission = Submission::new().with_expected_binding("session-1");
        let rules = rules();
        let mut all: Vec<(u32, Policy)> = Vec::new();
        for choice in 0..3_u32.pow(5) {
            let mut policy = Policy::new();
            let mut rest = choice;
            for (_, fits, breaks, _) in &rules {
                policy = match rest % 3 {
                    0 => policy,
                    1 => fits(policy),
                    _ => breaks(policy),
                };
                rest /= 3;
            }
            all.push((choice, policy));
        }
        let digits = |mut n: u32| {
            std::array::from_fn::<u32, 5, _>(|_| {
                let d = n % 3;
                n /= 3;
                d
            })
        };
        for missing in [
            None,
            Some(FactKind::Action),
            Some(FactKind::Binding),
            Some(FactKind::Hostname),
            Some(FactKind::Score),
            Some(FactKind::SolvedAt),
        ] {
            let facts = missing.map_or_else(facts, |fact| without(facts(), fact));
            let refused: Vec<bool> = all
                .iter()
                .map(|(_, p)| reason(p, facts.clone(), &submission, 1_100).is_some())
                .collect();
            for (a, _) in &all {
                for (b, _) in &all {
                    let (da, db) = (digits(*a), digits(*b));
                    let b_adds_to_a = da.iter().zip(db).all(|(&x, y)| x == 0 || x == y);
                    if b_adds_to_a && refused[*a as usize] {
                        assert!(refused[*b as usize], "{a} refused, {b} passed");
                    }
                }
            }
        }
    }

    #[test]
    fn refusals_are_never_turned_into_passes() {
        let policy = Policy::new().with_test_keys(TestKeyPolicy::Allowed);
        let verdict = policy.judge(Verdict::refused(Reason::Invalid), &Submission::new(), at(0));
        assert_eq!(verdict.refusal().unwrap().reason(), Reason::Invalid);
    }

    #[test]
    fn age_allows_for_skewed_clocks_in_both_directions() {
        let policy = Policy::new().with_max_age(Duration::from_secs(100));
        let none = Submission::new();
        for (now, expected) in [
            (1_000, None),
            (1_160, None),
            (1_161, Some(Reason::TooOld)),
            (940, None),
            (939, Some(Reason::SolvedInFuture)),
        ] {
            assert_eq!(reason(&policy, facts(), &none, now), expected, "{now}");
        }
        assert_eq!(
            reason(&Policy::new(), facts(), &none, 0),
            None,
            "without the rule the future passes"
        );
    }

    #[test]
    fn an_empty_host_list_fails_when_built() {
        let error = Policy::new().with_hostnames([] as [&str; 0]).unwrap_err();
        assert_eq!(error.field(), "hostnames");
        assert!(
            Policy::new()
                .with_hostnames_or_apps([] as [&str; 0], [" "])
                .is_err()
        );
    }

    #[test]
    fn an_app_and_a_host_are_one_rule() {
        let policy = Policy::new()
            .with_hostnames_or_apps(["www.example.com"], ["com.example.app"])
            .unwrap();
        let none = Submission::new();
        let app = |name: &str| Facts {
            app: Some(name.into()),
            hostname: None,
            ..facts()
        };
        assert_eq!(reason(&policy, facts(), &none, 1_000), None);
        assert_eq!(reason(&policy, app("com.example.app"), &none, 1_000), None);
        assert_eq!(
            reason(&policy, app("com.evil.app"), &none, 1_000),
            Some(Reason::WrongHostname)
        );
        let neither = Facts {
            hostname: Hostname::parse("evil.example"),
            ..app("com.evil.app")
        };
        assert_eq!(
            reason(&policy, neither, &none, 1_000),
            Some(Reason::WrongHostname)
        );
    }

    #[test]
    fn testing_credentials_need_permission_and_raise_an_alert() {
        let testing = Facts {
            test_key: true,
            ..facts()
        };
        let none = Submission::new();
        let verdict = Policy::new().judge(Verdict::Human(testing.clone()), &none, at(1_000));
        let refusal = verdict.refusal().unwrap();
        assert_eq!(refusal.reason(), Reason::TestKey);
        assert!(refusal.is_alert());
        assert_eq!(
            reason(
                &Policy::new().with_test_keys(TestKeyPolicy::Allowed),
                testing,
                &none,
                1_000
            ),
            None
        );
    }

    #[test]
    fn the_action_of_the_submission_holds_beside_the_policys() {
        let policy = Policy::new().with_action("signup");
        let submission = Submission::new().with_expected_action("login");
        assert_eq!(
            reason(&policy, facts(), &submission, 1_000),
            Some(Reason::WrongAction)
        );
    }

    #[test]
    fn a_required_binding_must_be_expected_too() {
        // Whoever requires it and forgets to say which one would let any session's token pass.
        let policy = Policy::new().with_binding_required();
        let unexpected = reason(&policy, facts(), &Submission::new(), 1_000);
        assert_eq!(unexpected, Some(Reason::EvidenceAbsent(FactKind::Binding)));
    }

    #[test]
    fn a_score_as_good_as_the_floor_passes_within_a_millionth() {
        let policy = Policy::new().with_min_score(Score::humanity(0.9).unwrap());
        let scored = |x| Facts {
            score: Some(Score::humanity(x).unwrap()),
            ..facts()
        };
        let none = Submission::new();
        assert_eq!(reason(&policy, scored(0.9), &none, 1_000), None);
        assert_eq!(
            reason(&policy, scored(0.899_999_976_158_142_1), &none, 1_000),
            None
        );
        for low in [0.89, 0.8999, 0.899_99] {
            assert_eq!(
                reason(&policy, scored(low), &none, 1_000),
                Some(Reason::ScoreTooLow)
            );
        }
    }
}
