use std::fmt::Debug;
use std::time::Duration;

/// One decision of a guard. Every field but the elapsed time is of a fixed, small set.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DecisionEvent<'a> {
    /// The name of the route's policy.
    pub route: &'a str,
    /// `human`, `not-challenged`, `failed-open`, `failed-open-declined`, `observed`, or the name of a
    /// [`DenialReason`](crate::DenialReason).
    pub decision: &'static str,
    /// Whose verdict or trouble it is. Empty when nobody was asked.
    pub provider: &'a str,
    /// Why, by the check's own names. Empty when there is nothing to add.
    pub reason: &'static str,
    /// From the complete request to the decision.
    pub elapsed: Duration,
}

/// Is told of every decision, for metrics that do not come through `tracing`.
///
/// It is called on the request's own task and must not block.
pub trait Observer: Debug + Send + Sync + 'static {
    /// One decision was made.
    fn on_decision(&self, event: &DecisionEvent<'_>);
}

/// Counts decisions through the `metrics` facade: `human_check_decisions_total{route,decision}`
/// and the histogram `human_check_decision_duration_seconds{route,decision}`.
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

    /// Writes down what is registered.
    #[derive(Default)]
    struct Written(Mutex<Vec<String>>);

    impl Written {
        fn add(&self, key: &Key) {
            let labels = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()));
            let labels = labels.collect::<Vec<_>>().join(",");
            let mut written = self.0.lock().expect("no test panicked");
            written.push(format!("{}{{{labels}}}", key.name()));
        }
    }

    impl Recorder for Written {
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
        let written = Written::default();
        metrics::with_local_recorder(&written, || {
            MetricsObserver.on_decision(&DecisionEvent {
                route: "signup",
                decision: "human",
                provider: "turnstile",
                reason: "",
                elapsed: Duration::from_millis(40),
            });
        });
        assert_eq!(
            *written.0.lock().unwrap(),
            [
                "human_check_decisions_total{route=signup,decision=human}",
                "human_check_decision_duration_seconds{route=signup,decision=human}",
            ]
        );
    }
}
