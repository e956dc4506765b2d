use std::sync::{Arc, Mutex};
use std::time::Duration;

use human_check_core::{
    Capabilities, ErrorKind, FactKind, Facts, HumanCheck, Policy, Provider, Reason, TestKeyPolicy,
};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    ClientAddress, DecisionEvent, DenialReason, Guard, Human, Observer, Rejection, RoutePolicy,
    Trigger, Unverified, Visitor,
};
use human_check_testkit::Scripted;
use serde_json::Value;

use crate::support::{Head, closed, decide, guard, token};

async fn denial(check: &Scripted, policy: RoutePolicy) -> Option<DenialReason> {
    let guard = guard(check, policy);
    decide(&guard, &Head::new(), "t").await.result().err()
}

const UNAVAILABLE: DenialReason = DenialReason::Unavailable {
    retry_after: None,
    token_used: true,
    retry: false,
};

#[tokio::test]
async fn each_outcome_of_a_check_is_one_denial() {
    for (check, expected) in [
        (Scripted::human(), None),
        (
            Scripted::refused(Reason::Invalid),
            Some(DenialReason::VerificationFailed),
        ),
        (
            Scripted::refused(Reason::Replayed),
            Some(DenialReason::VerificationFailed),
        ),
        (
            Scripted::refused(Reason::WrongHostname),
            Some(DenialReason::VerificationFailed),
        ),
        (
            Scripted::refused(Reason::Malformed),
            Some(DenialReason::InvalidToken),
        ),
        (
            Scripted::refused(Reason::Missing),
            Some(DenialReason::ChallengeRequired),
        ),
        (Scripted::unavailable(), Some(UNAVAILABLE)),
        (Scripted::declined(), Some(UNAVAILABLE)),
        (Scripted::protocol(), Some(UNAVAILABLE)),
        (Scripted::misconfigured(), Some(DenialReason::Misconfigured)),
    ] {
        assert_eq!(denial(&check, closed()).await, expected, "{check:?}");
    }
}

#[tokio::test]
async fn an_outage_opens_only_where_that_is_written_and_only_on_an_outage() {
    let open = || RoutePolicy::fail_open("newsletter");
    assert_eq!(denial(&Scripted::unavailable(), open()).await, None);
    assert_eq!(
        denial(&Scripted::declined(), open()).await,
        Some(UNAVAILABLE)
    );
    assert_eq!(
        denial(&Scripted::declined(), open().with_fail_open_when_declined()).await,
        None
    );
    assert_eq!(
        denial(
            &Scripted::unavailable(),
            closed().with_fail_open_when_declined()
        )
        .await,
        Some(UNAVAILABLE)
    );
    for never in [
        Scripted::protocol(),
        Scripted::misconfigured(),
        Scripted::refused(Reason::Invalid),
    ] {
        let policy = open().with_fail_open_when_declined();
        assert!(denial(&never, policy).await.is_some(), "{never:?}");
    }
}

#[tokio::test]
async fn a_visitor_let_through_by_an_outage_is_no_human() {
    let guard = guard(
        &Scripted::unavailable(),
        RoutePolicy::fail_open("newsletter"),
    );
    let decision = decide(&guard, &Head::new(), "t").await;
    let maybe: Visitor = decision.clone().require().unwrap();
    assert_eq!(
        maybe.unverified(),
        Some(Unverified::FailedOpen(ErrorKind::Unavailable))
    );
    let refused = decision.clone().require::<Human>().unwrap_err();
    assert_eq!(refused.reason(), UNAVAILABLE);
    let soft: Result<Visitor, Rejection> = decision.require().unwrap();
    assert!(soft.unwrap().human().is_none());
}

#[tokio::test]
async fn a_route_that_observes_lets_all_through_and_proves_none() {
    let check = Scripted::refused(Reason::Invalid);
    let guard = guard(&check, closed().with_observe_only());
    for tokens in [token(&guard, "t"), SubmittedTokens::none()] {
        let decision = guard
            .inspect(&Head::new())
            .with_tokens(tokens)
            .decide()
            .await;
        let maybe: Visitor = decision.clone().require().unwrap();
        assert!(matches!(maybe.unverified(), Some(Unverified::Observed(_))));
        assert!(decision.require::<Human>().is_err());
    }
}

#[tokio::test]
async fn a_visitor_without_a_token_is_challenged_when_a_trigger_says_so() {
    let check = Scripted::refused(Reason::Invalid);
    let quiet = guard(&check, closed().with_trigger(Trigger::when(|_| false)));
    let decision = quiet
        .inspect(&Head::new())
        .with_tokens(SubmittedTokens::none())
        .decide()
        .await;
    assert_eq!(
        decision.clone().require::<Visitor>().unwrap().unverified(),
        Some(Unverified::NotChallenged)
    );
    let strict = decision.require::<Human>().unwrap_err();
    assert_eq!(strict.reason(), DenialReason::ChallengeRequired);
    // A token in the request is verified, whatever the trigger says.
    let decision = decide(&quiet, &Head::new(), "t").await;
    assert_eq!(
        decision.result().unwrap_err(),
        DenialReason::VerificationFailed
    );

    let challenging = guard(&check, closed().with_trigger(Trigger::when(|_| true)));
    let decision = challenging
        .inspect(&Head::new())
        .with_tokens(SubmittedTokens::none())
        .decide()
        .await;
    assert_eq!(
        decision.result().unwrap_err(),
        DenialReason::ChallengeRequired
    );
}

#[tokio::test]
async fn a_country_is_believed_from_a_trusted_proxy_only() {
    let guard = |peer: &str| {
        let check = Scripted::human();
        let guard = Guard::builder(check)
            .with_client_address(ClientAddress::x_forwarded_for(["203.0.113.7"]).unwrap())
            .with_country_header("CF-IPCountry")
            .build(closed().with_trigger(Trigger::country_outside(["CH"])))
            .unwrap();
        let mut head = Head::new();
        head.peer = Some(peer.parse().unwrap());
        (guard, head)
    };
    for (peer, country, challenged) in [
        ("203.0.113.7", "CH", false),
        ("203.0.113.7", "DE", true),
        ("203.0.113.7", "XX", true),
        ("203.0.113.7", "T1", true),
        ("203.0.113.7", "ch", true),
        ("203.0.113.8", "CH", true),
    ] {
        let (guard, head) = guard(peer);
        let head = head.with("cf-ipcountry", country);
        let decision = guard
            .inspect(&head)
            .with_tokens(SubmittedTokens::none())
            .decide()
            .await;
        assert_eq!(decision.result().is_err(), challenged, "{peer} {country}");
    }
}

#[tokio::test]
async fn a_header_token_counts_and_must_agree_with_the_body() {
    let check = Scripted::from_script(|submission| {
        let [provider] = [&human_check_testkit::SCRIPTED];
        Ok(match submission.token_for(provider, 100) {
            Ok(_) => human_check_core::Verdict::Human(Facts::new(provider)),
            Err(refusal) => refusal.into(),
        })
    });
    let guard = guard(&check, closed());
    let head = |lines: &[&str]| {
        lines.iter().fold(Head::new(), |head, line| {
            head.with("x-captcha-token", *line)
        })
    };
    for (lines, body, expected) in [
        (&["a"][..], "", None),
        (&["a"], "a", None),
        (&["a"], "b", Some(DenialReason::InvalidToken)),
        (&["a", "a"], "", Some(DenialReason::InvalidToken)),
        (&["a", "b"], "", Some(DenialReason::InvalidToken)),
        (&[""], "", Some(DenialReason::ChallengeRequired)),
        (&[""], "a", None),
        (&["a b"], "", Some(DenialReason::InvalidToken)),
    ] {
        let decision = decide(&guard, &head(lines), body).await;
        assert_eq!(decision.result().err(), expected, "{lines:?} {body}");
    }
    let decision = decide(
        &guard,
        &Head::new().with("x-captcha-token", b"\xff".to_vec()),
        "",
    )
    .await;
    assert_eq!(decision.result().unwrap_err(), DenialReason::InvalidToken);
}

#[tokio::test]
async fn a_second_decision_knows_what_the_first_was_about() {
    let check = Scripted::human();
    let guard = guard(&check, closed());
    let first = decide(&guard, &Head::new(), "a").await;
    for (body, expected) in [
        ("", None),
        ("a", None),
        ("b", Some(DenialReason::InvalidToken)),
    ] {
        let again = guard.inspect(&Head::new()).with_tokens(token(&guard, body));
        let decision = again.decide_after(Some(&first)).await;
        assert_eq!(decision.result().err(), expected, "{body}");
    }
    assert_eq!(check.submissions().len(), 1);

    // The first decision was about a token of `old`. It proves nothing about a token of `new`.
    let providers = ["old", "new"].map(|name| Provider::named(name).with_fields([name]));
    let guard = Guard::new(Two(Scripted::human(), providers), closed()).unwrap();
    let pending = |name: &str| {
        let mut tokens = SubmittedTokens::none();
        tokens.push(guard.fields().find(name).unwrap(), "t");
        guard.inspect(&Head::new()).with_tokens(tokens)
    };
    let first = pending("old").decide().await;
    let decision = pending("new").decide_after(Some(&first)).await;
    assert_eq!(decision.result().unwrap_err(), DenialReason::InvalidToken);
}

/// A check that accepts two providers, as during a migration.
#[derive(Debug)]
struct Two(Scripted, [Provider; 2]);

#[async_trait::async_trait]
impl HumanCheck for Two {
    fn providers(&self) -> &[Provider] {
        &self.1
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(
        &self,
        submission: &human_check_core::Submission,
    ) -> Result<human_check_core::Verdict, human_check_core::CheckError> {
        self.0.check(submission).await
    }
}

#[tokio::test]
async fn a_header_token_of_several_providers_says_whose_it_is() {
    let old = Provider::new("old", &["old-response"]);
    let new = Provider::new("new", &["new-response"]);
    let scripted = Scripted::human();
    let two = Two(scripted.clone(), [old.clone(), new.clone()]);
    let guard = Guard::new(two, closed()).unwrap();
    let bare = Head::new().with("x-captcha-token", "t");
    for (head, expected) in [
        // Without a name it is for the primary provider, which is the first.
        (bare.clone(), None),
        (
            bare.clone()
                .with("x-captcha-provider", "new")
                .with("x-captcha-provider", "old"),
            Some(DenialReason::InvalidToken),
        ),
        (
            bare.clone().with("x-captcha-provider", "other"),
            Some(DenialReason::ChallengeRequired),
        ),
        (bare.with("x-captcha-provider", "new"), None),
    ] {
        let decision = guard
            .inspect(&head)
            .with_tokens(SubmittedTokens::none())
            .decide()
            .await;
        assert_eq!(decision.result().err(), expected);
    }
    let [first, second] = &scripted.submissions()[..] else {
        panic!("not called exactly twice")
    };
    assert!(first.has_token_for(&old) && !first.has_token_for(&new));
    assert!(second.has_token_for(&new) && !second.has_token_for(&old));
}

#[tokio::test]
async fn a_second_decision_calls_nothing_and_sees_contradictions() {
    let check = Scripted::human();
    let guard = guard(&check, closed());
    let head = Head::new().with("x-captcha-token", "a");
    let first = guard
        .inspect(&head)
        .with_tokens(SubmittedTokens::none())
        .decide()
        .await;
    for (body, expected) in [
        ("", None),
        ("a", None),
        ("b", Some(DenialReason::InvalidToken)),
    ] {
        let again = guard.inspect(&head).with_tokens(token(&guard, body));
        let decision = again.decide_after(Some(&first)).await;
        assert_eq!(decision.result().err(), expected, "{body}");
    }
    assert_eq!(check.submissions().len(), 1);

    // A decision of another guard proves nothing.
    let stricter = guard
        .with_policy(RoutePolicy::fail_closed("payment"))
        .unwrap();
    let decision = stricter
        .inspect(&head)
        .with_tokens(SubmittedTokens::none())
        .decide_after(Some(&first))
        .await;
    assert!(decision.result().is_ok());
    assert_eq!(check.submissions().len(), 2);

    // A decision without a token proves nothing about a token that has come up since.
    let lazy = guard
        .with_policy(closed().with_trigger(Trigger::when(|_| false)))
        .unwrap();
    let first = lazy
        .inspect(&Head::new())
        .with_tokens(SubmittedTokens::none())
        .decide()
        .await;
    let again = lazy.inspect(&Head::new()).with_tokens(token(&lazy, "t"));
    let _decision = again.decide_after(Some(&first)).await;
    assert_eq!(check.submissions().len(), 3);
}

#[tokio::test]
async fn providers_are_told_public_addresses_only() {
    for (peer, told) in [
        ("198.51.100.4", true),
        ("2001:db8::1", true),
        ("127.0.0.1", false),
        ("10.1.2.3", false),
        ("::ffff:192.168.1.1", false),
        ("fd00::1", false),
    ] {
        let check = Scripted::human();
        let guard = guard(&check, closed());
        let mut head = Head::new();
        head.peer = Some(peer.parse().unwrap());
        let _decision = decide(&guard, &head, "t").await;
        let [submission] = &check.submissions()[..] else {
            panic!("not called exactly once")
        };
        assert_eq!(submission.client_ip().is_some(), told, "{peer}");
    }
}

async fn refused(check: &Scripted, head: &Head) -> Rejection {
    let guard = guard(check, closed());
    decide(&guard, head, "t")
        .await
        .require::<Visitor>()
        .unwrap_err()
}

fn header<'a>(refused: &'a Rejection, name: &str) -> Option<&'a str> {
    let headers = &refused.response().headers;
    let found = headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_ref())
}

#[tokio::test]
async fn every_refusal_of_a_token_has_the_same_response() {
    let mut responses = Vec::new();
    for reason in [
        Reason::Invalid,
        Reason::Expired,
        Reason::Replayed,
        Reason::WrongHostname,
        Reason::ScoreTooLow,
        Reason::TestKey,
    ] {
        let refused = refused(&Scripted::refused(reason), &Head::new()).await;
        let mut response = refused.into_response();
        // Each response has an offer of its own, which says nothing about the reason.
        let offer = response.body.find("\"offer\":\"").unwrap() + 9;
        response.body.replace_range(offer..offer + 88, "");
        responses.push(response);
    }
    assert!(responses.windows(2).all(|pair| pair[0] == pair[1]));
    let problem: Value = serde_json::from_str(&responses[0].body).unwrap();
    assert_eq!(responses[0].status, 403);
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .ends_with("#verification-failed")
    );
    assert_eq!(problem["captcha"]["required"], true);
    assert_eq!(
        problem["captcha"]["options"][0]["field"],
        "scripted-response"
    );
    assert_eq!(
        problem["captcha"]["options"][0]["header"],
        "x-captcha-token"
    );
}

#[tokio::test]
async fn responses_carry_what_caches_scripts_and_people_need() {
    let missing = refused(&Scripted::refused(Reason::Missing), &Head::new()).await;
    assert_eq!(
        header(&missing, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(header(&missing, "cache-control"), Some("no-store"));
    assert_eq!(
        header(&missing, "vary"),
        Some("Accept, Accept-Language, HX-Request")
    );
    assert_eq!(header(&missing, "x-captcha-required"), Some("scripted"));
    assert_eq!(header(&missing, "hx-trigger"), None);

    let browser = Head::new()
        .with("accept", "text/html,*/*;q=0.8")
        .with("hx-request", "true");
    let html = refused(&Scripted::refused(Reason::Invalid), &browser).await;
    assert_eq!(
        header(&html, "content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        html.response()
            .body
            .contains("<h1>Verification failed</h1>")
    );
    let event: Value = serde_json::from_str(header(&html, "hx-trigger").unwrap()).unwrap();
    assert_eq!(
        event["human:challenge"]["options"][0]["provider"],
        "scripted"
    );

    let down = refused(&Scripted::unavailable(), &Head::new()).await;
    assert_eq!(down.response().status, 503);
    let wait: u64 = header(&down, "retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait));
    assert_eq!(header(&down, "x-captcha-required"), None);
    let wrong = refused(&Scripted::misconfigured(), &Head::new()).await;
    let problem: Value = serde_json::from_str(&wrong.response().body).unwrap();
    assert_eq!(
        (wrong.response().status, &problem["type"]),
        (500, &"about:blank".into())
    );
}

#[tokio::test]
async fn a_retry_after_is_kept_within_reason() {
    let wait = Duration::from_secs(86_400);
    let check = Scripted::from_script(move |_| {
        let provider = &human_check_testkit::SCRIPTED;
        let error =
            human_check_core::CheckError::new(ErrorKind::Unavailable, provider, "rate-limited");
        Err(error.with_retry_after(Some(wait)).with_token_unused())
    });
    let refused = refused(&check, &Head::new()).await;
    assert_eq!(header(&refused, "retry-after"), Some("3600"));
    let problem: Value = serde_json::from_str(&refused.response().body).unwrap();
    assert_eq!(problem["captcha"]["reset"], false);
}

#[tokio::test]
async fn a_page_of_the_application_replaces_the_plain_one() {
    let guard = Guard::builder(Scripted::refused(Reason::Invalid))
        .with_refusal_page(|refusal| {
            (refusal.denial().status() == 403).then(|| "<p>own".to_owned())
        })
        .build(closed())
        .unwrap();
    let browser = Head::new().with("accept", "text/html");
    let refused = decide(&guard, &browser, "t")
        .await
        .require::<Human>()
        .unwrap_err();
    assert_eq!(refused.response().body, "<p>own");
    let other = guard.refuse(&browser, DenialReason::InvalidToken);
    assert!(other.response().body.contains("<h1>"));
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn on_decision(&self, event: &DecisionEvent<'_>) {
        let DecisionEvent {
            route,
            decision,
            provider,
            reason,
            ..
        } = event;
        self.0
            .lock()
            .unwrap()
            .push(format!("{route} {decision} {provider} {reason}"));
    }
}

#[tokio::test]
async fn each_decision_is_one_event() {
    let log = Log::default();
    let check = Scripted::human()
        .then(&Scripted::refused(Reason::Replayed))
        .then(&Scripted::unavailable());
    let guard = Guard::builder(check)
        .with_observer(log.clone())
        .build(closed())
        .unwrap();
    for text in ["t", "t", "t", ""] {
        let _decision = decide(&guard, &Head::new(), text).await;
    }
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            "signup human scripted ",
            "signup verification-failed  replayed",
            "signup verification-unavailable scripted scripted-outage",
            "signup challenge-required  ",
        ]
    );
}

#[test]
fn policies_that_cannot_hold_are_refused_when_built() {
    let check = Scripted::human();
    let built = |policy| Guard::new(check.clone(), policy).map(|_| ()).unwrap_err();
    assert_eq!(built(closed().with_action("signup")).field(), "action");
    assert_eq!(built(RoutePolicy::fail_closed(" ")).field(), "name");
    assert_eq!(
        built(closed().with_trigger(Trigger::any([]))).field(),
        "trigger"
    );
    let hosts = Policy::new().with_hostnames(["example.com"]).unwrap();
    assert_eq!(built(closed().with_policy(hosts)).field(), "hostnames");
    let header = Guard::builder(check.clone())
        .with_header("x y")
        .build(closed());
    assert_eq!(header.unwrap_err().field(), "header");
    let acting = check.with_capabilities(Capabilities::nothing().always(FactKind::Action));
    assert!(Guard::new(acting.clone(), closed().with_action("signup")).is_ok());
    assert_eq!(
        Guard::new(acting, closed().with_action(""))
            .unwrap_err()
            .field(),
        "action"
    );
}

#[test]
fn settings_that_would_never_be_read_are_refused() {
    for header in ["User-Agent", "cookie", "X-Captcha-Provider", "x y", ""] {
        let built = Guard::builder(Scripted::human())
            .with_header(header)
            .build(closed());
        assert_eq!(built.unwrap_err().field(), "header", "{header}");
    }
    let inside = Guard::builder(Scripted::human())
        .with_json_member("scripted", "/captcha")
        .with_json_member("scripted", "/captcha/token")
        .build(closed());
    assert_eq!(inside.unwrap_err().field(), "json_member");
    let same = [
        Provider::new("old", &["token"]),
        Provider::new("new", &["token"]),
    ];
    let disputed = Guard::new(Two(Scripted::human(), same), closed());
    assert_eq!(disputed.unwrap_err().field(), "fields");
    let two = || {
        Two(
            Scripted::human(),
            [
                Provider::new("a", &["a-response"]),
                Provider::new("b", &["b-response"]),
            ],
        )
    };
    for (provider, pointer) in [("b", "/a-response"), ("a", "/b-response")] {
        let claimed = Guard::builder(two())
            .with_json_member(provider, pointer)
            .build(closed());
        assert_eq!(
            claimed.unwrap_err().field(),
            "fields",
            "{provider} {pointer}"
        );
    }
    let both = Guard::builder(two())
        .with_json_member("a", "/t")
        .with_json_member("b", "/t");
    assert_eq!(both.build(closed()).unwrap_err().field(), "fields");
    let odd = Scripted::human().with_provider(&Provider::new("a b", &["token"]));
    assert_eq!(Guard::new(odd, closed()).unwrap_err().field(), "provider");
}

#[tokio::test]
async fn a_route_with_rules_refuses_test_keys_unless_they_are_allowed_by_name() {
    let mut facts = Facts::new(&human_check_testkit::SCRIPTED);
    facts.test_key = true;
    let check = Scripted::human_with(facts);
    for (test_keys, passes) in [
        (TestKeyPolicy::Refused, false),
        (TestKeyPolicy::Allowed, true),
    ] {
        let rules = human_check_core::Policy::new().with_test_keys(test_keys);
        let policy = RoutePolicy::fail_closed("site").with_policy(rules);
        let guard = Guard::new(check.clone(), policy).unwrap();
        let decision = decide(&guard, &Head::new(), "t").await;
        assert_eq!(decision.require::<Human>().is_ok(), passes);
    }
}

#[tokio::test]
async fn a_request_that_is_looked_at_twice_counts_once() {
    let store = Arc::new(human_check_guard::MemoryAttemptStore::new(10));
    let trigger = Trigger::after_requests(store, 2, Duration::from_secs(60));
    let guard = guard(&Scripted::human(), closed().with_trigger(trigger));
    for expected in [true, true, false] {
        let first = guard
            .inspect(&Head::new())
            .with_tokens(SubmittedTokens::none())
            .decide()
            .await;
        let again = guard
            .inspect(&Head::new())
            .with_tokens(SubmittedTokens::none());
        let decision = again.decide_after(Some(&first)).await;
        assert_eq!(decision.result().is_ok(), expected);
    }
}

#[tokio::test]
async fn a_header_token_of_another_provider_does_not_reach_the_only_one() {
    let check = Scripted::human();
    let guard = guard(&check, closed());
    for (name, expected) in [
        ("scripted", None),
        ("old", Some(DenialReason::ChallengeRequired)),
        ("", Some(DenialReason::ChallengeRequired)),
    ] {
        let head = Head::new()
            .with("x-captcha-token", "t")
            .with("x-captcha-provider", name);
        let decision = guard
            .inspect(&head)
            .with_tokens(SubmittedTokens::none())
            .decide()
            .await;
        assert_eq!(decision.result().err(), expected, "{name}");
    }
    assert_eq!(check.submissions().len(), 1);
}
