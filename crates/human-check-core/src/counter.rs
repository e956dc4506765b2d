/// Adds one to the counter `$name`. Does nothing without the feature `metrics`.
///
/// The values of labels come from small, fixed sets: names of providers, which the configuration
/// sets, and names that this crate defines. So the number of time series stays bounded.
macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)* $(,)?) => {{
        #[cfg(feature = "metrics")]
        metrics::counter!($name $(, $label => $value.to_owned())*).increment(1);
        #[cfg(not(feature = "metrics"))]
        { $(let _ = &$value;)* }
    }};
}

/// Adds a value to the histogram `$name`. Does nothing without the feature `metrics`.
macro_rules! record {
    ($name:literal, $value:expr $(, $label:literal => $text:expr)* $(,)?) => {{
        #[cfg(feature = "metrics")]
        metrics::histogram!($name $(, $label => $text.to_owned())*).record($value);
        #[cfg(not(feature = "metrics"))]
        { let _ = $value; $(let _ = &$text;)* }
    }};
}

/// Sets the gauge `$name`. Does nothing without the feature `metrics`.
macro_rules! set {
    ($name:literal, $value:expr $(, $label:literal => $text:expr)* $(,)?) => {{
        #[cfg(feature = "metrics")]
        metrics::gauge!($name $(, $label => $text.to_owned())*).set($value);
        #[cfg(not(feature = "metrics"))]
        { let _: f64 = $value; $(let _ = &$text;)* }
    }};
}

pub(crate) use {count, record, set};
