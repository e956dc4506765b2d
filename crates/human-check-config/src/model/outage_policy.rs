use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// What a route does with a request without a verdict.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename_all = "kebab-case"))]
pub(crate) enum OutagePolicy {
    /// It refuses the request.
    #[default]
    FailClosed,
    /// It lets a request with a well-formed token reach the handler, unverified.
    FailOpen,
}

impl<'de> Deserialize<'de> for OutagePolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "fail-closed" => Ok(Self::FailClosed),
            "fail-open" => Ok(Self::FailOpen),
            _ => Err(D::Error::custom(
                "is not one of its values; write \"fail-closed\" or \"fail-open\"",
            )),
        }
    }
}
