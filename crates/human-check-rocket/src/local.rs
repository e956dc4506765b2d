use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use human_check_guard::integration::{Decision, FromDecision, SubmittedTokens};
use human_check_guard::{Guard, Rejection};
use rocket::Request;
use tokio::sync::OnceCell;

use crate::{Head, Human, MaybeHuman};

/// What is known of one request, however many guards look at it.
///
/// Rocket keeps one value per type for each request, so what differs by guard is inside.
#[derive(Default)]
pub(crate) struct Local {
    /// The guard of the wrapped route that is running.
    nearest: Mutex<Option<Guard>>,
    refused: Mutex<Option<Rejection>>,
    decisions: Decisions,
}

/// Decisions by guard. Only ever appended to, so that references last as long as the request.
#[derive(Default)]
struct Decisions(OnceLock<Box<GuardDecision>>);

struct GuardDecision {
    guard: Guard,
    by_header: OnceCell<Decision>,
    human: OnceLock<Human>,
    maybe: OnceLock<MaybeHuman>,
    next: Decisions,
}

impl Decisions {
    fn of(&self, guard: &Guard) -> &GuardDecision {
        let decision = self.0.get_or_init(|| {
            Box::new(GuardDecision {
                guard: guard.clone(),
                by_header: OnceCell::new(),
                human: OnceLock::new(),
                maybe: OnceLock::new(),
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
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> &'r Self {
        request.local_cache(Self::default)
    }

    /// The guard for this request: of the wrapped route it is in, else the managed one.
    pub(crate) fn guard(request: &Request<'_>) -> Option<Guard> {
        let nearest = lock(&Self::of(request).nearest).clone();
        nearest.or_else(|| request.rocket().state::<Guard>().map(Guard::snapshot))
    }

    /// Makes `guard` the nearest one, and says which was. A route that forwards must put it back.
    pub(crate) fn enter(&self, guard: Option<Guard>) -> Option<Guard> {
        std::mem::replace(&mut lock(&self.nearest), guard)
    }

    /// Keeps a refusal for the catcher that tokens it, which is told only the status.
    pub(crate) fn remember(&self, refused: Rejection) {
        *lock(&self.refused) = Some(refused);
    }

    /// The last refusal.
    pub(crate) fn refused(&self) -> Option<Rejection> {
        lock(&self.refused).clone()
    }

    /// The decision by the token in the header, made once for each guard.
    pub(crate) async fn by_header<'r>(request: &'r Request<'_>, guard: &Guard) -> &'r Decision {
        let decision = Self::of(request).decisions.of(guard);
        let decide = || {
            guard
                .inspect(&Head(request))
                .with_tokens(SubmittedTokens::none())
                .decide()
        };
        decision.by_header.get_or_init(decide).await
    }

    /// The decision by the header, if one was made.
    pub(crate) fn earlier<'r>(request: &'r Request<'_>, guard: &Guard) -> Option<&'r Decision> {
        Self::of(request).decisions.of(guard).by_header.get()
    }
}

/// What a handler demands by reference.
pub(crate) trait Kept: FromDecision {
    fn kept<'r>(request: &'r Request<'_>, guard: &Guard) -> &'r OnceLock<Self>;
}

macro_rules! kept {
    ($($kept:ident: $place:ident)*) => {$(
        impl Kept for $kept {
            fn kept<'r>(request: &'r Request<'_>, guard: &Guard) -> &'r OnceLock<Self> {
                &Local::of(request).decisions.of(guard).$place
            }
        }
    )*};
}

kept!(Human: human MaybeHuman: maybe);
