use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use human_check_core::{CheckError, ErrorKind, Provider};

/// A reply of a provider: status, headers and body.
///
/// `Debug` shows neither headers nor body, because some providers repeat the token in the body.
#[derive(Clone)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    /// Creates a reply without headers, for tests.
    ///
    /// ```
    /// use human_check_http::Reply;
    ///
    /// let reply = Reply::new(200, r#"{"success":true}"#);
    /// assert_eq!(reply.status(), 200);
    /// ```
    ///
    /// # Panics
    ///
    /// If `status` is not between 100 and 999.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status has three digits");
        Self::from_parts(status, HeaderMap::new(), body.into())
    }

    /// Creates a reply from what a transport received.
    pub fn from_parts(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// Sets a header. It replaces an earlier one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body as it arrived.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns whether the status is 4xx: the provider rejects the request.
    pub fn is_rejection(&self) -> bool {
        self.status.is_client_error()
    }

    /// Checks that the status allows the body to be read, which 200 and most 4xx do.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] for 408, 421, 425 and 5xx, [`ErrorKind::RateLimited`] for 429,
    /// [`ErrorKind::Protocol`] for every other status, such as a redirect or a 204. A 5xx is an error whatever its body says.
    ///
    /// [`ErrorKind::Protocol`] also for a body in a content encoding, such as `gzip`. Requests do
    /// not ask for one, so a part of the reply is not what it states.
    pub fn check_status(&self, provider: &Provider) -> Result<(), CheckError> {
        let (kind, reason) = match self.status() {
            408 => (ErrorKind::Unavailable, "provider-timeout"),
            // The server asks for the same request once more, on another connection.
            421 | 425 => (ErrorKind::Unavailable, "retry-requested"),
            429 => (ErrorKind::RateLimited, "rate-limited"),
            200 | 400..=499 if self.is_encoded() => (ErrorKind::Protocol, "encoded-reply"),
            200 | 400..=499 => return Ok(()),
            500..=599 => (ErrorKind::Unavailable, "server-error"),
            300..=399 => (ErrorKind::Protocol, "redirect"),
            _ => (ErrorKind::Protocol, "unexpected-status"),
        };
        Err(CheckError::new(kind, provider, reason).with_retry_after(self.retry_after()))
    }

    /// Returns whether a header states a content encoding other than `identity`.
    fn is_encoded(&self) -> bool {
        let mut encodings = self.headers.get_all(header::CONTENT_ENCODING).iter();
        encodings.any(|encoding| {
            let text = encoding.to_str().unwrap_or("unreadable");
            let mut names = text.split(',').map(str::trim);
            names.any(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        })
    }

    /// Returns the wait that the provider requests with `Retry-After`, in seconds or as a date.
    ///
    /// It is at most 24 hours. `None` if the header is missing or cannot be read.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        let wait = match text.trim().parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => http_date(text)?
                .duration_since(SystemTime::now())
                .unwrap_or_default(),
        };
        Some(wait.min(Duration::from_secs(86_400)))
    }

    /// Returns when the reply was made by the provider's clock, in whole seconds. `None` if the header
    /// `Date` is missing or cannot be read.
    pub fn date(&self) -> Option<SystemTime> {
        http_date(self.headers.get(header::DATE)?.to_str().ok()?)
    }
}

/// Parses the date of an HTTP header.
fn http_date(text: &str) -> Option<SystemTime> {
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    SystemTime::try_from(date.timestamp()).ok()
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// Parses a time in the form of RFC 3339, with any fraction of a second and any offset.
///
/// Returns `None` if `text` is not such a time. An adapter treats it like an absent time.
///
/// ```
/// use human_check_http::adapter::timestamp;
/// use std::time::{Duration, SystemTime};
///
/// let time = timestamp("1970-01-01T00:01:00.000Z");
/// assert_eq!(time, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)));
/// assert_eq!(timestamp("soon"), None);
/// ```
pub fn timestamp(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_providers_timestamps_are_read() {
        let base = SystemTime::UNIX_EPOCH + Duration::from_secs(1_741_122_901);
        for text in [
            "2025-03-04T21:15:01Z",
            "2025-03-04T21:15:01.000Z",
            "2025-03-04T21:15:01.000000Z",
            "2025-03-04T21:15:01+00:00",
            "2025-03-04T21:15:01+0000",
            "2025-03-04T23:15:01.000000000+02:00",
        ] {
            assert_eq!(timestamp(text), Some(base), "{text}");
        }
        for bad in [
            "",
            "now",
            "1741122901",
            "2025-03-04",
            "2025-13-04T00:00:00Z",
        ] {
            assert_eq!(timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_status_has_the_class_that_its_standard_gives_it() {
        static ACME: Provider = Provider::new("acme", &[]);
        let class = |status| {
            let checked = Reply::new(status, "").check_status(&ACME);
            checked.map_or_else(|error| error.kind().as_str(), |()| "readable")
        };
        for status in [
            200, 400, 401, 403, 404, 405, 410, 413, 415, 418, 422, 431, 451,
        ] {
            assert_eq!(class(status), "readable", "{status}");
        }
        for status in [
            408, 421, 425, 500, 501, 502, 503, 504, 507, 520, 521, 522, 530, 599,
        ] {
            assert_eq!(class(status), "unavailable", "{status}");
        }
        assert_eq!(class(429), "rate-limited");
        for status in [
            201, 202, 203, 204, 206, 226, 300, 301, 302, 304, 307, 308, 600, 999,
        ] {
            assert_eq!(class(status), "protocol", "{status}");
        }
    }

    #[test]
    fn a_reply_that_states_an_encoding_is_not_read() {
        static ACME: Provider = Provider::new("acme", &[]);
        let kind = |status, encoding: &'static str| {
            let reply = Reply::new(status, r#"{"success":true}"#);
            let encoding = HeaderValue::from_static(encoding);
            let reply = reply.with_header(header::CONTENT_ENCODING, encoding);
            reply.check_status(&ACME).err().map(|error| error.kind())
        };
        for encoding in [
            "gzip",
            "br",
            "deflate",
            "zstd",
            "GZIP",
            "identity, gzip",
            "x-unknown",
        ] {
            assert_eq!(kind(200, encoding), Some(ErrorKind::Protocol), "{encoding}");
            assert_eq!(kind(403, encoding), Some(ErrorKind::Protocol), "{encoding}");
            assert_eq!(
                kind(503, encoding),
                Some(ErrorKind::Unavailable),
                "{encoding}"
            );
        }
        for encoding in ["identity", "", "Identity"] {
            assert_eq!(kind(200, encoding), None, "{encoding}");
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_dates() {
        let reply = |text: &'static str| {
            Reply::new(429, "").with_header(header::RETRY_AFTER, HeaderValue::from_static(text))
        };
        assert_eq!(reply("7").retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(
            reply("Wed, 21 Oct 2015 07:28:00 GMT").retry_after(),
            Some(Duration::ZERO)
        );
        assert_eq!(
            reply("99999999999999").retry_after(),
            Some(Duration::from_secs(86_400))
        );
        assert_eq!(reply("soon").retry_after(), None);
    }
}
