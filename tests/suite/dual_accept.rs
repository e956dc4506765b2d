//! Dual accept: two providers during a migration.

use std::time::Duration;

use human_check_core::{
    Clock, ErrorKind, HumanCheck, HumanCheckExt, MemoryReplayStore, Provider, Reason, Submission,
};
use human_check_testkit::{ManualClock, Scripted};

static NEW: Provider = Provider::new("new", &["new-response"]);
static OLD: Provider = Provider::new("old", &["old-response"]);

fn submission(new: bool, old: bool) -> Submission {
    let mut submission = Submission::new();
    if new {
        submission = submission.with_token(&NEW, "new-token");
    }
    if old {
        submission = submission.with_token(&OLD, "old-token");
    }
    submission
}

type Make = fn() -> Scripted;

#[tokio::test]
async fn of_two_tokens_both_must_hold() {
    let outcomes: [(Make, Option<bool>); 3] = [
        (Scripted::human, Some(true)),
        (|| Scripted::refused(Reason::Invalid), Some(false)),
        (Scripted::unavailable, None),
    ];
    for (new, new_passes) in outcomes {
        for (old, old_passes) in outcomes {
            let check = new()
                .with_provider(&NEW)
                .dual_accept(old().with_provider(&OLD))
                .unwrap();
            let outcome = check.check(&submission(true, true)).await;
            let passed = outcome.as_ref().is_ok_and(|verdict| verdict.is_human());
            let expected = new_passes == Some(true) && old_passes == Some(true);
            assert_eq!(passed, expected, "{new_passes:?} {old_passes:?}");
            let kind = match (new_passes, old_passes) {
                (None, None) => Err(ErrorKind::Unavailable),
                (Some(true), None) | (None, Some(true)) => Err(ErrorKind::Declined),
                _ => Ok(()),
            };
            assert_eq!(outcome.map(|_| ()).map_err(|e| e.kind()), kind);
        }
    }
}

fn pair() -> (Scripted, Scripted) {
    (
        Scripted::human().with_provider(&NEW),
        Scripted::human_with(human_check_core::Facts::new(&OLD)).with_provider(&OLD),
    )
}

#[tokio::test]
async fn the_token_that_arrived_decides_which_provider_judges() {
    let (new, old) = pair();
    let check = new.clone().dual_accept(old.clone()).unwrap();
    let counts = check.counts();
    assert!(
        check
            .check(&submission(true, false))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!((new.submissions().len(), old.submissions().len()), (1, 0));
    assert!(
        check
            .check(&submission(false, true))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!((new.submissions().len(), old.submissions().len()), (1, 1));
    assert!(
        check
            .check(&submission(true, true))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!((new.submissions().len(), old.submissions().len()), (2, 2));
    let counted = (counts.new_only(), counts.old_only(), counts.both());
    assert_eq!(counted, (1, 1, 1));
}

#[tokio::test]
async fn an_outage_of_the_old_provider_alone_never_fails_open() {
    for (new_down, old_down, new, old, kind) in [
        (false, true, false, true, ErrorKind::Declined),
        (false, true, true, true, ErrorKind::Declined),
        (true, false, true, false, ErrorKind::Unavailable),
        (true, true, true, true, ErrorKind::Unavailable),
    ] {
        let provider = |down| {
            if down {
                Scripted::unavailable()
            } else {
                Scripted::human()
            }
        };
        let check = provider(new_down).with_provider(&NEW);
        let check = check
            .dual_accept(provider(old_down).with_provider(&OLD))
            .unwrap();
        let error = check.check(&submission(new, old)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{new_down} {old_down} {new} {old}");
    }
}

#[tokio::test]
async fn after_its_sunset_the_old_provider_is_not_called() {
    let clock = ManualClock::starting_now();
    let (new, old) = pair();
    let strict = Scripted::from_script(|submission| {
        Ok(match submission.token_for(&NEW, 100) {
            Ok(_) => human_check_core::Verdict::Human(human_check_core::Facts::new(&NEW)),
            Err(refusal) => refusal.into(),
        })
    });
    drop(new);
    let minute = Duration::from_secs(60);
    let check = strict
        .with_provider(&NEW)
        .dual_accept(old.clone())
        .unwrap()
        .with_sunset(clock.now() + minute)
        .with_clock(clock.clone());
    assert_eq!(check.providers().len(), 2);
    clock.advance(minute - Duration::from_millis(1));
    assert!(
        check
            .check(&submission(false, true))
            .await
            .unwrap()
            .is_human()
    );
    clock.advance(Duration::from_millis(1));
    assert_eq!(check.providers(), std::slice::from_ref(&NEW));
    let verdict = check.check(&submission(false, true)).await.unwrap();
    assert_eq!(verdict.refusal().unwrap().reason(), Reason::Missing);
    assert!(
        check
            .check(&submission(true, true))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!(
        old.submissions().len(),
        1,
        "the old provider is not called after the sunset"
    );
    assert_eq!(check.counts().after_sunset(), 1);
}

#[tokio::test]
async fn both_tokens_are_claimed_when_both_were_judged() {
    let (new, old) = pair();
    let new = Scripted::human_with(human_check_core::Facts::new(&NEW))
        .with_provider(new.providers().first().unwrap());
    let check = new
        .dual_accept(old)
        .unwrap()
        .replay_guard(MemoryReplayStore::new(10));
    assert!(
        check
            .check(&submission(true, true))
            .await
            .unwrap()
            .is_human()
    );
    for again in [submission(false, true), submission(true, false)] {
        let verdict = check.check(&again).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason(), Reason::Replayed);
    }
}

#[test]
fn two_checks_of_one_provider_cannot_be_told_apart() {
    let error = Scripted::human()
        .dual_accept(Scripted::human())
        .unwrap_err();
    assert!(error.to_string().contains("scripted"), "{error}");
}

#[tokio::test]
async fn a_policy_around_both_holds_the_second_token_as_well() {
    let facts = |provider, host| {
        let mut facts = human_check_core::Facts::new(provider);
        facts.hostname = human_check_core::Hostname::parse(host);
        facts
    };
    for (old_host, passes) in [("www.example.com", true), ("evil.example", false)] {
        let capabilities =
            human_check_core::Capabilities::nothing().always(human_check_core::FactKind::Hostname);
        let new = Scripted::human_with(facts(&NEW, "www.example.com")).with_provider(&NEW);
        let old = Scripted::human_with(facts(&OLD, old_host)).with_provider(&OLD);
        let both = new
            .with_capabilities(capabilities)
            .dual_accept(old.with_capabilities(capabilities))
            .unwrap();
        let policy = human_check_core::Policy::new();
        let policy = policy.with_hostnames(["www.example.com"]).unwrap();
        let check = both.enforce(policy).unwrap();
        let verdict = check.check(&submission(true, true)).await.unwrap();
        assert_eq!(verdict.is_human(), passes, "{old_host}");
    }
}

#[tokio::test]
async fn a_refusal_is_attributed_to_the_provider_that_refused() {
    let refusing = || Scripted::refused(Reason::Invalid);
    for (new, old, sent, by) in [
        (refusing(), Scripted::human(), (true, true), "new"),
        (Scripted::human(), refusing(), (true, true), "old"),
        (Scripted::unavailable(), refusing(), (true, true), "old"),
        (Scripted::human(), refusing(), (false, true), "old"),
    ] {
        let check = new
            .with_provider(&NEW)
            .dual_accept(old.with_provider(&OLD))
            .unwrap();
        let verdict = check.check(&submission(sent.0, sent.1)).await.unwrap();
        assert_eq!(
            verdict.refusal().unwrap().provider().unwrap().name(),
            by,
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_undo_the_sunset() {
    let clock = ManualClock::starting_now();
    let (new, old) = pair();
    let check = new.dual_accept(old.clone()).unwrap();
    let check = check
        .with_sunset(clock.now() + Duration::from_secs(60))
        .with_clock(clock.clone());
    clock.advance(Duration::from_secs(60));
    let _ = check.check(&submission(false, true)).await.unwrap();
    clock.set(clock.now() - Duration::from_secs(3_600));
    let _ = check.check(&submission(false, true)).await.unwrap();
    assert_eq!(old.submissions().len(), 0);
}

/// A check that never returns.
#[derive(Debug)]
struct Stalled(Provider);

#[human_check_core::adapter::async_trait]
impl HumanCheck for Stalled {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.0)
    }

    fn capabilities(&self) -> human_check_core::Capabilities {
        human_check_core::Capabilities::nothing()
    }

    async fn check(
        &self,
        _: &Submission,
    ) -> Result<human_check_core::Verdict, human_check_core::CheckError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_provider_that_stalls_never_fails_open_and_ends_in_time() {
    let total = Duration::from_secs(3);
    let (new, old) = pair();
    let stalled_old = new
        .clone()
        .dual_accept(Stalled(OLD.clone()))
        .unwrap()
        .with_timeout(total);
    for tokens in [submission(false, true), submission(true, true)] {
        let start = tokio::time::Instant::now();
        let error = stalled_old.check(&tokens).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (ErrorKind::Declined, "timeout")
        );
        assert_eq!(error.provider(), &OLD);
        assert_eq!(start.elapsed().as_secs(), 3);
    }
    let stalled_new = Stalled(NEW.clone())
        .dual_accept(old)
        .unwrap()
        .with_timeout(total);
    let error = stalled_new
        .check(&submission(true, false))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::Unavailable, &NEW)
    );
    // Nothing is left of the time in which the old provider could decide.
    let start = tokio::time::Instant::now();
    let error = stalled_new
        .check(&submission(true, true))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Declined);
    assert_eq!(start.elapsed().as_secs(), 3);
}
