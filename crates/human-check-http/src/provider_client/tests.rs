use std::sync::atomic::Ordering;

use super::*;
use crate::{MockTransport, SendError, SendErrorKind};
use human_check_core::{Facts, Reason, Submission};
use std::error::Error as _;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

fn request() -> Request {
    let endpoint = Endpoint::literal("https://acme.example/siteverify");
    Request::form(&endpoint, crate::adapter::FormBody::with_capacity(0))
}

async fn verify(
    client: &ProviderClient,
    resend: ResendPolicy,
    judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
) -> Result<Verdict, CheckError> {
    let call = VerifyCall {
        provider: &ACME,
        submission: &Submission::new(),
        request: request(),
        secrets: &["canary-secret-0123456789"],
        resend,
    };
    client.verify(call, judge).await
}

fn yes(reply: &Reply) -> Result<Verdict, CheckError> {
    reply.check_status(&ACME)?;
    Ok(Verdict::Human(Facts::new(&ACME)))
}

#[tokio::test(start_paused = true)]
async fn only_what_was_never_sent_is_repeated() {
    for (kind, resend, calls) in [
        (SendErrorKind::NotSent, ResendPolicy::Unsent, 2),
        (SendErrorKind::Lost, ResendPolicy::Unsent, 1),
        (SendErrorKind::TooLarge, ResendPolicy::Unsent, 1),
        (SendErrorKind::NotSent, ResendPolicy::Idempotent, 2),
        (SendErrorKind::Lost, ResendPolicy::Idempotent, 2),
        (SendErrorKind::TooLarge, ResendPolicy::Idempotent, 1),
    ] {
        let provider = MockTransport::new(move |_| Err(SendError::new(kind)));
        let client = ProviderClient::new(provider.clone());
        let error = verify(&client, resend, yes).await.unwrap_err();
        assert_eq!(provider.requests().len(), calls, "{kind:?} {resend:?}");
        assert_eq!(error.token_may_be_used(), kind != SendErrorKind::NotSent);
        assert!(error.source().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_sent_stays_sent_when_the_second_attempt_was_not() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let provider = MockTransport::new(move |_| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        let kind = if first {
            SendErrorKind::Lost
        } else {
            SendErrorKind::NotSent
        };
        Err(SendError::new(kind))
    });
    let error = verify(
        &ProviderClient::new(provider),
        ResendPolicy::Idempotent,
        yes,
    )
    .await
    .unwrap_err();
    assert_eq!(error.reason(), "not-connected");
    assert!(error.token_may_be_used());
}

#[tokio::test]
async fn a_base_url_moves_every_call_of_its_provider_and_no_other() {
    static OTHER: Provider = Provider::new("other", &["other-response"]);
    let transport = MockTransport::always(Reply::new(200, ""));
    let base = |url| Endpoint::parse(url).unwrap();
    let client = ProviderClient::new(transport.clone())
        .with_base_url(&ACME, base("http://127.0.0.1:1"))
        .with_base_url(&ACME, base("http://127.0.0.1:2/gateway/"));
    let endpoint = Endpoint::literal("https://acme.example/v1/siteverify");
    client.prewarm(&ACME, &endpoint).await.unwrap();
    client.prewarm(&OTHER, &endpoint).await.unwrap();
    let sent = transport.requests();
    let sent = sent.iter().map(|request| request.endpoint().url().as_str());
    assert_eq!(
        sent.collect::<Vec<_>>(),
        [
            "http://127.0.0.1:2/gateway/v1/siteverify",
            "https://acme.example/v1/siteverify"
        ]
    );
}

#[tokio::test]
async fn the_longest_timeouts_do_not_overflow() {
    let mut limits = Limits::default();
    (limits.total_timeout, limits.attempt_timeout) = (Duration::MAX, Duration::MAX);
    let provider = MockTransport::always(Reply::new(200, ""));
    let client = ProviderClient::new(provider).with_limits(limits);
    assert!(
        verify(&client, ResendPolicy::Unsent, yes)
            .await
            .unwrap()
            .is_human()
    );
}

#[test]
fn a_verify_call_shows_no_secret() {
    let call = VerifyCall {
        provider: &ACME,
        submission: &Submission::new().with_token(&ACME, "canary-token"),
        request: request(),
        secrets: &["canary-token", "canary-secret"],
        resend: ResendPolicy::Unsent,
    };
    assert!(!format!("{call:?}").contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_server_error_is_repeated_only_under_an_idempotency_key() {
    for (status, resend, calls) in [
        (503, ResendPolicy::Unsent, 1),
        (503, ResendPolicy::Idempotent, 2),
        (429, ResendPolicy::Idempotent, 1),
        (302, ResendPolicy::Idempotent, 1),
    ] {
        let provider = MockTransport::always(Reply::new(status, ""));
        let client = ProviderClient::new(provider.clone());
        assert!(verify(&client, resend, yes).await.is_err());
        assert_eq!(provider.requests().len(), calls, "{status} {resend:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_stay_under_a_tenth_of_the_calls_after_a_burst() {
    let provider = MockTransport::new(|_| Err(SendError::new(SendErrorKind::NotSent)));
    let client = ProviderClient::new(provider.clone());
    for _ in 0..1_000 {
        assert!(verify(&client, ResendPolicy::Unsent, yes).await.is_err());
    }
    assert!(
        provider.requests().len() <= 1_110,
        "{}",
        provider.requests().len()
    );
}

#[derive(Debug)]
struct Stalled;

#[async_trait::async_trait]
impl Transport for Stalled {
    async fn send(&self, _: &Request, _: usize) -> Result<Reply, SendError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_holds_when_the_provider_stalls() {
    for (resend, seconds) in [(ResendPolicy::Unsent, 2), (ResendPolicy::Idempotent, 3)] {
        let start = Instant::now();
        let error = verify(&ProviderClient::new(Stalled), resend, yes)
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (ErrorKind::Unavailable, "timeout")
        );
        let took = start.elapsed();
        assert!(
            took <= Duration::from_secs(seconds) + Duration::from_millis(50),
            "{took:?}"
        );
        assert!(error.token_may_be_used());
    }
}

#[tokio::test]
async fn a_secret_that_a_provider_repeats_is_redacted() {
    let client = ProviderClient::new(MockTransport::always(Reply::new(200, "")));
    let verdict = verify(&client, ResendPolicy::Unsent, |_| {
        Ok(Refusal::new(Reason::Other)
            .with_codes(vec!["no: canary-secret-0123".into(), "plain".into()])
            .into())
    })
    .await
    .unwrap();
    assert_eq!(verdict.refusal().unwrap().codes(), ["[redacted]", "plain"]);
}

#[tokio::test]
async fn a_verdict_must_meet_the_expectations_of_the_submission() {
    let client = ProviderClient::new(MockTransport::always(Reply::new(200, "")));
    let call = VerifyCall {
        provider: &ACME,
        submission: &Submission::new().with_expected_action("login"),
        request: request(),
        secrets: &[],
        resend: ResendPolicy::Unsent,
    };
    let verdict = client.verify(call, yes).await.unwrap();
    assert_eq!(
        verdict.refusal().unwrap().reason().as_str(),
        "action-absent"
    );
}

#[tokio::test]
async fn an_adapter_without_any_combinator_has_a_limit_of_calls_in_flight() {
    #[derive(Debug)]
    struct Stalled;

    #[async_trait::async_trait]
    impl crate::Transport for Stalled {
        async fn send(&self, _: &Request, _: usize) -> Result<Reply, SendError> {
            std::future::pending().await
        }
    }

    let client = ProviderClient::new(Stalled).for_adapter();
    let stalled: Vec<_> = (0..client.limits().max_in_flight)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { verify(&client, ResendPolicy::Unsent, yes).await.is_ok() })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let error = verify(&client, ResendPolicy::Unsent, yes)
        .await
        .unwrap_err();
    let seen = (error.kind(), error.reason());
    assert_eq!(seen, (ErrorKind::Declined, "too-many-in-flight"));
    assert!(!error.token_may_be_used());
    // Another adapter of the same client has places of its own.
    let other = client.for_adapter();
    let call = verify(&other, ResendPolicy::Unsent, yes);
    assert!(
        timeout(Duration::from_millis(1), call).await.is_err(),
        "it waits for the provider"
    );
    // A client that is gone gives its place back.
    stalled[0].abort();
    tokio::task::yield_now().await;
    let call = verify(&client, ResendPolicy::Unsent, yes);
    assert!(
        timeout(Duration::from_millis(1), call).await.is_err(),
        "it got the place"
    );
}
