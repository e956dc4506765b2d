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
    /// `human`, `not-challenged`, `failed-open`, `failed-open-declined`, `observed`, or the name of
    /// a [`DenialReason`](crate::DenialReason).
    pub decision: &'static str,
    /// The name of the provider whose verdict or error led to the decision. Empty if no provider
    /// was involved.
    pub provider: &'a str,
    /// The exact reason of a refusal or an error, for example `expired`. Empty if `decision` says
    /// all.
    pub reason: &'static str,
    /// The time from the head of the request to the decision.
    pub elapsed: Duration,
}

/// Receives every decision of a guard, for metrics systems that do not read `tracing` events.
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

/// An [`Observer`] that counts decisions through the `metrics` facade.
///
/// It increments the counter `human_check_decisions_total{route,decision}`, and records the
/// histogram `human_check_decision_duration_seconds{route,decision}` in seconds.
///
/// ```
/// use human_check_guard::{Guard, MetricsObserver, RoutePolicy};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let guard = Guard::builder(turnstile)
///     .with_observer(MetricsObserver)
///     .build(RoutePolicy::fail_closed("signup"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsObserver;

#[cfg(feature = "metrics")]
impl Observer for MetricsObserver {
    fn on_decision(&self, event: &DecisionEvent<'_>) {
        let labels = [
            ("route", event.route.to_owned()),
            ("decision", event.decision.to_owned()),
        ];
        metrics::counter!("human_check_decisions_total", &labels).increment(1);
        metrics::histogram!("human_check_decision_duration_seconds", &labels)
            .record(event.elapsed.as_secs_f64());
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use std::sync::Mutex;

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    /// Records the names and labels of the metrics that are registered.
    #[derive(Default)]
    struct Registered(Mutex<Vec<String>>);

    impl Registered {
        fn add(&self, key: &Key) {
            let labels = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()));
            let labels = labels.collect::<Vec<_>>().join(",");
            let mut registered = self.0.lock().expect("no test panicked");
            registered.push(format!("{}{{{labels}}}", key.name()));
        }
    }

    impl Recorder for Registered {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.add(key);
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.add(key);
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.add(key);
            Histogram::noop()
        }
    }

    #[test]
    fn a_decision_is_one_count_and_one_duration_with_few_labels() {
        let registered = Registered::default();
        metrics::with_local_recorder(&registered, || {
            MetricsObserver.on_decision(&DecisionEvent {
                route: "signup",
                decision: "human",
                provider: "turnstile",
                reason: "",
                elapsed: Duration::from_millis(40),
            });
        });
        assert_eq!(
            *registered.0.lock().unwrap(),
            [
                "human_check_decisions_total{route=signup,decision=human}",
                "human_check_decision_duration_seconds{route=signup,decision=human}",
            ]
        );
    }
}
