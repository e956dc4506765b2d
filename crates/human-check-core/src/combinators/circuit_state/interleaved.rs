//! Tests of all interleavings of two callers, with the state behind a lock as in a circuit breaker.

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::sync::{Mutex, lock};

const SECOND: Duration = Duration::from_secs(1);

fn two(work: impl Fn(&Mutex<State>) -> usize + Clone + Send + 'static, state: State) -> usize {
    let state = Arc::new(Mutex::new(state));
    let other = {
        let (state, work) = (Arc::clone(&state), work.clone());
        thread::spawn(move || work(&state))
    };
    let first = work(&state);
    first + other.join().unwrap()
}

fn opened() -> State {
    let mut state = State::new(CircuitBreakerPolicy::default());
    for _ in 0..5 {
        let permit = state.admit(SECOND).unwrap();
        state.report(permit, Signal::Failed, SECOND, 0.5);
    }
    state
}

#[test]
fn loom_one_probe_of_two_callers() {
    loom::model(|| {
        let probes = two(
            |state| usize::from(lock(state).admit(SECOND * 7).is_ok()),
            opened(),
        );
        assert_eq!(probes, 1);
    });
}

#[test]
fn loom_a_failed_probe_lets_no_other_call_through() {
    loom::model(|| {
        let admitted_calls = two(
            |state| {
                let admitted = lock(state).admit(SECOND * 7);
                let Ok(permit) = admitted else { return 0 };
                lock(state).report(permit, Signal::Failed, SECOND * 7, 0.5);
                1
            },
            opened(),
        );
        assert_eq!(admitted_calls, 1);
    });
}

#[test]
fn loom_failures_of_two_callers_open_it_once() {
    loom::model(|| {
        let mut state = State::new(CircuitBreakerPolicy::default());
        for _ in 0..3 {
            let permit = state.admit(SECOND).unwrap();
            state.report(permit, Signal::Failed, SECOND, 0.5);
        }
        let opened = two(
            |state| {
                let admitted = lock(state).admit(SECOND);
                let Ok(permit) = admitted else { return 0 };
                let change = lock(state).report(permit, Signal::Failed, SECOND, 0.5);
                usize::from(change.is_some())
            },
            state,
        );
        assert_eq!(opened, 1);
    });
}
