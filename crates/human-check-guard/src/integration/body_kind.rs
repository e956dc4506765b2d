use std::time::Duration;

use crate::BodyLimits;

/// What a body claims to be, by its `Content-Type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`, and every type that ends in `+json`.
    Json,
    /// `multipart/form-data`.
    Multipart,
    /// Anything else, or nothing.
    Unknown,
}

impl BodyKind {
    /// Reads the value of a `Content-Type` header. Its parameters do not matter, nor does case.
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        let suffix = essence
            .len()
            .checked_sub(5)
            .and_then(|at| essence.get(at..));
        if is("application/x-www-form-urlencoded") {
            Self::Form
        } else if is("application/json")
            || suffix.is_some_and(|end| end.eq_ignore_ascii_case("+json"))
        {
            Self::Json
        } else if is("multipart/form-data") {
            Self::Multipart
        } else {
            Self::Unknown
        }
    }

    /// Returns how much of such a body `limits` let through, and for how long.
    pub fn limit(self, limits: BodyLimits) -> BodyLimit {
        match self {
            Self::Multipart => BodyLimit {
                max_bytes: limits.max_upload_bytes,
                timeout: limits.upload_timeout,
            },
            _ => BodyLimit {
                max_bytes: limits.max_body_bytes,
                timeout: limits.body_timeout,
            },
        }
    }
}

/// How much of one body is read, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyLimit {
    /// In bytes as they travel.
    pub max_bytes: usize,
    /// From the first byte that is waited for to the last.
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_case_and_space_do_not_matter_and_a_look_alike_is_unknown() {
        for (text, kind) in [
            (
                "application/x-www-form-urlencoded; charset=utf-8",
                BodyKind::Form,
            ),
            ("APPLICATION/JSON", BodyKind::Json),
            (" application/vnd.api+json ;v=1", BodyKind::Json),
            ("multipart/form-data; boundary=x", BodyKind::Multipart),
            ("", BodyKind::Unknown),
            ("text/plain", BodyKind::Unknown),
            ("application/jsonp", BodyKind::Unknown),
            ("application/json5", BodyKind::Unknown),
            ("\u{fc}\u{fc}\u{fc}json", BodyKind::Unknown),
        ] {
            assert_eq!(BodyKind::of(text), kind, "{text}");
        }
    }
}
