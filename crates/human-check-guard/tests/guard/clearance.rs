//! Clearances: a human verdict of one route that counts on another.

use std::sync::Arc;
use std::time::Duration;

use human_check_core::adapter::async_trait;
use human_check_core::{Provider, Secret};
use human_check_guard::integration::{Decision, SubmittedTokens};
use human_check_guard::{
    Account, AccountList, AttemptKey, AttemptStore, AttemptStoreError, Guard, Human,
    MemoryAttemptStore, OfferKeys, RequestHead, RoutePolicy, Selection, Visitor,
};
use human_check_testkit::{ManualClock, Scripted};

use crate::support::Head;

static A: Provider = Provider::new("a", &["a-response"]);

const TTL: Duration = Duration::from_secs(600);

/// The guards of the routes `signup`, which issues clearances, and `comment`, which accepts them.
struct Site {
    clock: ManualClock,
    signup: Guard,
    comment: Guard,
}

fn site(attempts: impl AttemptStore) -> Site {
    let clock = ManualClock::starting_now();
    let account = Account::new("a", Scripted::human().with_provider(&A));
    let key = Secret::new("0123456789abcdef0123456789abcdef").unwrap();
    let selection = Selection::new(AccountList::new(account))
        .with_offer_keys(OfferKeys::new([key]).unwrap())
        .with_clock(clock.clone());
    let signup = Guard::builder_for(selection)
        .with_attempt_store(attempts)
        .with_session(|head| {
            let mut session = None;
            head.header("x-session", &mut |line| {
                session = String::from_utf8(line.to_vec()).ok();
            });
            session
        })
        .build(RoutePolicy::fail_closed("signup").with_issued_clearance(TTL))
        .unwrap();
    let accepting =
        RoutePolicy::fail_closed("comment").with_accepted_clearance(["signup"], TTL, 20);
    let comment = signup.with_policy(accepting).unwrap();
    Site {
        clock,
        signup,
        comment,
    }
}

async fn decide(guard: &Guard, head: &dyn RequestHead, token: Option<&str>) -> Decision {
    let mut tokens = SubmittedTokens::none();
    if let Some(token) = token {
        tokens.push(guard.fields().find("a-response").unwrap(), token);
    }
    guard.inspect(head).with_tokens(tokens).decide().await
}

impl Site {
    /// Passes the check on `signup`, and returns the cookie that the response sets.
    async fn cookie(&self, head: &Head) -> String {
        let decision = decide(&self.signup, head, Some("t")).await;
        let cookie = decision.set_cookie().unwrap().to_owned();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(
            attributes,
            " Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax"
        );
        assert!(pair.starts_with("__Host-"));
        pair.to_owned()
    }
}

fn is_cleared(decision: &Decision) -> bool {
    decision
        .result()
        .is_ok_and(|visitor| visitor.cleared().is_some())
}

#[tokio::test]
async fn it_counts_for_so_many_requests_and_is_never_a_human() {
    let site = site(MemoryAttemptStore::new(100));
    let head = Head::new().with("cookie", site.cookie(&Head::new()).await);
    let requests = (0..30).map(|_| decide(&site.comment, &head, None));
    let decisions = futures_util::future::join_all(requests).await;
    assert_eq!(
        decisions
            .iter()
            .filter(|decision| is_cleared(decision))
            .count(),
        20
    );
    for decision in decisions {
        let human: Result<Human, _> = decision.require();
        let refused = human.unwrap_err();
        assert_eq!(refused.response().status, 403);
        assert!(refused.response().body.contains("#challenge-required"));
    }
    // A token is verified, whatever the clearance.
    let judged = decide(&site.comment, &head, Some("t")).await;
    assert!(
        judged
            .result()
            .is_ok_and(|visitor| visitor.human().is_some())
    );
}

#[tokio::test]
async fn it_ends_with_its_time_and_holds_in_its_session_only() {
    let site = site(MemoryAttemptStore::new(100));
    let ada = Head::new().with("x-session", "ada");
    let cookie = site.cookie(&ada).await;
    let with = |head: &Head| head.clone().with("cookie", cookie.clone());
    assert!(is_cleared(&decide(&site.comment, &with(&ada), None).await));
    let others = [Head::new(), Head::new().with("x-session", "eve")];
    for other in others {
        assert!(!is_cleared(
            &decide(&site.comment, &with(&other), None).await
        ));
    }
    site.clock.advance(TTL);
    assert!(!is_cleared(&decide(&site.comment, &with(&ada), None).await));
}

#[tokio::test]
async fn it_counts_where_the_route_names_the_one_that_issued_it() {
    let site = site(MemoryAttemptStore::new(100));
    let head = Head::new().with("cookie", site.cookie(&Head::new()).await);
    for policy in [
        RoutePolicy::fail_closed("vote"),
        RoutePolicy::fail_closed("vote").with_accepted_clearance(["login"], TTL, 20),
    ] {
        let vote = site.signup.with_policy(policy).unwrap();
        let visitor: Result<Visitor, _> = decide(&vote, &head, None).await.require();
        assert!(visitor.is_err());
    }
    // Nor does the route that issues it accept it.
    assert!(!is_cleared(&decide(&site.signup, &head, None).await));
}

#[tokio::test]
async fn it_is_issued_after_a_human_verdict_only() {
    let site = site(MemoryAttemptStore::new(100));
    assert!(
        decide(&site.signup, &Head::new(), None)
            .await
            .set_cookie()
            .is_none()
    );
    let head = Head::new().with("cookie", site.cookie(&Head::new()).await);
    let cleared = decide(&site.comment, &head, None).await;
    assert!(is_cleared(&cleared) && cleared.set_cookie().is_none());
}

#[tokio::test]
async fn an_offer_is_no_clearance_and_a_clearance_no_offer() {
    let site = site(MemoryAttemptStore::new(100));
    let cookie = site.cookie(&Head::new()).await;
    let (name, clearance) = cookie.split_once('=').unwrap();
    let offer = site.signup.select(&Head::new()).offer().to_owned();
    let head = Head::new().with("cookie", format!("{name}={offer}"));
    assert!(!is_cleared(&decide(&site.comment, &head, None).await));
    let head = Head::new().with("x-captcha-offer", clearance);
    assert!(!is_cleared(&decide(&site.comment, &head, None).await));
}

/// A store whose server is down.
#[derive(Debug)]
struct Down;

#[async_trait]
impl AttemptStore for Down {
    async fn add(&self, _: &AttemptKey, _: Duration) -> Result<u32, AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }

    async fn count(&self, _: &AttemptKey) -> Result<u32, AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }

    async fn clear(&self, _: &AttemptKey) -> Result<(), AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }
}

#[tokio::test]
async fn it_counts_not_at_all_while_the_store_fails_or_is_full() {
    let stores: [Arc<dyn AttemptStore>; 2] = [Arc::new(Down), Arc::new(MemoryAttemptStore::new(0))];
    for store in stores {
        let site = site(store);
        let head = Head::new().with("cookie", site.cookie(&Head::new()).await);
        assert!(!is_cleared(&decide(&site.comment, &head, None).await));
    }
}
