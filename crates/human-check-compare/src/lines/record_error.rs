use std::borrow::Cow;
use std::fmt;

/// The error of a line that is not a record.
///
/// It says what is wrong and what to write instead, and repeats no text of the line.
///
/// ```
/// use human_check_compare::Record;
///
/// let error = Record::from_json(b"not json").unwrap_err();
/// assert_eq!(error.remedy(), "write one JSON object a line");
/// ```
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

    /// Creates an error about one member.
    pub(crate) fn about(member: &str, problem: &str, remedy: &'static str) -> Self {
        Self {
            problem: Cow::Owned(format!("`{member}` {problem}")),
            remedy,
        }
    }

    /// Creates the error of a line that could not be parsed. It repeats no text of the line.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let column = error.column();
        // After these prefixes the name in back quotes is a member that this crate knows. After
        // `unknown field` it is a text of the line.
        let known = |prefix: &str| {
            let rest = message.strip_prefix(prefix)?;
            rest.split('`').next()
        };
        let (problem, remedy) = if let Some(name) = known("missing field `") {
            (format!("`{name}` is missing"), "add it")
        } else if let Some(name) = known("duplicate field `") {
            (format!("`{name}` occurs twice"), "write it once")
        } else if message.starts_with("unknown field") {
            (
                format!("has an unknown member before column {column}"),
                "leave it out",
            )
        } else if message.starts_with("invalid") && error.is_data() {
            (
                format!("has a value of the wrong type before column {column}"),
                "write the type that the documentation shows",
            )
        } else {
            (
                format!("is not JSON from column {column} on"),
                "write one JSON object a line",
            )
        };
        Self {
            problem: Cow::Owned(problem),
            remedy,
        }
    }

    /// Returns what is wrong with the line.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Returns what to write instead.
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
