use std::sync::{Arc, Mutex};
use std::time::Duration;

use human_check_core::{ErrorKind, Fact, Facts, HumanCheck, Policy, Provider, Reason, Reports};
use human_check_guard::{
    Answers, ClientAddress, DecisionEvent, Denial, Guard, Human, Observer, OnOutage, Outcome,
    Refused, RoutePolicy, Settings, Trigger, Unproven, Visitor,
};
use human_check_testkit::Scripted;
use serde_json::Value;

use crate::support::Head;

fn closed() -> RoutePolicy {
    RoutePolicy::closed_on_outage("signup")
}

fn guard(check: &Scripted, policy: RoutePolicy) -> Guard {
    Guard::new(check.clone(), policy).unwrap()
}

fn token(guard: &Guard, text: &str) -> Answers {
    let mut answers = Answers::none();
    let field = guard.fields().find("scripted-response").unwrap();
    answers.push(field, text);
    answers
}

async fn settle(guard: &Guard, head: &Head, text: &str) -> Outcome {
    guard.examine(head, token(guard, text)).settle().await
}

async fn denial(check: &Scripted, policy: RoutePolicy) -> Option<Denial> {
    let guard = guard(check, policy);
    settle(&guard, &Head::new(), "t").await.result().err()
}

const UNAVAILABLE: Denial = Denial::Unavailable {
    retry_after: None,
    token_spent: true,
};

#[tokio::test]
async fn each_outcome_of_a_check_is_one_denial() {
    for (check, expected) in [
        (Scripted::human(), None),
        (
            Scripted::refused(Reason::Invalid),
            Some(Denial::VerificationFailed),
        ),
        (
            Scripted::refused(Reason::Spent),
            Some(Denial::VerificationFailed),
        ),
        (
            Scripted::refused(Reason::WrongHostname),
            Some(Denial::VerificationFailed),
        ),
        (
            Scripted::refused(Reason::Malformed),
            Some(Denial::InvalidToken),
        ),
        (
            Scripted::refused(Reason::Missing),
            Some(Denial::ChallengeRequired),
        ),
        (Scripted::unavailable(), Some(UNAVAILABLE)),
        (Scripted::declined(), Some(UNAVAILABLE)),
        (Scripted::protocol(), Some(UNAVAILABLE)),
        (Scripted::misconfigured(), Some(Denial::Misconfigured)),
    ] {
        assert_eq!(denial(&check, closed()).await, expected, "{check:?}");
    }
}

#[tokio::test]
async fn an_outage_opens_only_where_that_is_written_and_only_on_an_outage() {
    let open = || RoutePolicy::open_on_outage("newsletter");
    assert_eq!(denial(&Scripted::unavailable(), open()).await, None);
    assert_eq!(
        denial(&Scripted::declined(), open()).await,
        Some(UNAVAILABLE)
    );
    assert_eq!(
        denial(&Scripted::declined(), open().open_when_declined()).await,
        None
    );
    assert_eq!(
        denial(&Scripted::unavailable(), closed().open_when_declined()).await,
        Some(UNAVAILABLE)
    );
    for never in [
        Scripted::protocol(),
        Scripted::misconfigured(),
        Scripted::refused(Reason::Invalid),
    ] {
        let policy = open().open_when_declined();
        assert!(denial(&never, policy).await.is_some(), "{never:?}");
    }
}

#[tokio::test]
async fn whoever_is_let_in_by_an_outage_is_no_human() {
    let guard = guard(
        &Scripted::unavailable(),
        RoutePolicy::open_on_outage("newsletter"),
    );
    let outcome = settle(&guard, &Head::new(), "t").await;
    let maybe: Visitor = outcome.clone().demand().unwrap();
    assert_eq!(
        maybe.unproven(),
        Some(Unproven::Undecided(ErrorKind::Unavailable))
    );
    let refused = outcome.clone().demand::<Human>().unwrap_err();
    assert_eq!(refused.denial(), UNAVAILABLE);
    let soft: Result<Visitor, Refused> = outcome.demand().unwrap();
    assert!(soft.unwrap().human().is_none());
}

#[tokio::test]
async fn a_route_that_observes_lets_all_in_and_proves_none() {
    let check = Scripted::refused(Reason::Invalid);
    let guard = guard(&check, closed().observing_only());
    for answers in [token(&guard, "t"), Answers::none()] {
        let outcome = guard.examine(&Head::new(), answers).settle().await;
        let maybe: Visitor = outcome.clone().demand().unwrap();
        assert!(matches!(maybe.unproven(), Some(Unproven::Observed(_))));
        assert!(outcome.demand::<Human>().is_err());
    }
}

#[tokio::test]
async fn a_visitor_without_a_token_is_asked_when_a_trigger_says_so() {
    let check = Scripted::refused(Reason::Invalid);
    let quiet = guard(&check, closed().challenging(Trigger::when(|_| false)));
    let outcome = quiet.examine(&Head::new(), Answers::none()).settle().await;
    assert_eq!(
        outcome.clone().demand::<Visitor>().unwrap().unproven(),
        Some(Unproven::NotChallenged)
    );
    let strict = outcome.demand::<Human>().unwrap_err();
    assert_eq!(strict.denial(), Denial::ChallengeRequired);
    // A token that is there is checked, wanted or not.
    let outcome = settle(&quiet, &Head::new(), "t").await;
    assert_eq!(outcome.result().unwrap_err(), Denial::VerificationFailed);

    let asking = guard(&check, closed().challenging(Trigger::when(|_| true)));
    let outcome = asking.examine(&Head::new(), Answers::none()).settle().await;
    assert_eq!(outcome.result().unwrap_err(), Denial::ChallengeRequired);
}

#[tokio::test]
async fn a_country_is_believed_from_a_trusted_proxy_only() {
    let guard = |peer: &str| {
        let check = Scripted::human();
        let guard = Guard::builder(check)
            .with_client_address(ClientAddress::x_forwarded_for(["203.0.113.7"]).unwrap())
            .with_country_header("CF-IPCountry")
            .build(closed().challenging(Trigger::country_outside(["CH"])))
            .unwrap();
        let mut head = Head::new();
        head.peer = Some(peer.parse().unwrap());
        (guard, head)
    };
    for (peer, country, asked) in [
        ("203.0.113.7", "CH", false),
        ("203.0.113.7", "DE", true),
        ("203.0.113.7", "XX", true),
        ("203.0.113.7", "T1", true),
        ("203.0.113.7", "ch", true),
        ("203.0.113.8", "CH", true),
    ] {
        let (guard, head) = guard(peer);
        let head = head.with("cf-ipcountry", country);
        let outcome = guard.examine(&head, Answers::none()).settle().await;
        assert_eq!(outcome.result().is_err(), asked, "{peer} {country}");
    }
}

#[tokio::test]
async fn a_header_token_counts_and_must_agree_with_the_body() {
    let check = Scripted::playing(|submission| {
        let [provider] = [&human_check_testkit::SCRIPTED];
        Ok(match submission.token(provider, 100) {
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
        (&["a"], "b", Some(Denial::InvalidToken)),
        (&["a", "a"], "", Some(Denial::InvalidToken)),
        (&["a", "b"], "", Some(Denial::InvalidToken)),
        (&[""], "", Some(Denial::ChallengeRequired)),
        (&[""], "a", None),
        (&["a b"], "", Some(Denial::InvalidToken)),
    ] {
        let outcome = settle(&guard, &head(lines), body).await;
        assert_eq!(outcome.result().err(), expected, "{lines:?} {body}");
    }
    let outcome = settle(
        &guard,
        &Head::new().with("x-captcha-token", b"\xff".to_vec()),
        "",
    )
    .await;
    assert_eq!(outcome.result().unwrap_err(), Denial::InvalidToken);
}

#[tokio::test]
async fn a_second_look_knows_what_the_first_asked_about() {
    let check = Scripted::human();
    let guard = guard(&check, closed());
    let first = settle(&guard, &Head::new(), "a").await;
    for (body, expected) in [("", None), ("a", None), ("b", Some(Denial::InvalidToken))] {
        let again = guard.examine(&Head::new(), token(&guard, body));
        let outcome = again.settle_after(Some(&first)).await;
        assert_eq!(outcome.result().err(), expected, "{body}");
    }
    assert_eq!(check.submissions().len(), 1);

    // A token of a vendor that was not asked is no proof by being beside one that was.
    let vendors = ["old", "new"].map(|name| Provider::named(name).with_fields([name]));
    let guard = Guard::new(Two(Scripted::human(), vendors), closed()).unwrap();
    let answer = |name: &str| {
        let mut answers = Answers::none();
        answers.push(guard.fields().find(name).unwrap(), "t");
        guard.examine(&Head::new(), answers)
    };
    let first = answer("old").settle().await;
    let outcome = answer("new").settle_after(Some(&first)).await;
    assert_eq!(outcome.result().unwrap_err(), Denial::InvalidToken);
}

/// Accepts two vendors, as a migration does.
#[derive(Debug)]
struct Two(Scripted, [Provider; 2]);

#[async_trait::async_trait]
impl HumanCheck for Two {
    fn accepts(&self) -> &[Provider] {
        &self.1
    }

    fn reports(&self) -> Reports {
        Reports::nothing()
    }

    async fn check(
        &self,
        submission: &human_check_core::Submission,
    ) -> Result<human_check_core::Verdict, human_check_core::CheckError> {
        self.0.check(submission).await
    }
}

#[tokio::test]
async fn a_header_token_of_several_vendors_says_whose_it_is() {
    let old = Provider::new("old", &["old-response"]);
    let new = Provider::new("new", &["new-response"]);
    let scripted = Scripted::human();
    let two = Two(scripted.clone(), [old.clone(), new.clone()]);
    let guard = Guard::new(two, closed()).unwrap();
    let bare = Head::new().with("x-captcha-token", "t");
    for (head, expected) in [
        (bare.clone(), Some(Denial::InvalidToken)),
        (
            bare.clone().with("x-captcha-provider", "other"),
            Some(Denial::InvalidToken),
        ),
        (bare.with("x-captcha-provider", "new"), None),
    ] {
        let outcome = guard.examine(&head, Answers::none()).settle().await;
        assert_eq!(outcome.result().err(), expected);
    }
    let [asked] = &scripted.submissions()[..] else {
        panic!("asked more than once")
    };
    assert!(asked.answers(&new) && !asked.answers(&old));
}

#[tokio::test]
async fn a_second_look_asks_nobody_and_sees_contradictions() {
    let check = Scripted::human();
    let guard = guard(&check, closed());
    let head = Head::new().with("x-captcha-token", "a");
    let first = guard.examine(&head, Answers::none()).settle().await;
    for (body, expected) in [("", None), ("a", None), ("b", Some(Denial::InvalidToken))] {
        let again = guard.examine(&head, token(&guard, body));
        let outcome = again.settle_after(Some(&first)).await;
        assert_eq!(outcome.result().err(), expected, "{body}");
    }
    assert_eq!(check.submissions().len(), 1);

    // Another guard's decision proves nothing here.
    let stricter = guard
        .with_policy(RoutePolicy::closed_on_outage("payment"))
        .unwrap();
    let outcome = stricter
        .examine(&head, Answers::none())
        .settle_after(Some(&first))
        .await;
    assert!(outcome.result().is_ok());
    assert_eq!(check.submissions().len(), 2);

    // Nor does having been let in without a token once one has come up.
    let lazy = guard
        .with_policy(closed().challenging(Trigger::when(|_| false)))
        .unwrap();
    let first = lazy.examine(&Head::new(), Answers::none()).settle().await;
    let again = lazy.examine(&Head::new(), token(&lazy, "t"));
    let _outcome = again.settle_after(Some(&first)).await;
    assert_eq!(check.submissions().len(), 3);
}

#[tokio::test]
async fn vendors_are_told_addresses_that_mean_something_to_them() {
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
        let _outcome = settle(&guard, &head, "t").await;
        let [asked] = &check.submissions()[..] else {
            panic!("not asked once")
        };
        assert_eq!(asked.client_ip().is_some(), told, "{peer}");
    }
}

async fn refused(check: &Scripted, head: &Head) -> Refused {
    let guard = guard(check, closed());
    settle(&guard, head, "t")
        .await
        .demand::<Visitor>()
        .unwrap_err()
}

fn header<'a>(refused: &'a Refused, name: &str) -> Option<&'a str> {
    let headers = &refused.answer().headers;
    let found = headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_ref())
}

#[tokio::test]
async fn every_refusal_of_a_token_is_answered_alike() {
    let mut answers = Vec::new();
    for reason in [
        Reason::Invalid,
        Reason::Expired,
        Reason::Spent,
        Reason::WrongHostname,
        Reason::ScoreTooLow,
        Reason::TestingCredentials,
    ] {
        let refused = refused(&Scripted::refused(reason), &Head::new()).await;
        answers.push(refused.into_answer());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let problem: Value = serde_json::from_str(&answers[0].body).unwrap();
    assert_eq!(answers[0].status, 403);
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
async fn answers_carry_what_caches_scripts_and_people_need() {
    let missing = refused(&Scripted::refused(Reason::Missing), &Head::new()).await;
    assert_eq!(
        header(&missing, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(header(&missing, "cache-control"), Some("no-store"));
    assert_eq!(header(&missing, "vary"), Some("Accept, HX-Request"));
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
    assert!(html.answer().body.contains("<h1>Verification failed</h1>"));
    let event: Value = serde_json::from_str(header(&html, "hx-trigger").unwrap()).unwrap();
    assert_eq!(
        event["human:challenge"]["options"][0]["provider"],
        "scripted"
    );

    let down = refused(&Scripted::unavailable(), &Head::new()).await;
    assert_eq!(down.answer().status, 503);
    let wait: u64 = header(&down, "retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait));
    assert_eq!(header(&down, "x-captcha-required"), None);
    let wrong = refused(&Scripted::misconfigured(), &Head::new()).await;
    let problem: Value = serde_json::from_str(&wrong.answer().body).unwrap();
    assert_eq!(
        (wrong.answer().status, &problem["type"]),
        (500, &"about:blank".into())
    );
}

#[tokio::test]
async fn a_vendor_that_asks_for_patience_gets_it_within_reason() {
    let wait = Duration::from_secs(86_400);
    let check = Scripted::playing(move |_| {
        let provider = &human_check_testkit::SCRIPTED;
        let error =
            human_check_core::CheckError::new(ErrorKind::Unavailable, provider, "rate-limited");
        Err(error.with_retry_after(Some(wait)).with_token_unspent())
    });
    let refused = refused(&check, &Head::new()).await;
    assert_eq!(header(&refused, "retry-after"), Some("3600"));
    let problem: Value = serde_json::from_str(&refused.answer().body).unwrap();
    assert_eq!(problem["captcha"]["reset"], false);
}

#[tokio::test]
async fn a_page_of_ones_own_replaces_the_plain_one() {
    let guard = Guard::builder(Scripted::refused(Reason::Invalid))
        .with_page(|denial, _| (denial.status() == 403).then(|| "<p>own".to_owned()))
        .build(closed())
        .unwrap();
    let browser = Head::new().with("accept", "text/html");
    let refused = settle(&guard, &browser, "t")
        .await
        .demand::<Human>()
        .unwrap_err();
    assert_eq!(refused.answer().body, "<p>own");
    let other = guard.refuse(&browser, Denial::InvalidToken);
    assert!(other.answer().body.contains("<h1>"));
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
        .then(&Scripted::refused(Reason::Spent))
        .then(&Scripted::unavailable());
    let guard = Guard::builder(check)
        .with_observer(log.clone())
        .build(closed())
        .unwrap();
    for text in ["t", "t", "t", ""] {
        let _outcome = settle(&guard, &Head::new(), text).await;
    }
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            "signup human scripted ",
            "signup verification-failed  spent",
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
    assert_eq!(built(RoutePolicy::closed_on_outage(" ")).field(), "name");
    assert_eq!(
        built(closed().challenging(Trigger::any([]))).field(),
        "trigger"
    );
    let hosts = Policy::new().with_hostnames(["example.com"]).unwrap();
    assert_eq!(built(closed().requiring(hosts)).field(), "hostnames");
    let header = Guard::builder(check.clone())
        .with_header("x y")
        .build(closed());
    assert_eq!(header.unwrap_err().field(), "header");
    let acting = check.reporting(Reports::nothing().always(Fact::Action));
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
    let odd = Scripted::human().accepting(&Provider::new("a b", &["token"]));
    assert_eq!(Guard::new(odd, closed()).unwrap_err().field(), "provider");
}

#[tokio::test]
async fn settings_refuse_testing_credentials_unless_they_say_otherwise() {
    let mut facts = Facts::new(&human_check_testkit::SCRIPTED);
    facts.testing_credentials = true;
    let check = Scripted::human_with(facts);
    for (allowed, passes) in [(false, false), (true, true)] {
        let mut settings = Settings::new(OnOutage::Refuse);
        settings.allow_testing_credentials = allowed;
        let guard = settings.build(Guard::builder(check.clone())).unwrap();
        let outcome = settle(&guard, &Head::new(), "t").await;
        assert_eq!(outcome.demand::<Human>().is_ok(), passes);
    }
}

#[tokio::test]
async fn a_request_that_is_looked_at_twice_counts_once() {
    let store = Arc::new(human_check_guard::MemoryAttempts::new(10));
    let trigger = Trigger::after_requests(store, 2, Duration::from_secs(60));
    let guard = guard(&Scripted::human(), closed().challenging(trigger));
    for expected in [true, true, false] {
        let first = guard.examine(&Head::new(), Answers::none()).settle().await;
        let again = guard.examine(&Head::new(), Answers::none());
        let outcome = again.settle_after(Some(&first)).await;
        assert_eq!(outcome.result().is_ok(), expected);
    }
}
