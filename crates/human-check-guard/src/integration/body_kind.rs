use std::time::Duration;

use crate::BodyLimits;

/// The kind of a body, by its `Content-Type`.
///
/// ```
/// use human_check_guard::BodyLimits;
/// use human_check_guard::integration::BodyKind;
///
/// let kind = BodyKind::of("application/x-www-form-urlencoded; charset=utf-8");
/// assert_eq!(kind, BodyKind::Form);
/// assert_eq!(kind.limit(BodyLimits::default()).max_bytes, 65_536);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BodyKind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`, and every type that ends in `+json`.
    Json,
    /// `multipart/form-data`.
    Multipart,
    /// Any other type, or no `Content-Type`.
    Unknown,
}

impl BodyKind {
    /// Returns the kind for the value of a `Content-Type` header. Parameters, case and surrounding
    /// spaces do not matter.
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

    /// Returns the limit for a body of this kind: the upload limits for
    /// [`Multipart`](Self::Multipart), and the body limits for all other kinds.
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

/// The limit on one body: its size, and the time for reading it.
///
/// [`BodyKind::limit`] selects it from the [`BodyLimits`] of a guard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BodyLimit {
    /// The largest body, in bytes as transferred (before decompression).
    pub max_bytes: usize,
    /// The time from the beginning of reading to the last byte.
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
