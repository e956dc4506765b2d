//! Every option that a response lists passes when it is solved right away.

use std::time::Duration;

use human_check_core::{Health, HumanCheckExt, MemoryReplayStore, Provider, Score};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    AccountList, FallbackOn, Guard, Human, OfferKeys, RequestHead, RoutePolicy, Selection,
};
use human_check_testkit::{ManualClock, Scripted};
use proptest::prelude::*;
use serde_json::Value;

use crate::fake_account::{Fake, Replies};
use crate::support::Head;

static A: Provider = Provider::new("a", &["a-response"]);
static B: Provider = Provider::new("b", &["b-response"]);
static C: Provider = Provider::new("c", &["c-response"]);
static D: Provider = Provider::new("d", &["d-response"]);
static OLD: Provider = Provider::new("old", &["old-response"]);

/// What a provider does.
#[derive(Clone, Copy, Debug)]
enum State {
    Declines,
    Down,
    /// Down for visitors only.
    FailsVisitors,
    LimitsRate,
    LowScore,
    Works,
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        1 => Just(State::Declines),
        1 => Just(State::Down),
        1 => Just(State::FailsVisitors),
        1 => Just(State::LimitsRate),
        1 => Just(State::LowScore),
        3 => Just(State::Works),
    ]
}

fn set(fake: &Fake, state: State) {
    let (replies, health) = match state {
        State::Declines => (Replies::Declined, Health::Up),
        State::Down => (Replies::Unavailable, Health::Down("not-connected")),
        State::FailsVisitors => (Replies::Unavailable, Health::Up),
        State::LimitsRate => (Replies::RateLimited, Health::Inconclusive("rate-limited")),
        State::LowScore => (Replies::Score(0.4), Health::Up),
        State::Works => (Replies::Human, Health::Up),
    };
    fake.reply(replies);
    fake.set_health(health);
}

/// One step of a visitor or of the time.
#[derive(Clone, Debug)]
enum Step {
    /// A provider changes.
    Change(usize, State),
    /// A visitor sends tokens of these accounts, with the last offer or without, on a route and to a
    /// host.
    Send {
        tokens: Vec<(usize, bool)>,
        with_offer: bool,
        route: usize,
        host: usize,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let tokens = prop::collection::vec((0..5_usize, any::<bool>()), 0..3);
    prop_oneof![
        2 => (0..4_usize, state()).prop_map(|(account, state)| Step::Change(account, state)),
        4 => (tokens, any::<bool>(), 0..2_usize, 0..2_usize).prop_map(
            |(tokens, with_offer, route, host)| Step::Send { tokens, with_offer, route, host }
        ),
        1 => (1..400_u64).prop_map(Step::Wait),
    ]
}

/// Which features the configuration of the guards has.
#[derive(Clone, Copy, Debug)]
struct Features {
    dual_accept: bool,
    fail_open: bool,
    fallback_on: bool,
    hosts: bool,
    step_up: bool,
}

fn features() -> impl Strategy<Value = Features> {
    any::<(bool, bool, bool, bool, bool)>().prop_map(
        |(dual_accept, fail_open, fallback_on, hosts, step_up)| Features {
            dual_accept,
            fail_open,
            fallback_on,
            hosts,
            step_up,
        },
    )
}

/// The guards of two routes, and the providers of their accounts.
struct Site {
    fakes: [Fake; 4],
    clock: ManualClock,
    guards: [Guard; 2],
}

impl Site {
    fn new(features: Features) -> Self {
        let fakes = [&A, &B, &C, &D].map(Fake::new);
        let [a, b, c, d] = &fakes;
        let clock = ManualClock::starting_now();
        let mut primary = a.account("a");
        if features.dual_accept {
            let old = Scripted::human().with_provider(&OLD);
            primary = primary.with_check(a.clone().dual_accept(old).unwrap());
        }
        let list = AccountList::new(primary).with_fallback([b.account("b")]);
        let mut selection = Selection::new(list)
            .with_offer_keys(OfferKeys::random())
            .with_clock(clock.clone())
            .with_replay_store(
                MemoryReplayStore::new(10_000)
                    .with_ttl(Duration::from_secs(900))
                    .with_clock(clock.clone()),
            );
        if features.hosts {
            let list = AccountList::new(d.account("d")).with_fallback([b.account("b2")]);
            selection = selection.with_host("shop.example", list);
        }
        if features.step_up {
            selection = selection.with_step_up(c.account("c"), Score::humanity(0.3).unwrap());
        }
        if features.fallback_on {
            let mut on = FallbackOn::default();
            (on.declined, on.rate_limited) = (true, true);
            selection = selection.with_fallback_on(on);
        }
        let policy = match features.fail_open {
            true => RoutePolicy::fail_open("signup"),
            false => RoutePolicy::fail_closed("signup"),
        };
        let signup = Guard::builder_for(selection).build(policy).unwrap();
        let login = signup
            .with_policy(RoutePolicy::fail_closed("login"))
            .unwrap();
        Self {
            fakes,
            clock,
            guards: [signup, login],
        }
    }
}

/// Sends tokens, and returns the options of the response.
async fn send(
    guard: &Guard,
    head: &dyn RequestHead,
    fields: &[(String, String)],
) -> (u16, Vec<Value>) {
    let mut tokens = SubmittedTokens::none();
    for (name, text) in fields {
        if let Some(field) = guard.fields().find(name) {
            tokens.push(field, text.as_str());
        }
    }
    let decision = guard.inspect(head).with_tokens(tokens).decide().await;
    let Err(refused) = decision.require::<Human>() else {
        return (200, Vec::new());
    };
    let response = refused.into_response();
    let problem: Value = serde_json::from_str(&response.body).unwrap();
    let options = problem["captcha"]["options"].as_array().cloned();
    (response.status, options.unwrap_or_default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_listed_option_passes(
        features in features(),
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let site = Site::new(features);
            let mut offer = String::new();
            for step in steps {
                let (tokens, with_offer, route, host) = match step {
                    Step::Change(account, state) => {
                        set(&site.fakes[account], state);
                        continue;
                    }
                    Step::Wait(seconds) => {
                        let wait = Duration::from_secs(seconds);
                        tokio::time::sleep(wait).await;
                        site.clock.advance(wait);
                        continue;
                    }
                    Step::Send { tokens, with_offer, route, host } => {
                        (tokens, with_offer, route, host)
                    }
                };
                let names = ["a", "b", "c", "d", "old"];
                let mut fields: Vec<(String, String)> = tokens
                    .iter()
                    .map(|(account, good)| {
                        let token = if *good { "t" } else { "bad" };
                        (format!("{}-response", names[*account]), token.to_owned())
                    })
                    .collect();
                if with_offer {
                    fields.push(("human-check-offer".to_owned(), offer.clone()));
                }
                let head = match host {
                    0 => Head::new(),
                    _ => Head::new().with("host", "shop.example"),
                };
                let guard = &site.guards[route];
                let (_, options) = send(guard, &head, &fields).await;
                assert!(options.len() <= 1, "one widget at a time");
                for option in options {
                    offer = option["offer"].as_str().unwrap().to_owned();
                    let field = option["field"].as_str().unwrap();
                    // The provider of the option replies human to a token that is solved now, if it
                    // is up. One that fails visitors, although its probes succeed, shows nothing
                    // else until the probes find out.
                    let provider = option["provider"].as_str().unwrap();
                    let at = names.iter().position(|name| *name == provider).unwrap();
                    let fake = site.fakes.get(at);
                    let before = fake.map(Fake::current);
                    if let Some(fake) = fake {
                        fake.mend();
                    }
                    let solved = [
                        (field.to_owned(), "t".to_owned()),
                        ("human-check-offer".to_owned(), offer.clone()),
                    ];
                    let (status, shown) = send(guard, &head, &solved).await;
                    assert_eq!(status, 200, "{features:?} {option} led to {shown:?}");
                    if let (Some(fake), Some(before)) = (fake, before) {
                        fake.restore(before);
                    }
                }
            }
        });
    }
}
