use std::fmt::Debug;
use std::time::Duration;

/// One decision of a guard, as an [`Observer`] receives it.
///
/// All fields except `elapsed` have few, fixed values, so that they are fit for metric labels. No
/// field holds a token or another text of the client.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DecisionEvent<'a> {
    /// The name of the route's policy.
    pub route: &'a str,
    /// `human`, `cleared`, `not-challenged`, `failed-open`, `failed-open-declined`, `observed`, or the name of
    /// a [`DenialReason`](crate::DenialReason).
    pub decision: &'static str,
    /// The name of the provider whose verdict or error led to the decision. Empty if no provider
    /// was involved.
    pub provider: &'a str,
    /// The exact reason of a refusal or an error, for example `expired`. Empty if `decision` says
    /// all.
    pub reason: &'static str,
    /// The name of the account that judged, or that the response shows. Empty if there is none.
    pub account: &'a str,
    /// Why that account was selected: `primary`, `fallback`, `step-up`, `arm` or `widget-failure`.
    /// Empty if there is none.
    pub why: &'static str,
    /// The time from the head of the request to the decision.
    pub elapsed: Duration,
}

/// Receives every decision of a guard, for metrics systems that read neither `tracing` events nor
/// the `metrics` facade.
///
/// Add it with [`GuardBuilder::with_observer`](crate::GuardBuilder::with_observer). The guard also
/// emits a `tracing` event for each decision, with the target `human_check_guard`.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use human_check_guard::{DecisionEvent, Guard, Observer, RoutePolicy};
///
/// #[derive(Debug, Default)]
/// struct FailedOpen(AtomicU64);
///
/// impl Observer for FailedOpen {
///     fn on_decision(&self, event: &DecisionEvent<'_>) {
///         if event.decision == "failed-open" {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let guard = Guard::builder(turnstile)
///     .with_observer(FailedOpen::default())
///     .build(RoutePolicy::fail_open("newsletter"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub trait Observer: Debug + Send + Sync + 'static {
    /// Called once for each decision, on the task of the request. It must not block.
    fn on_decision(&self, event: &DecisionEvent<'_>);
}
