use std::borrow::Cow;
use std::fmt;

/// A line that is no record.
///
/// Says what is wrong and what to write instead, without the text that is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordError {
    problem: Cow<'static, str>,
    remedy: &'static str,
}

impl RecordError {
    pub(crate) fn new(problem: &'static str, remedy: &'static str) -> Self {
        Self {
            problem: Cow::Borrowed(problem),
            remedy,
        }
    }

    /// What is wrong with a line that was to be JSON of a given shape, without its texts.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let column = error.column();
        // Names in back quotes are ours after these, and the line's after `unknown field`.
        let known = |prefix: &str| {
            let rest = message.strip_prefix(prefix)?;
            rest.split('`').next()
        };
        let (problem, remedy) = if let Some(name) = known("missing field `") {
            (format!("`{name}` is missing"), "add it")
        } else if let Some(name) = known("duplicate field `") {
            (format!("`{name}` is there twice"), "write it once")
        } else if message.starts_with("unknown field") {
            (
                format!("an unknown member stands before column {column}"),
                "leave it out",
            )
        } else if message.starts_with("invalid") && error.is_data() {
            (
                format!("a value before column {column} has the wrong type"),
                "write the type that the documentation shows",
            )
        } else {
            (
                format!("is no JSON from column {column} on"),
                "write one JSON object a line",
            )
        };
        Self {
            problem: Cow::Owned(problem),
            remedy,
        }
    }

    /// What is wrong.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to write instead.
    pub fn remedy(&self) -> &str {
        self.remedy
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for RecordError {}
