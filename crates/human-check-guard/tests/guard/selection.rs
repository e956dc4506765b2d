//! Which account judges, what a refusal shows, and what leads from one account to the next.

use std::time::Duration;

use human_check_core::{ErrorKind, Health, MemoryReplayStore, Provider, Score, Secret};
use human_check_guard::integration::{Decision, SubmittedTokens};
use human_check_guard::{
    AccountList, DenialReason, FallbackOn, Guard, Human, OfferKeys, RoutePolicy, Selection,
    Unverified, Visitor, Why,
};
use human_check_testkit::ManualClock;
use serde_json::Value;

use crate::fake_account::{Fake, Replies};
use crate::support::Head;

static A: Provider = Provider::new("a", &["a-response"]);
static B: Provider = Provider::new("b", &["b-response"]);
static C: Provider = Provider::new("c", &["c-response"]);

const DOWN: Health = Health::Down("not-connected");

fn keys() -> OfferKeys {
    OfferKeys::new([Secret::new("0123456789abcdef0123456789abcdef").unwrap()]).unwrap()
}

/// One machine with two accounts, `a` and its fallback `b`.
struct Machine {
    a: Fake,
    b: Fake,
    clock: ManualClock,
    guard: Guard,
}

impl Machine {
    fn new() -> Self {
        Self::with(RoutePolicy::fail_closed("signup"), |selection| selection)
    }

    fn with(policy: RoutePolicy, change: impl FnOnce(Selection) -> Selection) -> Self {
        let (a, b) = (Fake::new(&A), Fake::new(&B));
        let clock = ManualClock::starting_now();
        let list = AccountList::new(a.account("a")).with_fallback([b.account("b")]);
        let selection = Selection::new(list)
            .with_offer_keys(keys())
            .with_clock(clock.clone());
        let guard = Guard::builder_for(change(selection)).build(policy).unwrap();
        Self { a, b, clock, guard }
    }

    async fn send(&self, fields: &[(&str, &str)]) -> Sent {
        send(&self.guard, &Head::new(), fields).await
    }

    /// Makes account `a` go down, and returns the offer that leads to `b`.
    async fn offer_of_b(&self) -> String {
        self.a.break_down();
        let refused = self.send(&[("a-response", "t")]).await;
        refused.offer_of("b")
    }
}

/// What a request led to.
#[derive(Debug)]
struct Sent {
    decision: Decision,
    status: u16,
    captcha: Value,
}

async fn send(guard: &Guard, head: &Head, fields: &[(&str, &str)]) -> Sent {
    let mut tokens = SubmittedTokens::none();
    for (name, text) in fields {
        tokens.push(guard.fields().find(name).unwrap(), *text);
    }
    let decision = guard.inspect(head).with_tokens(tokens).decide().await;
    let refused: Result<Visitor, _> = decision.clone().require();
    let (status, body) = match refused {
        Ok(_) => (200, "{}".to_owned()),
        Err(refused) => {
            let response = refused.into_response();
            (response.status, response.body)
        }
    };
    let problem: Value = serde_json::from_str(&body).unwrap();
    Sent {
        decision,
        status,
        captcha: problem["captcha"].clone(),
    }
}

impl Sent {
    /// Returns the accounts that the refusal shows, by their site keys.
    fn shown(&self) -> Vec<&str> {
        let options = self.captcha["options"].as_array();
        let keys = options
            .into_iter()
            .flatten()
            .map(|option| option["sitekey"].as_str().unwrap());
        keys.map(|key| key.trim_start_matches("key-of-")).collect()
    }

    /// Returns the offer of the one account that the refusal shows.
    fn offer_of(&self, account: &str) -> String {
        assert_eq!(self.shown(), [account], "{self:?}");
        self.captcha["options"][0]["offer"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn judged_by(&self, provider: &Provider) -> bool {
        let human = self.decision.result().ok().and_then(Visitor::human);
        human.is_some_and(|human| human.facts().provider == *provider)
    }

    fn retries(&self) -> bool {
        self.status == 503 && self.captcha["retry"] == true && self.shown().is_empty()
    }

    fn is_dead_end(&self) -> bool {
        self.status == 503 && self.captcha["retry"] == false && self.shown().is_empty()
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_primarys_token_counts_without_an_offer() {
    let machine = Machine::new();
    assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
    for fields in [
        &[("b-response", "t")][..],
        &[("b-response", "t"), ("human-check-offer", "x")],
    ] {
        let refused = machine.send(fields).await;
        assert_eq!(
            refused.decision.result().err(),
            Some(DenialReason::ChallengeRequired)
        );
        refused.offer_of("a");
    }
    assert_eq!(machine.b.calls(), 0);
    // A token of another account changes nothing beside the primary's.
    let both = [("a-response", "t"), ("b-response", "bad")];
    assert!(machine.send(&both).await.judged_by(&A));
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_down_is_replaced_and_its_tokens_stay_unused() {
    let machine = Machine::new();
    machine.a.break_down();
    let begin = tokio::time::Instant::now();
    let first = machine.send(&[("a-response", "t")]).await;
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(first.status, 403);
    let offer = first.offer_of("b");
    // From now on no token of `a` is sent to its provider.
    let calls = machine.a.calls();
    assert_eq!(machine.send(&[("a-response", "t")]).await.shown(), ["b"]);
    assert_eq!(machine.send(&[]).await.shown(), ["b"]);
    assert_eq!(machine.a.calls(), calls);
    let passed = machine
        .send(&[("b-response", "t"), ("human-check-offer", &offer)])
        .await;
    assert!(passed.judged_by(&B));
    // A used token of `a` in the same form is ignored.
    let fields = [
        ("a-response", "old"),
        ("b-response", "t"),
        ("human-check-offer", &*offer),
    ];
    assert!(machine.send(&fields).await.judged_by(&B));
    // A wrong solution leads to the same challenge, with the same offer.
    let wrong = machine
        .send(&[("b-response", "bad"), ("human-check-offer", &offer)])
        .await;
    assert_eq!(wrong.offer_of("b"), offer);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_accepts_and_never_replies_is_found_out_within_the_deadline() {
    let machine = Machine::new();
    machine.a.reply(Replies::Never);
    machine.a.set_health(Health::Down("timeout"));
    let begin = tokio::time::Instant::now();
    let refused = machine.send(&[("a-response", "t")]).await;
    assert!(
        begin.elapsed() <= Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    refused.offer_of("b");
    assert!(machine.a.probes() >= 2);
}

#[tokio::test(start_paused = true)]
async fn one_verification_that_fails_neither_falls_back_nor_opens() {
    for policy in [
        RoutePolicy::fail_closed("signup"),
        RoutePolicy::fail_open("signup"),
    ] {
        let machine = Machine::with(policy, |selection| selection);
        machine.a.reply(Replies::Unavailable);
        for _ in 0..100 {
            let refused = machine.send(&[("a-response", "t")]).await;
            assert!(refused.retries(), "{refused:?}");
        }
        assert!(machine.a.probes() <= 22, "{} probes", machine.a.probes());
        // A page that is loaded now shows the primary.
        assert_eq!(machine.guard.select(&Head::new()).account(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_probe_proves_is_no_outage() {
    for (replies, health) in [
        (Replies::RateLimited, Health::Inconclusive("rate-limited")),
        (Replies::Declined, Health::Up),
        (Replies::Protocol, Health::Up),
        (Replies::StoreUnavailable, Health::Up),
    ] {
        let machine = Machine::with(RoutePolicy::fail_open("signup"), |selection| selection);
        machine.a.reply(replies);
        machine.a.set_health(health);
        let refused = machine.send(&[("a-response", "t")]).await;
        assert!(refused.is_dead_end(), "{replies:?}: {refused:?}");
        machine.send(&[]).await.offer_of("a");
    }
    let machine = Machine::new();
    machine.a.reply(Replies::Misconfigured);
    assert_eq!(machine.send(&[("a-response", "t")]).await.status, 500);
    // A firewall rejects our probes, and judges visitors.
    let machine = Machine::new();
    machine
        .a
        .set_health(Health::Inconclusive("request-rejected"));
    machine.a.reply(Replies::Unavailable);
    assert!(machine.send(&[("a-response", "t")]).await.retries());
    machine.a.reply(Replies::Human);
    assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
}

#[tokio::test(start_paused = true)]
async fn named_troubles_lead_to_a_fallback_and_never_open_a_route() {
    for (replies, on) in [
        (
            Replies::Declined,
            FallbackOn::default().with(|on| on.declined = true),
        ),
        (
            Replies::RateLimited,
            FallbackOn::default().with(|on| on.rate_limited = true),
        ),
    ] {
        let policy = RoutePolicy::fail_open("signup");
        let machine = Machine::with(policy, |selection| selection.with_fallback_on(on));
        machine.a.reply(replies);
        machine.send(&[("a-response", "t")]).await.offer_of("b");
        assert_eq!(machine.guard.select(&Head::new()).account(), "b");
        // The fallback is down as well, and not all accounts are down by health probes.
        machine.b.break_down();
        let offer = machine.guard.select(&Head::new()).offer().to_owned();
        let refused = machine
            .send(&[("b-response", "t"), ("human-check-offer", &offer)])
            .await;
        assert!(refused.is_dead_end(), "{refused:?}");
        tokio::time::sleep(Duration::from_secs(61)).await;
        machine.a.reply(Replies::Human);
        assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
    }
}

trait With: Sized {
    fn with(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl With for FallbackOn {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

#[tokio::test(start_paused = true)]
async fn a_farm_that_makes_verifications_fail_while_one_visitor_passes_changes_nothing() {
    let on = FallbackOn::default().with(|on| on.failures = true);
    let policy = RoutePolicy::fail_open("signup");
    let machine = Machine::with(policy, |selection| selection.with_fallback_on(on));
    // Ten minutes in which tokens passed steadily, so that a change would be noticed.
    for _ in 0..121 {
        assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for second in 0..30 {
        machine.a.reply(Replies::Unavailable);
        for _ in 0..33 {
            let refused = machine.send(&[("a-response", "t")]).await;
            assert!(refused.retries(), "{second}: {refused:?}");
        }
        if second % 5 == 0 {
            machine.a.reply(Replies::Human);
            assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_saw_no_outage_accepts_the_offer_of_another() {
    let (one, two) = (Machine::new(), Machine::new());
    let offer = one.offer_of_b().await;
    let passed = two
        .send(&[("b-response", "t"), ("human-check-offer", &offer)])
        .await;
    assert!(passed.judged_by(&B));
    assert!(two.send(&[("a-response", "t")]).await.judged_by(&A));
}

#[tokio::test(start_paused = true)]
async fn when_the_primary_is_back_old_pages_pass_and_new_ones_show_it() {
    let machine = Machine::new();
    let offer = machine.offer_of_b().await;
    machine.a.mend();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(machine.guard.select(&Head::new()).account(), "a");
    machine.clock.advance(Duration::from_secs(9 * 60));
    let fields = [("b-response", "t"), ("human-check-offer", &*offer)];
    assert!(machine.send(&fields).await.judged_by(&B));
    machine.clock.advance(Duration::from_secs(3 * 60));
    machine.send(&fields).await.offer_of("a");
    assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_goes_up_and_down_asks_for_two_challenges_at_most() {
    let machine = Machine::new();
    let solve = Duration::from_secs(40);
    for minute in 0..60 {
        match minute % 2 {
            0 => machine.a.break_down(),
            _ => machine.a.mend(),
        }
        let (mut account, mut offer) = {
            let selected = machine.guard.select(&Head::new());
            (selected.account().to_owned(), selected.offer().to_owned())
        };
        let mut challenges = 0;
        loop {
            challenges += 1;
            tokio::time::sleep(solve).await;
            machine.clock.advance(solve);
            let field = format!("{account}-response");
            let sent = machine
                .send(&[(&field, "t"), ("human-check-offer", &offer)])
                .await;
            if sent.status == 200 {
                break;
            }
            let shown = sent.shown();
            assert_eq!(shown.len(), 1, "{sent:?}");
            account = shown[0].to_owned();
            offer = sent.offer_of(&account);
        }
        assert!(challenges <= 2, "minute {minute}: {challenges}");
    }
    machine.a.mend();
    // Five minutes at most, and the last pair of probes.
    tokio::time::sleep(Duration::from_secs(5 * 60 + 3)).await;
    assert_eq!(machine.guard.select(&Head::new()).account(), "a");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_offer_is_as_good_as_none() {
    let machine = Machine::new();
    let offer = machine.offer_of_b().await;
    machine.a.mend();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let other_route = machine
        .guard
        .with_policy(RoutePolicy::fail_closed("login"))
        .unwrap();
    let mut invalid: Vec<String> = (0..offer.len())
        .map(|at| {
            let mut bytes = offer.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    machine.a.break_down();
    let elsewhere = send(&other_route, &Head::new(), &[("a-response", "t")]).await;
    invalid.push(elsewhere.offer_of("b"));
    machine.a.mend();
    tokio::time::sleep(Duration::from_secs(120)).await;
    invalid.extend(["x".to_owned(), "a".repeat(201), "a".repeat(88)]);
    for wrong in &invalid {
        let refused = machine
            .send(&[("b-response", "t"), ("human-check-offer", wrong)])
            .await;
        assert_eq!(refused.shown(), ["a"], "{wrong}");
    }
    assert_eq!(machine.b.calls(), 0);
    let again = [
        ("b-response", "t"),
        ("human-check-offer", &*offer),
        ("human-check-offer", &*offer),
    ];
    assert!(
        machine.send(&again).await.judged_by(&B),
        "two equal ones are one"
    );
    let two = [
        ("b-response", "t"),
        ("human-check-offer", &*offer),
        ("human-check-offer", "x"),
    ];
    machine.send(&two).await.offer_of("a");
    // An offer for an account that is no longer in the list.
    let gone = Machine::with(RoutePolicy::fail_closed("signup"), |_| {
        let list = AccountList::new(Fake::new(&A).account("a"))
            .with_fallback([Fake::new(&B).account("another")]);
        Selection::new(list).with_offer_keys(keys())
    });
    gone.send(&[("b-response", "t"), ("human-check-offer", &offer)])
        .await
        .offer_of("a");
}

#[tokio::test(start_paused = true)]
async fn keys_are_rotated_without_a_second_challenge() {
    let key = |text: &str| Secret::new(text.repeat(32)).unwrap();
    let steps = [&["o"][..], &["o", "n"], &["n", "o"], &["n"]];
    let machine = |step: &[&str]| {
        let keys = OfferKeys::new(step.iter().map(|text| key(text))).unwrap();
        Machine::with(RoutePolicy::fail_closed("signup"), |selection| {
            selection.with_offer_keys(keys)
        })
    };
    // While the machines change one by one, visitors meet the step before and the step after.
    for pair in steps.windows(2) {
        for [made, sent] in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let offer = machine(pair[made]).offer_of_b().await;
            let sent = machine(pair[sent])
                .send(&[("b-response", "t"), ("human-check-offer", &offer)])
                .await;
            assert!(sent.judged_by(&B), "{pair:?} {made}");
        }
    }
    // A key that was taken out signs nothing.
    let offer = machine(&["o"]).offer_of_b().await;
    machine(&["n"])
        .send(&[("b-response", "t"), ("human-check-offer", &offer)])
        .await
        .offer_of("a");
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ_by_a_minute() {
    for (ahead, passes) in [(50, true), (600, false)] {
        let (one, two) = (Machine::new(), Machine::new());
        let offer = one.offer_of_b().await;
        two.clock.set(two.clock_time() - Duration::from_secs(ahead));
        let sent = two
            .send(&[("b-response", "t"), ("human-check-offer", &offer)])
            .await;
        assert_eq!(sent.judged_by(&B), passes, "{ahead}");
    }
}

impl Machine {
    fn clock_time(&self) -> std::time::SystemTime {
        human_check_core::Clock::now(&self.clock)
    }
}

/// A machine whose primary `a` has scores, and whose step-up is `c`.
fn stepping_up(store: MemoryReplayStore) -> (Machine, Fake) {
    let c = Fake::new(&C);
    let account = c.account("c");
    let machine = Machine::with(RoutePolicy::fail_closed("signup"), |selection| {
        selection
            .with_step_up(account, Score::humanity(0.3).unwrap())
            .with_replay_store(store)
    });
    (machine, c)
}

#[tokio::test(start_paused = true)]
async fn a_score_in_the_band_leads_to_one_stronger_challenge() {
    let (machine, c) = stepping_up(store_of(100));
    for (score, shown) in [(0.29, "a"), (0.3, "c"), (0.49, "c")] {
        machine.a.reply(Replies::Score(score));
        let refused = machine.send(&[("a-response", "t")]).await;
        assert_eq!(
            (refused.status, refused.shown()),
            (403, vec![shown]),
            "{score}"
        );
    }
    machine.a.reply(Replies::Score(0.5));
    assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
    machine.a.reply(Replies::Score(0.4));
    let offer = machine.send(&[("a-response", "t")]).await.offer_of("c");
    let calls = machine.a.calls();
    let passed = machine
        .send(&[("c-response", "t"), ("human-check-offer", &offer)])
        .await;
    assert!(passed.judged_by(&C) && machine.a.calls() == calls);
    // Without an offer its tokens count for nothing.
    let refused = machine.send(&[("c-response", "t")]).await;
    refused.offer_of("a");
    // A step-up never opens a route, and never leads to another account.
    let offer = machine.send(&[("a-response", "t")]).await.offer_of("c");
    c.break_down();
    let refused = machine
        .send(&[("c-response", "t"), ("human-check-offer", &offer)])
        .await;
    assert!(refused.is_dead_end(), "{refused:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(machine.send(&[("a-response", "t")]).await.is_dead_end());
}

#[tokio::test(start_paused = true)]
async fn a_step_up_offer_counts_once_and_after_a_human_verdict() {
    let store = store_of(100);
    let (machine, _) = stepping_up(store.clone());
    let (other, _) = stepping_up(store);
    machine.a.reply(Replies::Score(0.4));
    let offer = machine.send(&[("a-response", "t")]).await.offer_of("c");
    let with = |token| [("c-response", token), ("human-check-offer", offer.as_str())];
    let wrong = machine.send(&with("bad")).await;
    assert_eq!(wrong.offer_of("c"), offer);
    let (one, two, three) = (with("t1"), with("t2"), with("t3"));
    let (one, two, three) =
        tokio::join!(machine.send(&one), machine.send(&two), other.send(&three));
    let passed = [&one, &two, &three]
        .into_iter()
        .filter(|sent| sent.status == 200);
    assert_eq!(passed.count(), 1);
    let refused = machine.send(&with("t4")).await;
    assert_eq!((refused.status, refused.shown()), (403, vec!["a"]));
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_counts_once_counts_not_at_all_while_its_store_fails() {
    let (machine, _) = stepping_up(store_of(0));
    machine.a.reply(Replies::Score(0.4));
    let offer = machine.send(&[("a-response", "t")]).await.offer_of("c");
    let refused = machine
        .send(&[("c-response", "t"), ("human-check-offer", &offer)])
        .await;
    assert_eq!(refused.status, 503);
}

#[tokio::test(start_paused = true)]
async fn a_route_opens_only_while_every_account_is_down_by_health_probes() {
    let machine = Machine::with(RoutePolicy::fail_open("signup"), |selection| selection);
    let offer = machine.offer_of_b().await;
    let with_offer = [("b-response", "t"), ("human-check-offer", &*offer)];
    machine.b.reply(Replies::Unavailable);
    assert!(
        machine.send(&with_offer).await.retries(),
        "b is up by its probes"
    );
    machine.b.set_health(DOWN);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(machine.send(&with_offer).await.status, 200);
    for fields in [&[][..], &[("a-response", "t")], &[("b-response", "t")]] {
        let opened = machine.send(fields).await;
        let visitor = opened.decision.result().unwrap();
        assert_eq!(
            visitor.unverified(),
            Some(Unverified::FailedOpen(ErrorKind::Unavailable))
        );
        let human: Result<Human, _> = opened.decision.clone().require();
        assert_eq!(human.unwrap_err().response().status, 503);
    }
    let closed = Machine::new();
    let offer = closed.offer_of_b().await;
    closed.b.break_down();
    let refused = closed
        .send(&[("b-response", "t"), ("human-check-offer", &offer)])
        .await;
    assert!(refused.is_dead_end());
    assert!(closed.send(&[]).await.is_dead_end());
}

#[tokio::test(start_paused = true)]
async fn an_offered_token_is_judged_whatever_health_says() {
    let machine = Machine::new();
    let offer = machine.offer_of_b().await;
    machine.b.reply(Replies::Unavailable);
    machine.b.set_health(DOWN);
    let fields = [("b-response", "t"), ("human-check-offer", &*offer)];
    assert!(machine.send(&fields).await.is_dead_end());
    // It works again and still counts as down, for half a minute at least.
    machine.b.mend();
    assert!(machine.send(&fields).await.judged_by(&B));
}

#[tokio::test(start_paused = true)]
async fn a_header_token_without_a_name_is_the_primarys() {
    let machine = Machine::new();
    let offer = machine.offer_of_b().await;
    machine.a.mend();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let bare = Head::new().with("x-captcha-token", "t");
    assert!(send(&machine.guard, &bare, &[]).await.judged_by(&A));
    assert!(
        send(&machine.guard, &bare, &[("human-check-offer", &offer)])
            .await
            .judged_by(&A)
    );
    let named = bare.with("x-captcha-provider", "b");
    assert_eq!(send(&machine.guard, &named, &[]).await.shown(), ["a"]);
    // The offer may be in the header or in the body.
    assert!(
        send(&machine.guard, &named, &[("human-check-offer", &offer)])
            .await
            .judged_by(&B)
    );
    let with_offer = named.with("x-captcha-offer", offer.clone());
    assert!(send(&machine.guard, &with_offer, &[]).await.judged_by(&B));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_depends_on_the_country_is_kept_by_no_cache() {
    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let selection = Selection::new(AccountList::new(a.account("a")))
        .with_country("CN", AccountList::new(b.account("b")))
        .with_offer_keys(keys());
    let guard = Guard::builder_for(selection)
        .with_client_address(
            human_check_guard::ClientAddress::x_forwarded_for(["203.0.113.0/24"]).unwrap(),
        )
        .with_country_header("cf-ipcountry")
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let page = guard.select(&Head::new());
    assert_eq!(page.why(), Why::Primary);
    assert_eq!(
        page.headers(),
        [("cache-control", "private, no-store".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn lists_of_hosts_and_countries_select_by_the_request() {
    let (a, b, c) = (Fake::new(&A), Fake::new(&B), Fake::new(&C));
    let list = |fake: &Fake, name| AccountList::new(fake.account(name));
    let selection = Selection::new(list(&a, "a"))
        .with_host("Shop.example", list(&b, "b"))
        .with_country("DE", list(&c, "c"))
        .with_offer_keys(keys());
    let guard = Guard::builder_for(selection)
        .with_client_address(
            human_check_guard::ClientAddress::x_forwarded_for(["203.0.113.0/24"]).unwrap(),
        )
        .with_country_header("cf-ipcountry")
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let head = |headers: &[(&'static str, &str)]| {
        headers
            .iter()
            .fold(Head::new(), |head, (name, value)| head.with(name, *value))
    };
    let untrusted = Head {
        peer: Some("198.51.100.1".parse().unwrap()),
        ..head(&[("cf-ipcountry", "DE")])
    };
    for (head, account) in [
        (head(&[]), "a"),
        (head(&[("host", "other.example")]), "a"),
        (head(&[("host", "SHOP.example.:8443")]), "b"),
        (
            head(&[("host", "shop.example"), ("host", "other.example")]),
            "a",
        ),
        (
            head(&[("host", "shop.example"), ("cf-ipcountry", "DE")]),
            "b",
        ),
        (head(&[("cf-ipcountry", "DE")]), "c"),
        (head(&[("cf-ipcountry", "FR")]), "a"),
        (untrusted, "a"),
    ] {
        assert_eq!(guard.select(&head).account(), account, "{head:?}");
        let field = format!("{account}-response");
        assert_eq!(
            send(&guard, &head, &[(&field, "t")]).await.status,
            200,
            "{head:?}"
        );
        for other in ["a-response", "b-response", "c-response"] {
            let sent = send(&guard, &head, &[(other, "t")]).await;
            assert_eq!(sent.status == 200, other == field, "{head:?} {other}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_accounts_of_one_provider_are_told_apart_by_the_offer_of_the_page() {
    let (new, old) = (Fake::new(&A), Fake::new(&A));
    let clock = ManualClock::starting_now();
    let sunset = human_check_core::Clock::now(&clock) + Duration::from_secs(3_600);
    let selection = Selection::new(AccountList::new(new.account("new")))
        .with_old_account(old.account("old"), Some(sunset))
        .with_offer_keys(keys())
        .with_clock(clock.clone());
    let guard = Guard::builder_for(selection)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let selected = guard.select(&Head::new());
    assert_eq!((selected.account(), selected.why()), ("new", Why::Primary));
    let offer = selected.offer().to_owned();
    let calls = || (new.calls(), old.calls());
    let fields = [("a-response", "t"), ("human-check-offer", offer.as_str())];
    assert_eq!(send(&guard, &Head::new(), &fields).await.status, 200);
    assert_eq!(calls(), (1, 0));
    assert_eq!(send(&guard, &Head::new(), &fields[..1]).await.status, 200);
    assert_eq!(calls(), (1, 1));
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(send(&guard, &Head::new(), &fields[..1]).await.status, 200);
    assert_eq!(
        calls(),
        (2, 1),
        "after the sunset the old account judges nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_shows_one_account_and_allows_the_sources_of_all() {
    let machine = Machine::new();
    let page = machine.guard.select(&Head::new());
    assert_eq!(page.headers(), [("vary", "Accept-Language".to_owned())]);
    assert!(page.html().as_str().contains("key-of-a"));
    assert!(!page.html().as_str().contains("key-of-b"));
    machine.offer_of_b().await;
    let page = machine.guard.select(&Head::new());
    assert_eq!((page.account(), page.why()), ("b", Why::Fallback));
    assert_eq!(
        page.headers(),
        [("cache-control", "private, no-store".to_owned())]
    );
    let html = page.html().to_string();
    assert!(
        html.contains("key-of-b") && html.contains(page.offer()),
        "{html}"
    );
}

#[tokio::test(start_paused = true)]
async fn verifications_that_fail_after_steady_minutes_lead_to_a_fallback_where_it_is_named() {
    for (named, shown) in [(true, "b"), (false, "a")] {
        let on = FallbackOn::default().with(|on| on.failures = named);
        let policy = RoutePolicy::fail_open("signup");
        let machine = Machine::with(policy, |selection| selection.with_fallback_on(on));
        for _ in 0..121 {
            assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        machine.a.reply(Replies::Unavailable);
        for _ in 0..40 {
            let _ = machine.send(&[("a-response", "t")]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(machine.guard.select(&Head::new()).account(), shown);
    }
}

/// A machine whose primary accepts tokens of an old provider, too.
fn migrating(on: FallbackOn) -> (Machine, Fake) {
    use human_check_core::HumanCheckExt;

    static OLD: Provider = Provider::new("old", &["old-response"]);
    let old = Fake::new(&OLD);
    let mut machine = Machine::new();
    let both = machine.a.clone().dual_accept(old.clone()).unwrap();
    let list = AccountList::new(machine.a.account("a").with_check(both))
        .with_fallback([machine.b.account("b")]);
    let selection = Selection::new(list)
        .with_offer_keys(keys())
        .with_fallback_on(on);
    machine.guard = Guard::builder_for(selection)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    (machine, old)
}

#[tokio::test(start_paused = true)]
async fn the_old_provider_of_a_migration_says_nothing_about_the_new_one() {
    let on = FallbackOn::default().with(|on| (on.declined, on.rate_limited) = (true, true));
    for replies in [
        Replies::Declined,
        Replies::RateLimited,
        Replies::Unavailable,
    ] {
        let (machine, old) = migrating(on);
        old.reply(replies);
        old.set_health(DOWN);
        for _ in 0..3 {
            assert_eq!(machine.send(&[("old-response", "t")]).await.status, 503);
        }
        assert_eq!(
            machine.guard.select(&Head::new()).account(),
            "a",
            "{replies:?}"
        );
        assert_eq!(machine.a.probes(), 0, "{replies:?}");
        assert!(machine.send(&[("a-response", "t")]).await.judged_by(&A));
    }
    // While the new one is down, tokens of the old one are judged, and it shows nothing that cannot
    // be passed.
    let (machine, _) = migrating(on);
    machine.a.break_down();
    machine.send(&[("a-response", "t")]).await.offer_of("b");
    assert_eq!(machine.send(&[("old-response", "t")]).await.status, 200);
    machine.send(&[("old-response", "bad")]).await.offer_of("b");
}

#[tokio::test(start_paused = true)]
async fn no_error_of_a_step_up_opens_a_route_or_leads_to_another_account() {
    for replies in [
        Replies::Declined,
        Replies::RateLimited,
        Replies::Unavailable,
        Replies::Protocol,
    ] {
        let c = Fake::new(&C);
        let account = c.account("c");
        let on = FallbackOn::default().with(|on| (on.declined, on.rate_limited) = (true, true));
        let machine = Machine::with(
            RoutePolicy::fail_open("signup").with_fail_open_when_declined(),
            |selection| {
                selection
                    .with_step_up(account, Score::humanity(0.3).unwrap())
                    .with_replay_store(store_of(100))
                    .with_fallback_on(on)
            },
        );
        machine.a.reply(Replies::Score(0.4));
        let offer = machine.send(&[("a-response", "t")]).await.offer_of("c");
        c.reply(replies);
        c.set_health(DOWN);
        let fields = [("c-response", "t"), ("human-check-offer", &*offer)];
        assert!(machine.send(&fields).await.is_dead_end(), "{replies:?}");
        // Nor while all accounts of the list are down.
        machine.offer_of_b().await;
        machine.b.break_down();
        let offer_of_b = machine.guard.select(&Head::new()).offer().to_owned();
        let _ = machine
            .send(&[("b-response", "t"), ("human-check-offer", &offer_of_b)])
            .await;
        assert_eq!(machine.send(&[]).await.status, 200, "the route is open");
        assert!(machine.send(&fields).await.is_dead_end(), "{replies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_no_account_works_no_response_demands_a_challenge() {
    let machine = Machine::new();
    let offer = machine.offer_of_b().await;
    machine.b.break_down();
    let _ = machine
        .send(&[("b-response", "t"), ("human-check-offer", &offer)])
        .await;
    let long = "x".repeat(20_000);
    for fields in [
        &[("a-response", long.as_str())][..],
        &[("a-response", "bad")],
        &[("a-response", "1"), ("a-response", "2")],
    ] {
        assert!(machine.send(fields).await.is_dead_end(), "{fields:?}");
    }
    let head = Head::new()
        .with("x-captcha-token", "1")
        .with("x-captcha-token", "2");
    assert!(send(&machine.guard, &head, &[]).await.is_dead_end());
}

/// The host of a script, which the test breaks and mends.
#[derive(Clone, Debug, Default)]
struct ScriptHost(std::sync::Arc<std::sync::atomic::AtomicBool>);

#[human_check_core::adapter::async_trait]
impl human_check_guard::ScriptProbe for ScriptHost {
    async fn probe_script(&self) -> Health {
        match self.0.load(std::sync::atomic::Ordering::SeqCst) {
            true => DOWN,
            false => Health::Up,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_script_that_cannot_be_loaded_leads_new_pages_on_and_its_tokens_count() {
    let host = ScriptHost::default();
    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let list = AccountList::new(a.account("a").with_script_probe(host.clone()))
        .with_fallback([b.account("b")]);
    let guard = Guard::builder_for(Selection::new(list).with_offer_keys(keys()))
        .build(RoutePolicy::fail_open("signup"))
        .unwrap();
    let shown = || guard.select(&Head::new()).account().to_owned();
    assert_eq!(shown(), "a");
    host.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let minutes = |minutes: u64| tokio::time::sleep(Duration::from_secs(minutes * 60));
    minutes(3).await;
    assert_eq!(shown(), "b");
    // The service works, so a token of `a` counts, and a wrong one leads to `b`.
    assert!(
        send(&guard, &Head::new(), &[("a-response", "t")])
            .await
            .judged_by(&A)
    );
    send(&guard, &Head::new(), &[("a-response", "bad")])
        .await
        .offer_of("b");
    send(&guard, &Head::new(), &[]).await.offer_of("b");
    // It opens no route, and an account with a script that is down is better than none.
    b.break_down();
    let offer = guard.select(&Head::new()).offer().to_owned();
    let fields = [("b-response", "t"), ("human-check-offer", &*offer)];
    send(&guard, &Head::new(), &fields).await.offer_of("a");
    host.0.store(false, std::sync::atomic::Ordering::SeqCst);
    minutes(2).await;
    assert_eq!(shown(), "a");
}

#[tokio::test(start_paused = true)]
async fn the_script_of_a_fallback_is_watched_before_it_is_needed() {
    let host = ScriptHost::default();
    host.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let (a, b, c) = (Fake::new(&A), Fake::new(&B), Fake::new(&C));
    let fallback = [b.account("b").with_script_probe(host), c.account("c")];
    let list = AccountList::new(a.account("a")).with_fallback(fallback);
    let guard = Guard::builder_for(Selection::new(list).with_offer_keys(keys()))
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    assert_eq!(guard.select(&Head::new()).account(), "a");
    tokio::time::sleep(Duration::from_secs(180)).await;
    a.break_down();
    send(&guard, &Head::new(), &[("a-response", "t")])
        .await
        .offer_of("c");
}

/// A store that remembers offers for as long as they hold.
fn store_of(capacity: usize) -> MemoryReplayStore {
    MemoryReplayStore::new(capacity).with_ttl(Duration::from_secs(900))
}

#[tokio::test(start_paused = true)]
async fn a_failover_opens_a_route_only_while_both_of_its_providers_are_down() {
    use human_check_core::Failover;

    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let both = || Failover::new(a.clone(), b.clone()).unwrap();
    let account = a.account("a").with_check(both()).with_health_check(both());
    let selection = Selection::new(AccountList::new(account)).with_offer_keys(keys());
    let guard = Guard::builder_for(selection)
        .build(RoutePolicy::fail_open("signup"))
        .unwrap();
    let tokens = [("a-response", "t"), ("b-response", "bad")];
    a.break_down();
    assert_eq!(send(&guard, &Head::new(), &tokens).await.status, 403);
    // Both fail at once, so that no verification takes long.
    b.break_down();
    assert_eq!(send(&guard, &Head::new(), &tokens).await.status, 200);
}

#[derive(Debug)]
struct ScriptDown;

#[human_check_core::adapter::async_trait]
impl human_check_guard::ScriptProbe for ScriptDown {
    async fn probe_script(&self) -> Health {
        DOWN
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_script_probe_found_ends_with_the_probe() {
    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let guard_of = |account| {
        let list = AccountList::new(account).with_fallback([b.account("b")]);
        let selection = Selection::new(list).with_offer_keys(keys());
        let guard = Guard::builder_for(selection).build(RoutePolicy::fail_closed("signup"));
        guard.unwrap()
    };
    let before = a.account("a").with_script_probe(ScriptDown);
    let guard = guard_of(before.clone());
    guard.select(&Head::new());
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(guard.select(&Head::new()).account(), "b");
    let next = guard_of(a.account("a").with_health_of(&before));
    assert_eq!(next.select(&Head::new()).account(), "a");
}
