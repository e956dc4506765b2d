use serde::de::Deserialize;

use super::unrepeating::{Unrepeated, Unrepeating};

/// The error of a reply that cannot be read.
///
/// It states the position, and never the text at the position, which may be the token.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{problem} at line {line}, column {column}")]
pub struct Malformed {
    problem: &'static str,
    line: usize,
    column: usize,
}

impl Malformed {
    /// Creates an error that concerns the whole reply.
    pub(super) fn whole(problem: &'static str) -> Self {
        Self {
            problem,
            line: 1,
            column: 1,
        }
    }
}

/// Reads a body that is exactly one JSON object.
///
/// ```
/// use human_check_http::adapter::json;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Reply {
///     success: bool,
/// }
///
/// assert!(json::object::<Reply>(br#"{"success":true}"#).unwrap().success);
/// assert!(json::object::<Reply>(br#"{"success":false,"success":true}"#).is_err());
/// ```
///
/// The names of a map are texts, and a `RawValue` cannot be read.
///
/// # Errors
///
/// [`Malformed`] if `body` is not valid UTF-8, is not exactly one JSON object, has a member twice,
/// or does not fit `T`.
pub fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::whole("not UTF-8"))?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Malformed::whole("not a JSON object"));
    }
    let locate = |problem| {
        move |error: serde_json::Error| Malformed {
            problem,
            line: error.line(),
            column: error.column(),
        }
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = T::deserialize(Unrepeating(&mut reader));
    read.and_then(|object| reader.end().map(|()| object))
        .map_err(|error| match serde_json::from_str::<Unrepeated>(text) {
            Err(error) if error.is_data() => locate("a repeated member")(error),
            Err(error) => locate("broken JSON")(error),
            Ok(Unrepeated) => locate("a member of the wrong type")(error),
        })
}
