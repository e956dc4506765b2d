//! An account whose provider the test breaks and mends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use human_check_core::adapter::WidgetSpec;
use human_check_core::adapter::async_trait;
use human_check_core::{
    Capabilities, CheckError, ErrorKind, FactKind, Facts, Health, HumanCheck, Provider, Reason,
    Refusal, Score, Submission, Timeout, Verdict, Widget,
};
use human_check_guard::Account;

/// How the provider replies to the tokens of visitors. The token `bad` is refused by a provider that
/// replies at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Replies {
    Declined,
    Human,
    Misconfigured,
    Never,
    Protocol,
    RateLimited,
    /// A human verdict with this score, and a refusal below 0.5.
    Score(f64),
    StoreUnavailable,
    Unavailable,
}

#[derive(Clone, Debug)]
pub(crate) struct Fake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    provider: Provider,
    replies: Mutex<Replies>,
    health: Mutex<Health>,
    calls: AtomicUsize,
    probes: AtomicUsize,
}

static SPEC: WidgetSpec = WidgetSpec::new("https://provider.example/api.js", "box", "data-sitekey");

impl Fake {
    pub(crate) fn new(provider: &Provider) -> Self {
        Self(Arc::new(Inner {
            provider: provider.clone(),
            replies: Mutex::new(Replies::Human),
            health: Mutex::new(Health::Up),
            calls: AtomicUsize::new(0),
            probes: AtomicUsize::new(0),
        }))
    }

    /// Returns the account with this provider.
    pub(crate) fn account(&self, name: &str) -> Account {
        let check = Timeout::new(self.clone(), Duration::from_secs(3));
        let widget = Widget::new(&self.0.provider, format!("key-of-{name}"), &SPEC).unwrap();
        Account::new(name, check).with_widget(widget)
    }

    pub(crate) fn reply(&self, replies: Replies) {
        *self.0.replies.lock().unwrap() = replies;
    }

    pub(crate) fn set_health(&self, health: Health) {
        *self.0.health.lock().unwrap() = health;
    }

    /// The provider is down, for visitors and for health probes.
    pub(crate) fn break_down(&self) {
        self.reply(Replies::Unavailable);
        self.set_health(Health::Down("not-connected"));
    }

    pub(crate) fn mend(&self) {
        self.reply(Replies::Human);
        self.set_health(Health::Up);
    }

    /// Returns what the provider does now.
    pub(crate) fn current(&self) -> (Replies, Health) {
        (
            *self.0.replies.lock().unwrap(),
            *self.0.health.lock().unwrap(),
        )
    }

    /// Makes the provider do what it did before.
    pub(crate) fn restore(&self, (replies, health): (Replies, Health)) {
        self.reply(replies);
        self.set_health(health);
    }

    /// Returns how many tokens of visitors were verified so far.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Returns how many health probes were sent so far.
    pub(crate) fn probes(&self) -> usize {
        self.0.probes.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl HumanCheck for Fake {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.0.provider)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing().sometimes(FactKind::Score)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let provider = &self.0.provider;
        let replies = *self.0.replies.lock().unwrap();
        let error = |kind| Err(CheckError::new(kind, provider, "scripted"));
        let mut facts = Facts::new(provider);
        match replies {
            Replies::Declined => return error(ErrorKind::Declined),
            Replies::Misconfigured => return error(ErrorKind::Misconfigured),
            Replies::Never => std::future::pending().await,
            Replies::Protocol => return error(ErrorKind::Protocol),
            Replies::RateLimited => return error(ErrorKind::RateLimited),
            Replies::StoreUnavailable => return error(ErrorKind::StoreUnavailable),
            Replies::Unavailable => return error(ErrorKind::Unavailable),
            Replies::Human => {}
            Replies::Score(score) => facts.score = Some(Score::humanity(score).unwrap()),
        }
        if submission.token_for(provider, 100).unwrap_or("bad") == "bad" {
            return Ok(Refusal::new(Reason::Invalid).into());
        }
        Ok(match facts.score {
            Some(score) if !score.at_least(Score::humanity(0.5).unwrap()) => {
                Refusal::for_score_alone().with_facts(facts).into()
            }
            _ => Verdict::Human(facts),
        })
    }

    async fn probe_health(&self) -> Health {
        self.0.probes.fetch_add(1, Ordering::SeqCst);
        *self.0.health.lock().unwrap()
    }
}
