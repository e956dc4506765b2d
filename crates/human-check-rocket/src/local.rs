use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use human_check_guard::integration::{
    Decision, FromDecision, GuardedRequest, SubmittedTokens, scan,
};
use human_check_guard::{Guard, Rejection};
use rocket::Request;
use tokio::sync::OnceCell;

use crate::{Head, Human, MaybeHuman};

/// The state of one request, which all its guards share.
///
/// Rocket's cache holds one value of each type for a request. So the values that differ by guard
/// are in `decisions`.
#[derive(Default)]
pub(crate) struct Local {
    /// The guard of the wrapped route that is running.
    nearest: Mutex<Option<Guard>>,
    refusal: Mutex<Option<Rejection>>,
    /// The cookie that a decision issues.
    cookie: Mutex<Option<String>>,
    decisions: Decisions,
}

/// The decisions, one for each guard. The list is only appended to, so that references to its
/// entries live as long as the request.
#[derive(Default)]
struct Decisions(OnceLock<Box<GuardDecision>>);

struct GuardDecision {
    guard: Guard,
    by_header: OnceCell<Decision>,
    by_query: OnceCell<Decision>,
    human: OnceLock<Human>,
    maybe_human: OnceLock<MaybeHuman>,
    next: Decisions,
}

impl Decisions {
    /// Returns the entry of a guard, if there is one.
    fn find(&self, guard: &Guard) -> Option<&GuardDecision> {
        let decision = self.0.get()?;
        match decision.guard.ptr_eq(guard) {
            true => Some(decision),
            false => decision.next.find(guard),
        }
    }

    /// Returns the entry of a guard, and appends it if it is missing.
    fn of(&self, guard: &Guard) -> &GuardDecision {
        let decision = self.0.get_or_init(|| {
            Box::new(GuardDecision {
                guard: guard.clone(),
                by_header: OnceCell::new(),
                by_query: OnceCell::new(),
                human: OnceLock::new(),
                maybe_human: OnceLock::new(),
                next: Self::default(),
            })
        });
        match decision.guard.ptr_eq(guard) {
            true => decision,
            false => decision.next.of(guard),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    /// Returns the state of a request.
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    /// Returns the guard for this request: of the wrapped route that is running, or else the
    /// managed one.
    pub(crate) fn guard(request: &Request<'_>) -> Option<Guard> {
        let nearest = lock(&Self::of(request).nearest).clone();
        nearest.or_else(|| request.rocket().state::<Guard>().map(Guard::snapshot))
    }

    /// Sets the nearest guard, and returns the one before it. A route must restore that when its
    /// handler has returned, because the handler may forward the request to a route with another
    /// guard.
    pub(crate) fn enter(&self, guard: Option<Guard>) -> Option<Guard> {
        std::mem::replace(&mut lock(&self.nearest), guard)
    }

    /// Keeps a refusal for the catcher that responds to it. Rocket passes only the status to a
    /// catcher.
    pub(crate) fn set_refusal(&self, refused: Rejection) {
        *lock(&self.refusal) = Some(refused);
    }

    /// Keeps the cookie that a decision issues, for the fairing.
    pub(crate) fn keep_cookie(&self, decision: &Decision) {
        if let Some(cookie) = decision.set_cookie() {
            *lock(&self.cookie) = Some(cookie.to_owned());
        }
    }

    /// Takes the cookie that a decision issued.
    pub(crate) fn take_cookie(&self) -> Option<String> {
        lock(&self.cookie).take()
    }

    /// Returns the last refusal.
    pub(crate) fn refusal(&self) -> Option<Rejection> {
        lock(&self.refusal).clone()
    }

    /// Returns the decision by the token in the header. Each guard decides once.
    pub(crate) async fn by_header<'r>(request: &'r Request<'_>, guard: &Guard) -> &'r Decision {
        let decision = Self::of(request).decisions.of(guard);
        let decide = || {
            guard
                .inspect(&Head(request))
                .with_tokens(SubmittedTokens::none())
                .decide()
        };
        let decision = decision.by_header.get_or_init(decide).await;
        Self::of(request).keep_cookie(decision);
        decision
    }

    /// Returns the decision by the token in the query. Each guard decides once, also when a route
    /// forwards the request to another one.
    pub(crate) async fn by_query<'r>(
        request: &'r Request<'_>,
        guarded: GuardedRequest,
    ) -> &'r Decision {
        let guard = guarded.guard().clone();
        let decide = async {
            let query = request.uri().query().map_or("", |query| query.as_str());
            let tokens = scan::form(guard.fields(), query.as_bytes());
            guarded.decide(tokens, Self::earlier(request, &guard)).await
        };
        let decision = Self::of(request).decisions.of(&guard);
        let decision = decision.by_query.get_or_init(|| decide).await;
        Self::of(request).keep_cookie(decision);
        decision
    }

    /// Returns the decision by the token in the header, if this guard has made it already.
    pub(crate) fn earlier<'r>(request: &'r Request<'_>, guard: &Guard) -> Option<&'r Decision> {
        Self::of(request).decisions.find(guard)?.by_header.get()
    }
}

/// A proof that a handler takes by reference, so that it is stored with the request.
pub(crate) trait CachedProof: FromDecision {
    /// Returns the cell that stores the proof.
    fn cell<'r>(request: &'r Request<'_>, guard: &Guard) -> &'r OnceLock<Self>;
}

macro_rules! cached_proofs {
    ($($proof:ident: $cell:ident)*) => {$(
        impl CachedProof for $proof {
            fn cell<'r>(request: &'r Request<'_>, guard: &Guard) -> &'r OnceLock<Self> {
                &Local::of(request).decisions.of(guard).$cell
            }
        }
    )*};
}

cached_proofs!(Human: human MaybeHuman: maybe_human);
