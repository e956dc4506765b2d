use std::fmt;

/// The path of a key in a configuration, such as `providers.old.secret`, in parts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct KeyPath(Vec<String>);

impl KeyPath {
    /// Returns the path of `key` in the table at this path.
    pub(crate) fn join(&self, key: impl Into<String>) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.into());
        Self(parts)
    }

    /// Creates the path of `[providers.NAME]`.
    pub(crate) fn provider(name: &str) -> Self {
        Self(vec!["providers".to_owned(), name.to_owned()])
    }

    /// Creates the path of `[routes.NAME]`.
    pub(crate) fn route(name: &str) -> Self {
        Self(vec!["routes".to_owned(), name.to_owned()])
    }

    /// Creates the path of a key of `[site]`.
    pub(crate) fn site(key: &str) -> Self {
        Self(vec!["site".to_owned(), key.to_owned()])
    }

    /// Returns the names of the tables and of the key.
    pub(crate) fn parts(&self) -> &[String] {
        &self.0
    }
}

/// Splits a literal of this crate at its dots.
impl From<&'static str> for KeyPath {
    fn from(path: &'static str) -> Self {
        Self(path.split('.').map(str::to_owned).collect())
    }
}

impl FromIterator<String> for KeyPath {
    fn from_iter<I: IntoIterator<Item = String>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl From<&serde_path_to_error::Path> for KeyPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;

        let parts = path.iter().filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Seq { .. } | Segment::Unknown => None,
        });
        parts.collect()
    }
}

/// Prints the path as a TOML file writes it: a part that is not a bare key is in quotes.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            match !part.is_empty() && part.bytes().all(bare) {
                true => f.write_str(part)?,
                false => write!(f, "{part:?}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_a_file_writes_it() {
        assert_eq!(KeyPath::from("check.use").to_string(), "check.use");
        let any = KeyPath::route("*").join("action");
        assert_eq!(any.to_string(), "routes.\"*\".action");
        assert_eq!(KeyPath::route("a.b").to_string(), "routes.\"a.b\"");
    }
}
