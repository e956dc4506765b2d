//! Shadow: a second check that has no effect on the decision.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use human_check_core::{
    Capabilities, CheckError, Comparison, ComparisonSink, Facts, HumanCheck, HumanCheckExt,
    MemoryReplayStore, ObservedOutcome, Provider, Reason, Submission, Verdict,
};
use human_check_testkit::Scripted;

use crate::log::Log;

static ONE: Provider = Provider::new("one", &["one-response"]);
static TWO: Provider = Provider::new("two", &["two-response"]);

/// Sends comparisons to a channel.
#[derive(Debug)]
struct ChannelSink(Mutex<Sender<Comparison>>);

impl ComparisonSink for ChannelSink {
    fn record(&self, comparison: Comparison) {
        let _ = self.0.lock().unwrap().send(comparison);
    }

    fn lost(&self, _: &'static str) {}
}

fn sink() -> (ChannelSink, Receiver<Comparison>) {
    let (sender, receiver) = channel();
    (ChannelSink(Mutex::new(sender)), receiver)
}

async fn next(receiver: &Receiver<Comparison>) -> Comparison {
    loop {
        if let Ok(comparison) = receiver.try_recv() {
            return comparison;
        }
        tokio::task::yield_now().await;
    }
}

fn first() -> Scripted {
    Scripted::human_with(Facts::new(&ONE)).with_provider(&ONE)
}

fn both() -> Submission {
    Submission::new()
        .with_token(&ONE, "token-1")
        .with_token(&TWO, "token-2")
}

#[tokio::test]
async fn whatever_the_second_says_the_first_decides() {
    type Make = fn() -> Scripted;
    let seconds: [(Make, &str); 6] = [
        (Scripted::human, "human"),
        (|| Scripted::refused(Reason::Invalid), "not-human"),
        (Scripted::unavailable, "failed"),
        (Scripted::misconfigured, "failed"),
        (Scripted::protocol, "failed"),
        (Scripted::declined, "failed"),
    ];
    for (second, expected) in seconds {
        for refuses in [false, true] {
            let first = match refuses {
                true => Scripted::refused(Reason::Expired).with_provider(&ONE),
                false => first(),
            };
            let (sink, receiver) = sink();
            let check = first.shadow(second().with_provider(&TWO), sink).unwrap();
            let verdict = check.check(&both()).await.unwrap();
            assert_eq!(verdict.is_human(), !refuses);
            let comparison = next(&receiver).await;
            let [one, two] = comparison.observations.as_slice() else {
                panic!("{comparison:?}");
            };
            assert_eq!(one.outcome == ObservedOutcome::Human, !refuses);
            let word = match &two.outcome {
                ObservedOutcome::Human => "human",
                ObservedOutcome::NotHuman(_) => "not-human",
                ObservedOutcome::Failed(..) => "failed",
                ObservedOutcome::NoToken => "no-token",
            };
            assert_eq!(word, expected);
        }
    }
}

#[tokio::test]
async fn a_token_is_never_shown_to_a_provider_it_was_not_made_for() {
    let (sink, receiver) = sink();
    let second = Scripted::human().with_provider(&TWO);
    let check = first().shadow(second.clone(), sink).unwrap();
    assert!(check.check(&both()).await.unwrap().is_human());
    next(&receiver).await;
    let received = second.submissions();
    assert!(!received[0].has_token_for(&ONE) && received[0].has_token_for(&TWO));
    let only_first = Submission::new().with_token(&ONE, "token-1");
    assert!(check.check(&only_first).await.unwrap().is_human());
    assert_eq!(
        next(&receiver).await.observations[1].outcome,
        ObservedOutcome::NoToken
    );
    assert_eq!(second.submissions().len(), 1, "no call without a token");
}

#[tokio::test]
async fn the_second_provider_gets_only_expectations_that_it_can_report() {
    for capabilities in [
        Capabilities::nothing(),
        Capabilities::nothing().sometimes(human_check_core::FactKind::Action),
    ] {
        let (sink, receiver) = sink();
        let second = Scripted::human()
            .with_provider(&TWO)
            .with_capabilities(capabilities);
        let check = first().shadow(second.clone(), sink).unwrap();
        let submission = both()
            .with_expected_action("signup")
            .with_expected_binding("session");
        assert!(check.check(&submission).await.is_ok());
        next(&receiver).await;
        let received = second.submissions().pop().unwrap();
        let kept = capabilities != Capabilities::nothing();
        assert_eq!(received.expected_action().is_some(), kept);
        assert_eq!(received.expected_binding(), None);
    }
}

#[test]
fn a_provider_cannot_shadow_itself_since_that_would_use_the_token() {
    let (sink, _receiver) = sink();
    let error = first().shadow(first(), sink).unwrap_err();
    assert!(error.to_string().contains("one"), "{error}");
}

/// A check that panics or never finishes.
#[derive(Debug)]
struct Broken {
    panics: bool,
}

#[human_check_core::adapter::async_trait]
impl HumanCheck for Broken {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&TWO)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        assert!(!self.panics, "the check panics");
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_panics_or_stalls_reaches_no_visitor_and_frees_its_place() {
    for panics in [true, false] {
        let (sink, receiver) = sink();
        let shadow = first().shadow(Broken { panics }, sink).unwrap();
        let check = shadow
            .with_max_in_flight(1)
            .with_timeout(Duration::from_secs(5));
        let start = tokio::time::Instant::now();
        for _ in 0..3 {
            assert!(check.check(&both()).await.unwrap().is_human());
            assert_eq!(start.elapsed(), Duration::ZERO, "the visitor does not wait");
            if panics {
                tokio::task::yield_now().await;
            }
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(check.check(&both()).await.unwrap().is_human());
        tokio::time::sleep(Duration::from_secs(6)).await;
        let recorded: Vec<_> = receiver.try_iter().collect();
        // The first stalled check took the only place. The last one started after its timeout.
        assert_eq!(recorded.len(), if panics { 4 } else { 2 });
        let (kind, reason) = match panics {
            true => ("protocol", "panicked"),
            false => ("unavailable", "timeout"),
        };
        let failed = ObservedOutcome::Failed(kind.to_owned(), reason.to_owned());
        assert!(
            recorded
                .iter()
                .all(|comparison| comparison.observations[1].outcome == failed)
        );
    }
}

/// A check that panics before it returns a future.
#[derive(Debug)]
struct PanicsAtOnce;

impl HumanCheck for PanicsAtOnce {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&TWO)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    fn check<'check, 'submission, 'future>(
        &'check self,
        _: &'submission Submission,
    ) -> Pin<Box<dyn Future<Output = Result<Verdict, CheckError>> + Send + 'future>>
    where
        'check: 'future,
        'submission: 'future,
        Self: 'future,
    {
        panic!("the check panics at once")
    }
}

#[tokio::test]
async fn a_shadow_that_panics_before_its_future_is_recorded_as_such() {
    let (sink, receiver) = sink();
    let check = first().shadow(PanicsAtOnce, sink).unwrap();
    assert!(check.check(&both()).await.unwrap().is_human());
    let comparison = next(&receiver).await;
    let failed = ObservedOutcome::Failed("protocol".to_owned(), "panicked".to_owned());
    assert_eq!(comparison.observations[1].outcome, failed);
}

#[tokio::test]
async fn beyond_max_in_flight_comparisons_are_dropped_and_not_queued() {
    let (sink, receiver) = sink();
    let second = Arc::new(tokio::sync::Semaphore::new(0));
    let check = first()
        .shadow(Gated(Arc::clone(&second)), sink)
        .unwrap()
        .with_max_in_flight(3);
    for _ in 0..100 {
        assert!(check.check(&both()).await.unwrap().is_human());
    }
    second.add_permits(1_000);
    for _ in 0..3 {
        next(&receiver).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(receiver.try_recv().is_err(), "no comparison was queued");
}

#[tokio::test]
async fn each_time_that_comparisons_are_lost_is_logged_once_with_its_end() {
    let log = Log::capture();
    let (sink, receiver) = sink();
    let second = Arc::new(tokio::sync::Semaphore::new(0));
    let check = first()
        .shadow(Gated(Arc::clone(&second)), sink)
        .unwrap()
        .with_max_in_flight(4);
    for time in 1..=2 {
        for _ in 0..100 {
            assert!(check.check(&both()).await.unwrap().is_human());
        }
        assert_eq!(log.count("comparisons are lost"), time);
        second.add_permits(1);
        next(&receiver).await;
        // Most places are still taken.
        assert_eq!(log.count("comparisons are made again"), time - 1);
        second.add_permits(3);
        for _ in 0..3 {
            next(&receiver).await;
        }
        while log.count("comparisons are made again") < time {
            tokio::task::yield_now().await;
        }
    }
}

/// A check that waits for a permit of the semaphore before it returns.
#[derive(Debug)]
struct Gated(Arc<tokio::sync::Semaphore>);

#[human_check_core::adapter::async_trait]
impl HumanCheck for Gated {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&TWO)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        self.0.acquire().await.unwrap().forget();
        Ok(Verdict::Human(Facts::new(&TWO)))
    }
}

#[tokio::test]
async fn a_compared_token_is_not_used_by_the_comparison() {
    let (sink, _receiver) = sink();
    let check = first()
        .shadow(Scripted::human().with_provider(&TWO), sink)
        .unwrap()
        .replay_guard(MemoryReplayStore::new(10));
    let again = |first: &'static str| {
        Submission::new()
            .with_token(&ONE, first)
            .with_token(&TWO, "the-same")
    };
    assert!(check.check(&again("a")).await.unwrap().is_human());
    assert!(check.check(&again("b")).await.unwrap().is_human());
    assert!(!check.check(&again("a")).await.unwrap().is_human());
}

#[tokio::test]
async fn a_sample_of_zero_compares_nothing_and_an_invalid_sample_is_refused() {
    let (sink, receiver) = sink();
    let check = first()
        .shadow(Scripted::human().with_provider(&TWO), sink)
        .unwrap();
    let check = check.with_sample(0.0).unwrap();
    for _ in 0..100 {
        assert!(check.check(&both()).await.unwrap().is_human());
    }
    tokio::task::yield_now().await;
    assert!(receiver.try_recv().is_err());
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(check.clone().with_sample(share).is_err(), "{share}");
    }
}

/// Every twentieth request of the first check needs a repeat, since its connection was stale.
#[tokio::test(start_paused = true)]
async fn a_shadow_that_is_down_takes_no_retries_from_the_first() {
    use human_check_core::Secret;
    use human_check_hcaptcha::{HCAPTCHA, Hcaptcha};
    use human_check_http::{MockTransport, ProviderClient, Reply, SendError, SendErrorKind};
    use human_check_turnstile::{TURNSTILE, Turnstile};

    let stale = Mutex::new(std::collections::HashSet::new());
    let transport = MockTransport::new(move |request| {
        let not_sent = || Err(SendError::new(SendErrorKind::NotSent));
        if request.endpoint().url().host_str() != Some("challenges.cloudflare.com") {
            return not_sent();
        }
        let body = request.body().to_vec();
        let is_stale = body.windows(5).any(|word| word == b"stale");
        match is_stale && stale.lock().unwrap().insert(body) {
            true => not_sent(),
            false => Ok(Reply::new(200, r#"{"success":true}"#)),
        }
    });
    let client = ProviderClient::new(transport);
    let secret = || Secret::new("0x4real-secret").unwrap();
    let first = Turnstile::new(&client, secret()).unwrap();
    let site_key = "10000000-1111-1111-1111-000000000001";
    let down = Hcaptcha::new(&client, site_key, secret()).unwrap();
    let (sink, compared) = sink();
    let check = first.shadow(down, sink).unwrap();
    for number in 0..400 {
        let suffix = if number % 20 == 0 { "stale" } else { "" };
        let submission = Submission::new()
            .with_token(&TURNSTILE, format!("token{number}{suffix}"))
            .with_token(&HCAPTCHA, format!("token{number}"));
        let verdict = check.check(&submission).await;
        assert!(verdict.is_ok_and(|verdict| verdict.is_human()), "{number}");
        // The clock is paused: this lets the comparison run to its end.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(compared.try_recv().is_ok(), "{number} was not compared");
    }
}
