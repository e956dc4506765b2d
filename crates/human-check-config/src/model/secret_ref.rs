use std::fmt;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

/// A reference to a secret. It never holds the secret itself.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename_all = "lowercase"))]
pub(crate) enum SecretRef {
    /// The name of the environment variable that holds the secret.
    Env(String),
    /// The path of the file that holds the secret and nothing else.
    File(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {path:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not derived, so that no error can show a secret that was written in the wrong place.
        struct Reference;

        impl<'de> Visitor<'de> for Reference {
            type Value = SecretRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"{ env = "NAME" } or { file = "/path" }"#)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<SecretRef, E> {
                Err(E::custom(
                    r#"holds the secret itself; write { env = "NAME" } or { file = "/path" }"#,
                ))
            }

            // A secret of digits without quotes is a number in TOML.
            fn visit_i64<E: Error>(self, _: i64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretRef, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Table {
                    env: Option<String>,
                    file: Option<String>,
                }
                match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table {
                        env: Some(name),
                        file: None,
                    } => Ok(SecretRef::Env(name)),
                    Table {
                        env: None,
                        file: Some(path),
                    } => Ok(SecretRef::File(path)),
                    _ => Err(A::Error::custom(
                        r#"must have exactly one of env and file; write { env = "NAME" } or { file = "/path" }"#,
                    )),
                }
            }
        }

        deserializer.deserialize_any(Reference)
    }
}
