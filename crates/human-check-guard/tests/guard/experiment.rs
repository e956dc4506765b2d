//! Experiments: who meets which arm, what is recorded about it, and what changes nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use human_check_core::{EventSink, ExperimentEvent, FunnelStep, ObservedOutcome, Provider, Secret};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    AccountList, DenialReason, Experiment, ExperimentArm, ExperimentSwitch, Guard, OfferKeys,
    OptionsEndpoint, RampStep, RequestHead, RoutePolicy, Selection, Visitor, Why,
};
use human_check_testkit::ManualClock;
use serde_json::Value;

use crate::fake_account::Fake;
use crate::support::Head;

static A: Provider = Provider::new("a", &["a-response"]);
static B: Provider = Provider::new("b", &["b-response"]);

/// The events of an experiment.
#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<ExperimentEvent>>>);

impl EventSink for Events {
    fn record(&self, event: ExperimentEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    fn take(&self) -> Vec<ExperimentEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// One machine with an experiment between the accounts `a` and `b`.
struct Machine {
    a: Fake,
    b: Fake,
    clock: ManualClock,
    events: Events,
    switch: ExperimentSwitch,
    guard: Guard,
}

fn keys() -> OfferKeys {
    OfferKeys::new([Secret::new("0123456789abcdef0123456789abcdef").unwrap()]).unwrap()
}

impl Machine {
    fn new() -> Self {
        Self::with([0.5, 0.5], |experiment, _| experiment)
    }

    fn with(weights: [f64; 2], change: impl FnOnce(Experiment, SystemTime) -> Experiment) -> Self {
        let (a, b) = (Fake::new(&A), Fake::new(&B));
        let (clock, events) = (ManualClock::starting_now(), Events::default());
        let switch = ExperimentSwitch::default();
        let accounts = [a.account("a"), b.account("b")];
        let arms = accounts.iter().zip(weights);
        let arms = arms.map(|(account, weight)| ExperimentArm::new(account.clone(), weight));
        let experiment = Experiment::new("e", arms, events.clone()).unwrap();
        let now = human_check_core::Clock::now(&clock);
        let experiment = change(experiment, now).with_switch(switch.clone());
        let selection = Selection::new(AccountList::new(accounts[0].clone()))
            .with_offer_keys(keys())
            .with_clock(clock.clone())
            .with_experiment(experiment);
        let guard = Guard::builder_for(selection)
            .build(RoutePolicy::fail_closed("signup"))
            .unwrap();
        Self {
            a,
            b,
            clock,
            events,
            switch,
            guard,
        }
    }

    /// Renders a page for a visitor with this cookie.
    fn page(&self, cookie: Option<&str>) -> Page {
        let mut head = Head::new();
        if let Some(cookie) = cookie {
            head = head.with("cookie", cookie);
        }
        self.page_for(&head)
    }

    fn page_for(&self, head: &Head) -> Page {
        let selected = self.guard.select(head);
        let headers: HashMap<_, _> = selected.headers().into_iter().collect();
        let cookie = headers.get("set-cookie");
        Page {
            account: selected.account().to_owned(),
            why: selected.why(),
            offer: selected.offer().to_owned(),
            cookie: cookie.map(|line| line.split(';').next().unwrap().to_owned()),
            is_private: headers
                .get("cache-control")
                .is_some_and(|v| v.contains("no-store")),
        }
    }

    /// Renders pages for new visitors until one is in this arm.
    fn page_in(&self, account: &str) -> Page {
        let mut pages = std::iter::repeat_with(|| self.page(None));
        let page = pages.find(|page| page.account == account).unwrap();
        // Only the events about this visitor.
        let mut events = self.events.0.lock().unwrap();
        let last = events.pop().unwrap();
        *events = vec![last];
        page
    }

    async fn send(&self, fields: &[(&str, &str)]) -> Result<Visitor, (DenialReason, Value)> {
        let mut tokens = SubmittedTokens::none();
        for (name, text) in fields {
            tokens.push(self.guard.fields().find(name).unwrap(), *text);
        }
        let decision = self
            .guard
            .inspect(&Head::new())
            .with_tokens(tokens)
            .decide()
            .await;
        let result: Result<Visitor, _> = decision.require();
        result.map_err(|rejection| {
            let denial = rejection.reason();
            let response = rejection.into_response();
            (denial, serde_json::from_str(&response.body).unwrap())
        })
    }
}

/// A page as a visitor sees it.
#[derive(Debug)]
struct Page {
    account: String,
    why: Why,
    offer: String,
    cookie: Option<String>,
    is_private: bool,
}

fn words(events: &[ExperimentEvent]) -> Vec<&'static str> {
    let word = |event: &ExperimentEvent| match &event.step {
        FunnelStep::Shown { .. } => "shown",
        FunnelStep::Judged { .. } => "judged",
        FunnelStep::Completed => "completed",
        _ => "other",
    };
    events.iter().map(word).collect()
}

#[tokio::test(start_paused = true)]
async fn visitors_are_drawn_at_random_by_weight_and_stay_in_their_arm() {
    let machine = Machine::with([0.8, 0.2], |experiment, _| experiment);
    let mut in_b = 0;
    for _ in 0..2_000 {
        let page = machine.page(None);
        assert_eq!((page.why, page.is_private), (Why::Arm, true));
        in_b += usize::from(page.account == "b");
    }
    assert!((300..500).contains(&in_b), "{in_b}");
    for _ in 0..20 {
        let first = machine.page(None);
        let cookie = first.cookie.unwrap();
        machine.events.take();
        for _ in 0..5 {
            let again = machine.page(Some(&cookie));
            assert_eq!(
                (again.account.as_str(), again.cookie),
                (first.account.as_str(), None)
            );
        }
        let events = machine.events.take();
        let firsts: Vec<_> = events
            .iter()
            .map(|e| e.assignment.as_ref().unwrap().first)
            .collect();
        assert_eq!(firsts, [Some(false); 5]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_the_word_of_the_operator_for_a_request() {
    let machine = Machine::with([0.5, 0.5], |experiment, _| {
        // A clone of before must not keep the setting from having effect.
        let _before = experiment.clone();
        experiment.with_segment(|head| {
            let mut is_mobile = false;
            head.header("sec-ch-ua-mobile", &mut |line| is_mobile = line == b"?1");
            is_mobile.then_some("mobile")
        })
    });
    machine.page_for(&Head::new().with("sec-ch-ua-mobile", "?1"));
    machine.page_for(&Head::new());
    let segments: Vec<_> = machine
        .events
        .take()
        .into_iter()
        .map(|event| event.assignment.unwrap().segment)
        .collect();
    assert_eq!(segments, [Some("mobile".into()), None]);
}

#[tokio::test(start_paused = true)]
async fn the_receipt_of_a_visitor_goes_from_the_page_to_the_handler() {
    let machine = Machine::new();
    for (account, field) in [("a", "a-response"), ("b", "b-response")] {
        let page = machine.page_in(account);
        let visitor = machine
            .send(&[(field, "t"), ("human-check-offer", &page.offer)])
            .await;
        let visitor = visitor.unwrap();
        let receipt = visitor.human().unwrap().receipt().unwrap();
        assert_eq!(receipt.arm(), account);
        // Also by the text that an application kept.
        match account {
            "a" => machine.guard.completed(receipt),
            _ => machine.guard.completed_later(&receipt.to_string()).unwrap(),
        }
        assert!(machine.guard.completed_later("nonsense").is_err());
        let events = machine.events.take();
        assert_eq!(words(&events), ["shown", "judged", "completed"]);
        for event in &events {
            assert_eq!(event.receipt, receipt.receipt());
            let assignment = event.assignment.as_ref().unwrap();
            assert_eq!((&*assignment.arm, &*assignment.route), (account, "signup"));
            assert_eq!(assignment.first, Some(true));
        }
        let FunnelStep::Judged {
            account: judge,
            outcome,
            crossed,
            ..
        } = &events[1].step
        else {
            panic!("{events:?}")
        };
        assert_eq!(
            (&**judge, outcome, *crossed),
            (account, &ObservedOutcome::Human, false)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_the_arm_and_the_receipt() {
    let machine = Machine::new();
    let page = machine.page_in("b");
    let (denial, problem) = machine
        .send(&[("b-response", "bad"), ("human-check-offer", &page.offer)])
        .await
        .unwrap_err();
    assert_eq!(denial, DenialReason::VerificationFailed);
    let option = &problem["captcha"]["options"][0];
    assert_eq!(
        (&option["account"], &option["why"]),
        (&"b".into(), &"arm".into())
    );
    let offer = option["offer"].as_str().unwrap();
    let visitor = machine
        .send(&[("b-response", "t"), ("human-check-offer", offer)])
        .await
        .unwrap();
    let receipt = visitor.human().unwrap().receipt().unwrap().receipt();
    let events = machine.events.take();
    assert_eq!(words(&events), ["shown", "judged", "judged"], "one showing");
    assert!(events.iter().all(|event| event.receipt == receipt));
    // An offer without a token keeps both, too.
    let (_, problem) = machine
        .send(&[("human-check-offer", &page.offer)])
        .await
        .unwrap_err();
    assert_eq!(problem["captcha"]["options"][0]["account"], "b");
    assert_eq!(words(&machine.events.take()), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_makes_up_records_nothing() {
    let machine = Machine::new();
    let page = machine.page_in("b");
    machine.events.take();
    let mut forged = page.offer.clone().into_bytes();
    forged[20] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    // Without an offer, with a forged one, and with one that has ended.
    assert!(machine.send(&[("b-response", "t")]).await.is_err());
    assert!(
        machine
            .send(&[("b-response", "t"), ("human-check-offer", &forged)])
            .await
            .is_err()
    );
    let unknown = machine.send(&[("a-response", "t")]).await.unwrap();
    assert!(unknown.human().unwrap().receipt().is_none());
    machine.clock.advance(Duration::from_secs(86_400 + 60));
    assert!(
        machine
            .send(&[("b-response", "t"), ("human-check-offer", &page.offer)])
            .await
            .is_err()
    );
    let events = machine.events.take();
    // Refusals that show a challenge to a visitor without an offer are showings, and nothing else is.
    assert!(
        words(&events).iter().all(|word| *word == "shown"),
        "{events:?}"
    );
    // A forged cookie is none.
    let page = machine.page(Some("__Host-human-check-arm=AAAA"));
    assert!(page.cookie.is_some());
    let events = machine.events.take();
    assert_eq!(events[0].assignment.as_ref().unwrap().first, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_the_other_arm_is_marked_and_counts_for_its_own() {
    let machine = Machine::new();
    let page = machine.page_in("b");
    let visitor = machine
        .send(&[("a-response", "t"), ("human-check-offer", &page.offer)])
        .await
        .unwrap();
    assert_eq!(visitor.human().unwrap().receipt().unwrap().arm(), "b");
    let events = machine.events.take();
    let FunnelStep::Judged {
        account, crossed, ..
    } = &events[1].step
    else {
        panic!("{events:?}")
    };
    assert_eq!((&**account, *crossed), ("a", true));
}

#[tokio::test(start_paused = true)]
async fn while_an_arm_is_down_its_visitors_meet_the_primary_and_count_for_the_arm() {
    let machine = Machine::new();
    let page = machine.page_in("b");
    machine.b.break_down();
    let failed = machine
        .send(&[("b-response", "t"), ("human-check-offer", &page.offer)])
        .await;
    let (_, problem) = failed.unwrap_err();
    assert_eq!(
        problem["captcha"]["options"][0]["account"], "a",
        "{problem}"
    );
    let offer = problem["captcha"]["options"][0]["offer"].as_str().unwrap();
    let visitor = machine
        .send(&[("a-response", "t"), ("human-check-offer", offer)])
        .await
        .unwrap();
    assert_eq!(visitor.human().unwrap().receipt().unwrap().arm(), "b");
    // A new visitor of the arm is shown the primary, marked as a fallback.
    machine.events.take();
    let pages: Vec<_> = (0..40).map(|_| machine.page(None)).collect();
    assert!(pages.iter().all(|page| page.account == "a"));
    let events = machine.events.take();
    let fallback = |event: &ExperimentEvent| {
        let is_b = &*event.assignment.as_ref().unwrap().arm == "b";
        matches!(event.step, FunnelStep::Shown { why, .. } if (why == "fallback") == is_b)
    };
    assert!(events.iter().all(fallback), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn while_no_account_works_a_visitor_counts_once() {
    let machine = Machine::new();
    let pages = ["a", "b"].map(|arm| (arm, machine.page_in(arm)));
    machine.a.break_down();
    machine.b.break_down();
    for (arm, page) in &pages {
        let field = format!("{arm}-response");
        let fields = [(&*field, "t"), ("human-check-offer", &page.offer)];
        machine.send(&fields).await.unwrap_err();
    }
    machine.events.take();
    let page = machine.page(None);
    let cookie = page.cookie.unwrap();
    let again = machine.page(Some(&*cookie));
    let firsts: Vec<_> = machine
        .events
        .take()
        .iter()
        .map(|event| event.assignment.as_ref().unwrap().clone())
        .map(|assignment| (assignment.arm.to_string(), assignment.first))
        .collect();
    let arm = firsts[0].0.clone();
    assert_eq!(firsts, [(arm.clone(), Some(true)), (arm, Some(false))]);
    // What the visitor does once it works again has a receipt.
    machine.a.mend();
    machine.b.mend();
    let field = format!("{}-response", again.account);
    let fields = [(&*field, "t"), ("human-check-offer", &*again.offer)];
    let visitor = machine.send(&fields).await.unwrap();
    assert!(visitor.human().unwrap().receipt().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_the_end_return_everybody_to_the_primary() {
    let end = Duration::from_secs(3_600);
    let machine = Machine::with([0.5, 0.5], |experiment, now| {
        experiment.with_until(now + end)
    });
    let page = machine.page_in("b");
    let cookie = page.cookie.clone().unwrap();
    machine.switch.stop();
    machine.events.take();
    for cookie in [None, Some(&*cookie)] {
        let after = machine.page(cookie);
        assert_eq!((after.account.as_str(), after.why), ("a", Why::Primary));
    }
    // What is on the visitor's page already still counts.
    assert!(
        machine
            .send(&[("b-response", "t"), ("human-check-offer", &page.offer)])
            .await
            .is_ok()
    );
    assert_eq!(words(&machine.events.take()), ["judged"]);
    let machine = Machine::with([0.5, 0.5], |experiment, now| {
        experiment.with_until(now + end)
    });
    machine.clock.advance(end);
    assert_eq!(machine.page(None).why, Why::Primary);
    assert_eq!(machine.events.take().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_changes_the_weights_for_new_visitors_and_is_in_the_record() {
    let day = Duration::from_secs(86_400);
    let machine = Machine::with([0.5, 0.5], |experiment, now| {
        let step = |from, share| RampStep { from, share };
        experiment
            .with_ramp([step(now + day, 0.05), step(now + 2 * day, 0.5)])
            .unwrap()
    });
    let share_of_b = |machine: &Machine| {
        let pages = (0..1_000).filter(|_| machine.page(None).account == "b");
        pages.count()
    };
    assert_eq!(
        (share_of_b(&machine), machine.events.take().len()),
        (0, 0),
        "before the ramp"
    );
    machine.clock.advance(day);
    assert!((20..100).contains(&share_of_b(&machine)));
    let early = machine.page_in("b");
    assert_eq!(
        machine.events.take()[0]
            .assignment
            .as_ref()
            .unwrap()
            .ramp_step,
        0
    );
    machine.clock.advance(day);
    assert!((400..600).contains(&share_of_b(&machine)));
    machine.events.take();
    // A visitor of the first step stays in the arm, and in the step.
    assert_eq!(machine.page(early.cookie.as_deref()).account, "b");
    assert_eq!(
        machine.events.take()[0]
            .assignment
            .as_ref()
            .unwrap()
            .ramp_step,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_fetched_ahead_takes_no_part() {
    let machine = Machine::new();
    for name in ["sec-purpose", "purpose"] {
        let page = machine.page_for(&Head::new().with(name, "prefetch;prerender"));
        assert_eq!((page.why, page.cookie), (Why::Primary, None));
        let fields = [
            ("a-response", "t"),
            ("human-check-offer", page.offer.as_str()),
        ];
        let visitor = machine.send(&fields).await.unwrap();
        // A receipt that was never shown could count as completed, and stop the experiment.
        assert!(visitor.human().unwrap().receipt().is_none());
    }
    assert_eq!(machine.events.take().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn cookies_of_an_arm_count_as_none_beyond_its_limit() {
    let machine = Machine::with([0.9, 0.1], |experiment, _| {
        experiment.with_max_share(0.3).unwrap()
    });
    let cookie = machine.page_in("b").cookie.unwrap();
    let in_b = (0..2_000)
        .filter(|_| machine.page(Some(&cookie)).account == "b")
        .count();
    assert!((300..900).contains(&in_b), "{in_b}");
    let unlimited = Machine::with([0.9, 0.1], |experiment, _| experiment);
    let cookie = unlimited.page_in("b").cookie.unwrap();
    assert!((0..200).all(|_| unlimited.page(Some(&cookie)).account == "b"));
}

/// A GET of the options endpoint.
#[derive(Debug)]
struct Get<'a> {
    head: Head,
    query: &'a str,
}

impl RequestHead for Get<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn peer(&self) -> Option<IpAddr> {
        self.head.peer
    }

    fn query(&self) -> Option<&str> {
        Some(self.query)
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        self.head.headers(line);
    }
}

#[tokio::test(start_paused = true)]
async fn with_consent_no_visitor_takes_part_before_it_is_given() {
    let machine = Machine::with([0.5, 0.5], |experiment, _| experiment.with_consent());
    let page = machine.page(None);
    assert_eq!((page.why, page.cookie), (Why::Primary, None));
    let endpoint = OptionsEndpoint::new([machine.guard.clone()]);
    let get = |query, head| Get { head, query };
    let without = endpoint.respond(&get("route=signup", Head::new())).await;
    assert!(
        without
            .headers
            .iter()
            .all(|(name, _)| *name != "set-cookie")
    );
    assert_eq!(machine.events.take().len(), 0);
    let with = endpoint
        .respond(&get("route=signup&consent=1", Head::new()))
        .await;
    let cookie = with
        .headers
        .iter()
        .find(|(name, _)| *name == "set-cookie")
        .unwrap();
    assert_eq!(words(&machine.events.take()), ["shown"]);
    let cookie = cookie.1.split(';').next().unwrap().to_owned();
    assert_eq!(machine.page(Some(&cookie)).why, Why::Arm);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_asks_again_with_its_offer_is_one_showing() {
    let machine = Machine::new();
    let page = machine.page_in("b");
    let endpoint = OptionsEndpoint::new([machine.guard.clone()]);
    let query = format!("route=signup&offer={}", page.offer);
    let response = endpoint
        .respond(&Get {
            head: Head::new(),
            query: &query,
        })
        .await;
    let body: Value = serde_json::from_str(&response.body).unwrap();
    let option = &body["captcha"]["options"][0];
    assert_eq!(option["account"], "b");
    let offer = option["offer"].as_str().unwrap();
    let visitor = machine
        .send(&[("b-response", "t"), ("human-check-offer", offer)])
        .await
        .unwrap();
    let events = machine.events.take();
    assert_eq!(words(&events), ["shown", "judged"]);
    assert_eq!(
        events[0].receipt,
        visitor.human().unwrap().receipt().unwrap().receipt()
    );
}

#[test]
fn what_is_wrong_with_an_experiment_is_named() {
    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let arm = |account, weight| ExperimentArm::new(account, weight);
    let new = |arms: Vec<ExperimentArm>| Experiment::new("e", arms, Events::default());
    for (arms, problem) in [
        (vec![arm(a.account("a"), 1.0)], "has 1 entries"),
        (
            vec![arm(a.account("a"), 1.0), arm(a.account("a"), 1.0)],
            "twice",
        ),
        (
            vec![arm(a.account("a"), 1.0), arm(b.account("b"), 0.0)],
            "the weight 0",
        ),
    ] {
        let error = new(arms).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let experiment = new(vec![arm(b.account("b"), 1.0), arm(a.account("a"), 1.0)]).unwrap();
    let selection = Selection::new(AccountList::new(a.account("a"))).with_experiment(experiment);
    let error = Guard::builder_for(selection)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("not the primary account"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_page_reports_each_step_once_and_only_with_an_offer_of_ours() {
    let machine = Machine::new();
    let page = machine.page_in("b");
    machine.events.take();
    let endpoint = OptionsEndpoint::new([machine.guard.clone()]);
    let own = || Head::new().with("sec-fetch-site", "same-origin");
    let send = async |query: &str, head: Head| {
        let response = endpoint.respond(&Get { head, query }).await;
        (response.status, machine.events.take())
    };
    let query =
        |event: &str, offer: &str| format!("route=signup&event={event}&ms=420&offer={offer}");
    for event in ["loaded", "solved"] {
        let (status, events) = send(&query(event, &page.offer), own()).await;
        assert_eq!((status, events.len()), (204, 1));
        assert_eq!(events[0].assignment.as_ref().unwrap().first, Some(true));
        let (_, events) = send(&query(event, &page.offer), own()).await;
        assert_eq!(events.len(), 0, "a repetition");
    }
    let other = machine.page_in("a");
    machine.events.take();
    for (query, head) in [
        (query("loaded", "made-up"), own()),
        (query("banned", &other.offer), own()),
        (
            query("loaded", &other.offer).replace("420", "999999999"),
            own(),
        ),
        (query("loaded", &other.offer), Head::new()),
        (
            query("loaded", &other.offer),
            Head::new().with("sec-fetch-site", "cross-site"),
        ),
        ("route=signup&event=loaded&ms=420".to_owned(), own()),
    ] {
        let (_, events) = send(&query, head).await;
        assert_eq!(events.len(), 0, "{query}");
    }
}
