//! Durations as a configuration writes them: `"3s"`, `"250ms"`, `"10m"`.

use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

/// The remedy of every error about a duration.
const REMEDY: &str = "write a number with its unit, such as \"3s\", \"250ms\" or \"10m\"";

/// Reads an optional key, for `#[serde(deserialize_with = …)]`.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(Written).map(Some)
}

/// Reads a required key, for `#[serde(deserialize_with = …)]`.
pub(crate) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Written)
}

/// Reads a text with a unit, and refuses a number without one.
struct Written;

impl Visitor<'_> for Written {
    type Value = Duration;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a duration such as \"3s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        let parsed = text.parse::<jiff::SignedDuration>().ok();
        let positive = parsed.and_then(|parsed| Duration::try_from(parsed).ok());
        positive.ok_or_else(|| E::custom(format!("is not a duration; {REMEDY}")))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Duration, E> {
        Err(E::custom(format!("has no unit; {REMEDY}")))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Duration, E> {
        Err(E::custom(format!("has no unit; {REMEDY}")))
    }
}

/// Returns a duration as a file would write it: in whole seconds, or in milliseconds.
pub(crate) fn shown(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Table {
        #[serde(default, deserialize_with = "optional")]
        timeout: Option<Duration>,
    }

    fn read(text: &str) -> Result<Option<Duration>, String> {
        let table: Result<Table, _> = toml::from_str(text);
        table
            .map(|table| table.timeout)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_negative() {
        for (text, millis) in [
            ("timeout = \"3s\"", 3_000),
            ("timeout = \"250ms\"", 250),
            ("timeout = \"1m 30s\"", 90_000),
            ("timeout = \"2h\"", 7_200_000),
        ] {
            assert_eq!(
                read(text),
                Ok(Some(Duration::from_millis(millis))),
                "{text}"
            );
        }
        assert_eq!(read(""), Ok(None));
        for text in [
            "timeout = 3",
            "timeout = 2.5",
            "timeout = \"3\"",
            "timeout = \"-3s\"",
            "timeout = \"soon\"",
            "timeout = true",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("such as \"3s\""), "{text}: {error}");
        }
    }

    #[test]
    fn a_time_is_shown_as_it_would_be_written() {
        assert_eq!(shown(Duration::from_secs(300)), "300s");
        assert_eq!(shown(Duration::from_millis(1_500)), "1500ms");
    }
}
