use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn state() -> State {
    State::new(CircuitBreakerPolicy::default())
}

fn call(state: &mut State, signal: Signal, now: Duration) -> Option<Change> {
    let permit = state.admit(now).expect("the circuit is closed");
    state.report(permit, signal, now, 0.5)
}

fn opened(change: Option<Change>) -> Duration {
    match change {
        Some(Change::Opened { wait, .. }) => wait,
        other => panic!("{other:?}"),
    }
}

#[test]
fn opens_at_the_fifth_failure_in_a_row_and_not_before() {
    let mut state = state();
    for round in 0..3 {
        for _ in 0..4 {
            assert_eq!(call(&mut state, Signal::Failed, SECOND * round), None);
        }
        assert_eq!(call(&mut state, Signal::Good, SECOND * round), None);
    }
    for _ in 0..4 {
        assert_eq!(call(&mut state, Signal::Failed, SECOND * 60), None);
    }
    assert_eq!(
        opened(call(&mut state, Signal::Failed, SECOND * 60)),
        SECOND * 5
    );
    assert!(state.admit(SECOND * 64).is_err());
}

#[test]
fn opens_when_half_of_twenty_calls_are_slow() {
    let mut state = state();
    for n in 0..19 {
        let signal = if n % 2 == 0 {
            Signal::Slow
        } else {
            Signal::Good
        };
        assert_eq!(call(&mut state, signal, SECOND), None, "{n}");
    }
    opened(call(&mut state, Signal::Slow, SECOND));
}

#[test]
fn what_is_older_than_the_window_does_not_count() {
    let mut state = state();
    for n in 0..200 {
        let signal = if n % 2 == 0 {
            Signal::Slow
        } else {
            Signal::Good
        };
        // The window of 30 seconds never holds 20 calls.
        assert_eq!(call(&mut state, signal, SECOND * 2 * n), None, "{n}");
    }
}

#[test]
fn a_neutral_result_changes_nothing() {
    let mut state = state();
    for n in 0..10_000 {
        assert_eq!(call(&mut state, Signal::Neutral, SECOND), None, "{n}");
    }
    for _ in 0..4 {
        call(&mut state, Signal::Failed, SECOND);
        call(&mut state, Signal::Neutral, SECOND);
    }
    opened(call(&mut state, Signal::Failed, SECOND));
}

#[test]
fn half_open_lets_one_probe_through() {
    let mut state = state();
    for _ in 0..5 {
        call(&mut state, Signal::Failed, SECOND);
    }
    let now = SECOND * 7;
    let probe = state.admit(now).unwrap();
    assert!(state.admit(now).is_err(), "a second probe");
    assert_eq!(state.report(probe, Signal::Neutral, now, 0.5), None);
    let probe = state.admit(now).unwrap();
    assert_eq!(
        state.report(probe, Signal::Good, now, 0.5),
        Some(Change::Closed)
    );
    assert!(state.admit(now).is_ok() && state.admit(now).is_ok());
}

#[test]
fn waits_longer_each_time_up_to_a_minute_and_forgets_that_after_a_quiet_window() {
    let mut state = state();
    let mut now = SECOND;
    let mut waits = Vec::new();
    for _ in 0..5 {
        call(&mut state, Signal::Failed, now);
    }
    for _ in 0..6 {
        now += SECOND * 70;
        let probe = state.admit(now).unwrap();
        waits.push(opened(state.report(probe, Signal::Failed, now, 0.5)).as_secs());
    }
    assert_eq!(waits, [10, 20, 40, 60, 60, 60]);
    now += SECOND * 70;
    let probe = state.admit(now).unwrap();
    state.report(probe, Signal::Good, now, 0.5);
    for _ in 0..4 {
        call(&mut state, Signal::Failed, now + SECOND);
    }
    let soon = opened(call(&mut state, Signal::Failed, now + SECOND));
    assert_eq!(soon, SECOND * 60, "it flaps");
    now += SECOND * 70;
    let probe = state.admit(now).unwrap();
    state.report(probe, Signal::Good, now, 0.5);
    for _ in 0..4 {
        call(&mut state, Signal::Failed, now + SECOND * 40);
    }
    let late = opened(call(&mut state, Signal::Failed, now + SECOND * 40));
    assert_eq!(late, SECOND * 5);
}

#[test]
fn a_call_from_before_it_opened_does_not_count_as_the_probe() {
    let mut state = state();
    let early = state.admit(SECOND).unwrap();
    for _ in 0..5 {
        call(&mut state, Signal::Failed, SECOND);
    }
    assert_eq!(state.report(early, Signal::Good, SECOND * 2, 0.5), None);
    assert!(state.admit(SECOND * 3).is_err(), "still open");
    let probe = state.admit(SECOND * 7).unwrap();
    assert_eq!(state.report(early, Signal::Failed, SECOND * 7, 0.5), None);
    assert_eq!(
        state.report(probe, Signal::Good, SECOND * 7, 0.5),
        Some(Change::Closed)
    );
}

#[test]
fn a_probe_with_any_reply_closes_the_circuit() {
    let mut state = state();
    for _ in 0..5 {
        call(&mut state, Signal::Failed, SECOND);
    }
    let probe = state.admit(SECOND * 7).unwrap();
    let change = state.report(probe, Signal::Replied, SECOND * 7, 0.5);
    assert_eq!(change, Some(Change::Closed));
}

#[test]
fn a_client_that_hangs_up_on_probes_cannot_block_others() {
    let mut state = state();
    for _ in 0..5 {
        call(&mut state, Signal::Failed, SECOND);
    }
    let now = SECOND * 7;
    let mut of_bot = state.admit(now).unwrap();
    for _ in 0..3 {
        state.report(of_bot, Signal::Dropped, now, 0.5);
        of_bot = state.admit(now).unwrap();
    }
    // The bot holds a permit again, and another client still gets one.
    let of_other = state.admit(now).unwrap();
    let change = state.report(of_other, Signal::Good, now, 0.5);
    assert_eq!(change, Some(Change::Closed));
    state.report(of_bot, Signal::Dropped, now, 0.5);
    assert!(state.admit(now).is_ok());
}

#[test]
fn a_probe_that_never_ends_makes_room_in_the_end() {
    let mut state = state();
    for _ in 0..5 {
        call(&mut state, Signal::Failed, SECOND);
    }
    let _hung = state.admit(SECOND * 7).unwrap();
    assert!(state.admit(SECOND * 66).is_err());
    assert!(state.admit(SECOND * 67).is_ok());
}

#[test]
fn jitter_stays_within_a_tenth() {
    for (jitter, tenths_of_a_second) in [(0.0, 45), (1.0, 55)] {
        let mut state = state();
        for _ in 0..4 {
            call(&mut state, Signal::Failed, SECOND);
        }
        let permit = state.admit(SECOND).unwrap();
        let wait = opened(state.report(permit, Signal::Failed, SECOND, jitter));
        assert_eq!(wait.as_millis() / 100, tenths_of_a_second);
    }
}
