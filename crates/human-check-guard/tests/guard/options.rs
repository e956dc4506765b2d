//! The endpoint that tells pages which account their visitor meets.

use std::net::IpAddr;
use std::time::Duration;

use human_check_core::{MemoryReplayStore, Provider};
use human_check_guard::{
    AccountList, Guard, GuardResponse, OfferKeys, OptionsEndpoint, RequestHead, RoutePolicy,
    Selection,
};
use serde_json::Value;

use crate::fake_account::Fake;
use crate::support::{Head, token_of};

static A: Provider = Provider::new("a", &["a-response"]);
static B: Provider = Provider::new("b", &["b-response"]);

/// A GET with a query.
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

struct Site {
    a: Fake,
    b: Fake,
    guard: Guard,
    endpoint: OptionsEndpoint,
}

fn site(change: impl FnOnce(Selection) -> Selection) -> Site {
    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let list = AccountList::new(a.account("a")).with_fallback([b.account("b")]);
    let selection = change(Selection::new(list).with_offer_keys(OfferKeys::random()));
    let guard = Guard::builder_for(selection)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let endpoint = OptionsEndpoint::new([guard.clone()])
        .with_origins(["https://shop.example"])
        .unwrap();
    Site {
        a,
        b,
        guard,
        endpoint,
    }
}

impl Site {
    async fn get(&self, query: &str, head: Head) -> GuardResponse {
        self.endpoint.respond(&Get { head, query }).await
    }

    /// Returns the account of the response, and its offer.
    async fn shown(&self, query: &str, head: Head) -> (String, String) {
        let response = self.get(query, head).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let body: Value = serde_json::from_str(&response.body).unwrap();
        let option = &body["captcha"]["options"][0];
        let text = |member: &str| option[member].as_str().unwrap().to_owned();
        (text("provider"), text("offer"))
    }
}

/// Returns the head of a request that a script on a page of the site makes.
fn own_page() -> Head {
    Head::new().with("sec-fetch-site", "same-origin")
}

fn header<'a>(response: &'a GuardResponse, name: &str) -> Option<&'a str> {
    let found = response.headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_ref())
}

#[tokio::test(start_paused = true)]
async fn it_names_the_account_of_the_route_and_no_cache_keeps_it() {
    let site = site(|selection| selection);
    let response = site.get("route=signup", Head::new()).await;
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(site.shown("route=signup", Head::new()).await.0, "a");
    site.a.break_down();
    let _ = token_of(&site.guard, "a-response", "t").await;
    let (account, offer) = site.shown("route=signup", Head::new()).await;
    assert_eq!(account, "b");
    // Another address than that of the request for the options.
    let head = Head {
        peer: Some("2001:db8::7".parse().unwrap()),
        ..Head::new().with("x-captcha-offer", offer)
    };
    let head = head
        .with("x-captcha-provider", "b")
        .with("x-captcha-token", "t");
    assert!(
        site.guard
            .inspect(&head)
            .with_tokens(Default::default())
            .decide()
            .await
            .result()
            .is_ok()
    );
    site.b.break_down();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _ = site
        .guard
        .inspect(&head)
        .with_tokens(Default::default())
        .decide()
        .await;
    assert_eq!(site.get("route=signup", Head::new()).await.status, 503);
    assert_eq!(site.get("route=login", Head::new()).await.status, 404);
    assert_eq!(site.get("", Head::new()).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn it_is_for_pages_of_the_same_origin_and_of_listed_ones() {
    let site = site(|selection| selection);
    let host = || Head::new().with("host", "www.example");
    for (head, status, cors) in [
        (host(), 200, None),
        (host().with("sec-fetch-site", "same-origin"), 200, None),
        (host().with("sec-fetch-site", "cross-site"), 403, None),
        (host().with("sec-fetch-site", "same-site"), 403, None),
        (host().with("origin", "https://www.example"), 200, None),
        (host().with("origin", "https://evil.example"), 403, None),
        (host().with("origin", "null"), 403, None),
        (
            host()
                .with("origin", "https://shop.example")
                .with("sec-fetch-site", "cross-site"),
            200,
            Some("https://shop.example"),
        ),
        (
            host()
                .with("origin", "https://shop.example")
                .with("origin", "https://evil.example"),
            403,
            None,
        ),
    ] {
        let response = site.get("route=signup", head.clone()).await;
        assert_eq!(response.status, status, "{head:?}");
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            cors,
            "{head:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_of_a_failed_widget_counts_only_where_it_is_set_and_five_times_a_minute() {
    let report = "route=signup&failed=a";
    let ignoring = site(|selection| selection);
    for _ in 0..6 {
        assert_eq!(ignoring.shown(report, own_page()).await.0, "a");
    }
    let store = MemoryReplayStore::new(100).with_ttl(Duration::from_secs(900));
    let site = site(|selection| {
        selection
            .with_fallback_on_widget_failure()
            .with_replay_store(store)
    });
    // Only of a page of the site, which an image on another page is not.
    let unstated = [Head::new(), Head::new().with("sec-fetch-site", "none")];
    for head in unstated {
        assert_eq!(site.shown(report, head).await.0, "a");
    }
    // Only of the account that is shown.
    assert_eq!(site.shown("route=signup&failed=b", own_page()).await.0, "a");
    let mut offers = Vec::new();
    for _ in 0..5 {
        let (account, offer) = site.shown(report, own_page()).await;
        assert_eq!(account, "b");
        offers.push(offer);
    }
    assert_eq!(site.shown(report, own_page()).await.0, "a");
    // It marks no account as down.
    assert_eq!(site.shown("route=signup", Head::new()).await.0, "a");
    // Each offer counts once.
    for offer in &offers {
        for passes in [true, false, false] {
            let head = Head::new()
                .with("x-captcha-offer", offer.clone())
                .with("x-captcha-provider", "b")
                .with("x-captcha-token", "t");
            let decision = site
                .guard
                .inspect(&head)
                .with_tokens(Default::default())
                .decide()
                .await;
            assert_eq!(decision.result().is_ok(), passes);
        }
    }
    // Ten an hour for all addresses together.
    let mut more = 0;
    for address in 0..20 {
        let head = Head {
            peer: Some(IpAddr::from([198, 51, 100, address])),
            ..own_page()
        };
        more += usize::from(site.shown(report, head).await.0 == "b");
    }
    assert_eq!(more, 5);
}
