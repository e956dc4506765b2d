//! Failures of the provider, dropped futures, and printed texts.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use human_check_core::{ErrorKind, Reason, Submission};

use crate::conformance::Fixture;
use crate::conformance::fixture::skipped;

/// A positive reply under any HTTP status but 200 does not pass. Needs
/// [`Fixture::with_status`].
pub async fn refuses_on_every_other_status(fixture: Fixture) {
    let Some(status) = &fixture.status else {
        return skipped("with_status");
    };
    for code in [201, 307, 400, 401, 403, 404, 429, 500, 503] {
        status(code);
        let outcome = fixture.check.check(&fixture.good()).await;
        assert!(
            !outcome.is_ok_and(|verdict| verdict.is_human()),
            "passed on {code}"
        );
    }
}

/// An outage is [`ErrorKind::Unavailable`] and not a refusal, and a submission without a token is
/// refused as missing even then. Needs [`Fixture::with_outage`].
///
/// A route may fail open on `Unavailable`, so only an outage may have this kind. Of a check with
/// several providers, [`ErrorKind::Declined`] is accepted, too.
pub async fn tells_an_outage_from_a_refusal(fixture: Fixture) {
    let Some(outage) = &fixture.outage else {
        return skipped("with_outage");
    };
    let submission = fixture.good();
    outage(true);
    let error = fixture
        .check
        .check(&submission)
        .await
        .expect_err("the provider is down");
    // A second provider that is available but got no token makes this `Declined`, not an outage.
    let several = fixture.check.providers().len() > 1 && error.kind() == ErrorKind::Declined;
    assert!(several || error.kind() == ErrorKind::Unavailable, "{error}");
    // A missing token is a refusal, also during an outage.
    assert_eq!(
        fixture.reason(&Submission::new()).await,
        Some(Reason::Missing)
    );
}

/// After an outage, good tokens pass again. Needs [`Fixture::with_outage`].
pub async fn recovers_from_an_outage(fixture: Fixture) {
    let Some(outage) = &fixture.outage else {
        return skipped("with_outage");
    };
    outage(true);
    assert!(fixture.check.check(&fixture.good()).await.is_err());
    outage(false);
    assert_eq!(fixture.reason(&fixture.good()).await, None);
}

/// The check still works after its futures were dropped before they completed, as when visitors
/// close their browsers.
pub async fn survives_being_given_up(fixture: Fixture) {
    for _ in 0..8 {
        let submission = fixture.good();
        let mut check = std::pin::pin!(fixture.check.check(&submission));
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = check.as_mut().poll(&mut context) {
            assert!(outcome.is_ok());
        }
    }
    assert_eq!(fixture.reason(&fixture.good()).await, None);
}

/// No token and no secret is in `Debug` of the check, nor in `Debug` or `Display` of a verdict or
/// an error. [`Fixture::with_secret`] adds secrets.
pub async fn shows_no_token_and_no_secret(fixture: Fixture) {
    let canary = "canary-token-0123456789-abcdefghij";
    let submissions = [
        fixture.good(),
        Submission::new().with_token(fixture.provider(), canary),
        Submission::new().with_token(fixture.provider(), format!("{canary} {canary}")),
    ];
    let mut printed = format!("{:?} {:#?}", fixture.check, fixture.check);
    for down in [false, true] {
        if let Some(outage) = &fixture.outage {
            outage(down);
        }
        for submission in &submissions {
            printed.push_str(&format!("{submission:?}"));
            match fixture.check.check(submission).await {
                Ok(verdict) => printed.push_str(&format!("{verdict:?} {verdict:#?}")),
                Err(error) => {
                    printed.push_str(&format!("{error} {error:?}"));
                    let mut cause = std::error::Error::source(&error);
                    while let Some(error) = cause {
                        printed.push_str(&format!("{error} {error:?}"));
                        cause = error.source();
                    }
                }
            }
        }
    }
    let good = submissions[0].token_for(fixture.provider(), usize::MAX);
    let good = good.expect("a good submission has a token");
    assert!(
        !printed.contains(good),
        "the good token is shown: {printed}"
    );
    assert!(
        !printed.contains("canary-token"),
        "a token is shown: {printed}"
    );
    for secret in &fixture.secrets {
        assert!(!printed.contains(secret.as_str()), "a secret is shown");
    }
}
