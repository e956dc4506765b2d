//! Requests that send one token at the same time.

use std::sync::{Arc, Mutex};

use human_check_core::adapter::async_trait;
use human_check_core::{
    Capabilities, CheckError, Facts, HumanCheck, Provider, Reason, Refusal, Submission, Verdict,
};
use human_check_guard::{DenialReason, Guard, Human, Rejection};
use human_check_testkit::SCRIPTED;

use crate::support::{Head, closed, decide};

/// A check that accepts a token once, and not before the test lets it.
#[derive(Debug, Default)]
struct Once {
    used: Mutex<bool>,
    gate: tokio::sync::Notify,
}

#[async_trait]
impl HumanCheck for Once {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&SCRIPTED)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        let first = !std::mem::replace(&mut *self.used.lock().unwrap(), true);
        self.gate.notified().await;
        Ok(match first {
            true => Verdict::Human(Facts::new(&SCRIPTED)),
            false => Refusal::new(Reason::Replayed).into(),
        })
    }
}

#[tokio::test]
async fn of_two_simultaneous_requests_with_one_token_the_second_is_told_so() {
    let check = Arc::new(Once::default());
    let guard = Guard::new(Arc::clone(&check), closed()).unwrap();
    let head = Head::new();
    let (first, second, other) = (
        decide(&guard, &head, "one-token"),
        decide(&guard, &head, "one-token"),
        decide(&guard, &head, "another-token"),
    );
    let release = async {
        for _ in 0..3 {
            tokio::task::yield_now().await;
            check.gate.notify_one();
        }
    };
    let (first, second, other, ()) = tokio::join!(first, second, other, release);
    assert!(first.result().is_ok());
    assert_eq!(second.result().err(), Some(DenialReason::AlreadySubmitted));
    assert_eq!(
        other.result().err(),
        Some(DenialReason::VerificationFailed),
        "no twin of it"
    );
    let rejection: Result<Human, Rejection> = second.require();
    let response = rejection.unwrap_err().into_response();
    assert_eq!(response.status, 409);
    // Nothing comes of a request that the client abandons, so its twin needs a new token.
    *check.used.lock().unwrap() = false;
    let mut abandoned = Box::pin(decide(&guard, &head, "abandoned"));
    let mut twin = Box::pin(decide(&guard, &head, "abandoned"));
    tokio::select! {
        biased;
        _ = &mut abandoned => unreachable!("the check waits"),
        _ = &mut twin => unreachable!("the check waits"),
        () = tokio::task::yield_now() => {}
    }
    drop(abandoned);
    check.gate.notify_one();
    let twin = twin.await;
    assert_eq!(twin.result().err(), Some(DenialReason::VerificationFailed));
    // A token that is sent again later is refused like every other one.
    check.gate.notify_one();
    let later = decide(&guard, &head, "one-token").await;
    assert_eq!(later.result().err(), Some(DenialReason::VerificationFailed));
}
