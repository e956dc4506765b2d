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

pub(crate) use count;
