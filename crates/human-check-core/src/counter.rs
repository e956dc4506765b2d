/// Counts one of `$name` where the feature `metrics` is on. Labels are of fixed, small sets: names
/// of providers, which come from configuration, and words of ours.
macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)* $(,)?) => {{
        #[cfg(feature = "metrics")]
        metrics::counter!($name $(, $label => $value.to_owned())*).increment(1);
        #[cfg(not(feature = "metrics"))]
        { $(let _ = &$value;)* }
    }};
}

pub(crate) use count;
