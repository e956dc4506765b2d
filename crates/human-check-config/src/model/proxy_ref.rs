use serde::Deserialize;
use serde::de::Deserializer;

use super::SecretRef;

/// The URL of a proxy, or a reference to it where it holds a password.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(untagged))]
pub(crate) enum ProxyRef {
    /// The URL itself.
    Url(String),
    /// The place of the URL.
    Place(SecretRef),
}

impl<'de> Deserialize<'de> for ProxyRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // No error of the parser shows the text, which may hold a password.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(url) => Ok(Self::Url(url)),
            place => SecretRef::deserialize(place)
                .map(Self::Place)
                .map_err(serde::de::Error::custom),
        }
    }
}
