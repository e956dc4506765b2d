//! The cost of selecting an account, and of an offer.
//!
//! `bench-selection N` prints the median of 21 rounds of N each, in nanoseconds, and allocations:
//! `select`, which makes an offer; and a decision without an offer, with a valid one, and with invalid
//! ones, each with its difference from the decision without.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::alloc::System;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use human_check_bench::median;
use human_check_core::adapter::{WidgetSpec, async_trait};
use human_check_core::{
    Capabilities, CheckError, Facts, HumanCheck, Provider, Submission, Verdict, Widget,
};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    Account, AccountList, Guard, OfferKeys, RequestHead, RoutePolicy, Selection,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 21;

static ACME: Provider = Provider::new("acme", &["acme-response"]);
static OTHER: Provider = Provider::new("other", &["other-response"]);
static SPEC: WidgetSpec = WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey");

/// A check that accepts every token at once.
#[derive(Debug)]
struct Stub(&'static Provider);

#[async_trait]
impl HumanCheck for Stub {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(self.0)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        Ok(Verdict::Human(Facts::new(self.0)))
    }
}

/// A request as a browser sends it.
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &'static str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        Some([203, 0, 113, 7].into())
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in [
            ("host", "www.example.com"),
            ("content-type", "application/json"),
            ("content-length", "1100"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
            ("accept", "text/html,application/xhtml+xml"),
        ] {
            line(name, value.as_bytes());
        }
    }
}

fn keys(byte: u8) -> OfferKeys {
    let key = (0..32)
        .map(|n| char::from(b'a' + (n + byte) % 26))
        .collect::<String>();
    OfferKeys::new([human_check_core::Secret::new(key).unwrap()]).unwrap()
}

/// Returns a guard whose list has two accounts, and whose names depend on `route`.
fn guard(route: &str, keys: OfferKeys) -> Guard {
    let account = |name: &str, provider: &'static Provider| {
        let widget = Widget::new(provider, "site-key", &SPEC).unwrap();
        Account::new(name, Stub(provider)).with_widget(widget)
    };
    let list = AccountList::new(account("main", &ACME)).with_fallback([account("spare", &OTHER)]);
    Guard::builder_for(Selection::new(list).with_offer_keys(keys))
        .build(RoutePolicy::fail_closed(route.to_owned()))
        .unwrap()
}

/// Returns the median time of one call in nanoseconds, and its allocations.
fn measure(n: usize, mut call: impl FnMut()) -> (f64, usize) {
    call();
    let region = Region::new(ALLOCATOR);
    call();
    let allocations = region.change().allocations;
    let round = |_| {
        let begin = Instant::now();
        for _ in 0..n {
            call();
        }
        begin.elapsed().as_nanos() as f64 / n as f64
    };
    (median((0..ROUNDS).map(round).collect()), allocations)
}

/// Makes a decision about a request with a token, and an offer if there is one.
fn decide(runtime: &Runtime, guard: &Guard, offer: Option<&str>) {
    let snapshot = guard.snapshot();
    let fields = snapshot.fields();
    let mut found = SubmittedTokens::none();
    found.push(fields.find("acme-response").unwrap(), "token");
    if let Some(offer) = offer {
        found.push(fields.find("human-check-offer").unwrap(), offer);
    }
    let decision = runtime.block_on(snapshot.inspect(&Head).with_tokens(found).decide());
    assert!(decision.result().is_ok());
}

fn main() {
    let n = std::env::args()
        .nth(1)
        .map_or(10_000, |n| n.parse().unwrap());
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let here = guard("signup", keys(0));
    let print = |name: &str, (nanos, allocations): (f64, usize), without: f64| {
        println!("{name} {nanos:.0} {:.0} {allocations}", nanos - without);
    };
    print(
        "select",
        measure(n, || drop(black_box(here.select(&Head)))),
        0.0,
    );
    let html = || drop(black_box(here.select(&Head).html()));
    print("select-and-html", measure(n, html), 0.0);
    let without = measure(n, || decide(&runtime, &here, None));
    print("decide", without, without.0);
    let valid = here.select(&Head).offer().to_owned();
    let forged = format!(
        "{}{}",
        &valid[..87],
        if valid.ends_with('A') { 'Q' } else { 'A' }
    );
    let offers = [
        ("valid", valid),
        ("forged", forged),
        (
            "foreign-key",
            guard("signup", keys(1)).select(&Head).offer().to_owned(),
        ),
        (
            "other-route",
            guard("login", keys(0)).select(&Head).offer().to_owned(),
        ),
        ("malformed", "?".repeat(88)),
        ("oversized", "A".repeat(16_384)),
    ];
    for (name, offer) in &offers {
        let measured = measure(n, || decide(&runtime, &here, Some(offer)));
        print(name, measured, without.0);
    }
}
