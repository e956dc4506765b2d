/// Counts an event. Does nothing without the feature `metrics`.
///
/// The values of labels are names of the operator or of this crate, so the number of time series stays
/// bounded.
macro_rules! count {
    ($name:literal, $($label:literal => $value:expr),* $(,)?) => {{
        #[cfg(feature = "metrics")]
        metrics::counter!($name, $($label => String::from($value)),*).increment(1);
        #[cfg(not(feature = "metrics"))]
        { $(let _ = $value;)* }
    }};
}

/// Sets a gauge. Does nothing without the feature `metrics`.
macro_rules! set {
    ($name:literal, $number:expr, $($label:literal => $value:expr),* $(,)?) => {{
        #[cfg(feature = "metrics")]
        metrics::gauge!($name, $($label => String::from($value)),*).set($number);
        #[cfg(not(feature = "metrics"))]
        { let _: f64 = $number; $(let _ = $value;)* }
    }};
}

pub(crate) use {count, set};
