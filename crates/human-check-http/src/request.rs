use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use human_check_core::ConfigError;

use crate::Endpoint;

/// A request to a provider, ready to send.
///
/// Its body and headers contain the secret and the token. `Debug` shows the names of the headers
/// and the length of the body only.
///
/// ```
/// use human_check_http::adapter::FormBody;
/// use human_check_http::{Endpoint, Request};
///
/// let endpoint = Endpoint::literal("https://acme.example/siteverify");
/// let body = FormBody::with_capacity(64).pair("secret", "s3cret").pair("response", "token");
/// let request = Request::form(&endpoint, body);
/// assert_eq!(&request.body()[..], b"secret=s3cret&response=token");
/// assert!(!format!("{request:?}").contains("s3cret"));
/// ```
#[derive(Clone)]
pub struct Request {
    endpoint: Endpoint,
    content: Content,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// The type of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    Form,
    Json,
    Nothing,
}

impl Request {
    /// Creates a POST with a form-encoded body.
    pub fn form(endpoint: &Endpoint, form: FormBody) -> Self {
        Self::new(endpoint, Content::Form, form.0.into())
    }

    /// Creates a POST with a JSON body.
    pub fn json(endpoint: &Endpoint, body: &serde_json::Value) -> Self {
        Self::new(endpoint, Content::Json, body.to_string().into())
    }

    /// Creates a GET without a body.
    pub fn get(endpoint: &Endpoint) -> Self {
        Self::new(endpoint, Content::Nothing, Bytes::new())
    }

    fn new(endpoint: &Endpoint, content: Content, body: Bytes) -> Self {
        Self {
            endpoint: endpoint.clone(),
            content,
            headers: Vec::new(),
            body,
        }
    }

    /// Sets a header whose value is a secret. HTTP libraries do not log it.
    #[must_use]
    pub fn with_secret_header(self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.with_header(name, value)
    }

    /// Sets a header. The last value of a name counts.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Converts the value of the setting `field` into the value of a header.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for `field` if `text` has characters that a header cannot have.
    pub fn header_value(field: &'static str, text: &str) -> Result<HeaderValue, ConfigError> {
        HeaderValue::from_str(text).map_err(|_| {
            ConfigError::new(
                field,
                "contains characters that an HTTP header cannot have",
                "copy it again without line breaks",
            )
        })
    }

    /// Sets the endpoint.
    pub(crate) fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Returns the method: GET or POST.
    pub fn method(&self) -> Method {
        match self.content {
            Content::Form | Content::Json => Method::POST,
            Content::Nothing => Method::GET,
        }
    }

    /// Returns the endpoint that the request is sent to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the headers, including secret ones.
    pub fn headers(&self) -> HeaderMap {
        let kind = match self.content {
            Content::Form => Some("application/x-www-form-urlencoded"),
            Content::Json => Some("application/json"),
            Content::Nothing => None,
        };
        let mut headers = HeaderMap::with_capacity(4);
        headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
        for (name, value) in &self.headers {
            // The last value of a name counts, so that a request has one secret only.
            headers.insert(name.clone(), value.clone());
        }
        headers
    }

    /// Returns the body, which may contain the secret and the token.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("endpoint", &self.endpoint)
            .field("content", &self.content)
            .field("headers", &headers)
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .finish()
    }
}

/// A form-encoded body.
///
/// Names and values are encoded, so a token such as `x&secret=y` stays one value and cannot add a
/// parameter. `Debug` shows the length only.
///
/// ```
/// use human_check_http::adapter::FormBody;
///
/// let body = FormBody::with_capacity(64).pair("response", "x&secret=y");
/// assert_eq!(body.as_str(), "response=x%26secret%3Dy");
/// ```
pub struct FormBody(String);

impl FormBody {
    /// Creates an empty body with room for `capacity` bytes. It grows if needed.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(String::with_capacity(capacity))
    }

    /// Creates a body that begins with `encoded`, with room for `capacity` further bytes.
    ///
    /// For pairs that are the same in every request, such as the secret. `encoded` must be the text
    /// of another `FormBody`.
    pub fn starting_with(encoded: &str, capacity: usize) -> Self {
        let mut body = String::with_capacity(encoded.len() + capacity);
        body.push_str(encoded);
        Self(body)
    }

    /// Appends a name and a value. The caller must not append a name twice.
    #[must_use]
    pub fn pair(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.push(name);
        self.0.push('=');
        self.push(value);
        self
    }

    /// Returns the encoded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn push(&mut self, text: &str) {
        // Most tokens have unreserved characters only. Those are copied without encoding.
        if is_unreserved(text) {
            self.0.push_str(text);
        } else {
            self.0
                .extend(form_urlencoded::byte_serialize(text.as_bytes()));
        }
    }
}

/// Returns whether a form encodes no character of `text`.
///
/// The loop has no early exit, so that the compiler can test many bytes with one vector
/// instruction.
fn is_unreserved(text: &str) -> bool {
    text.as_bytes().iter().fold(true, |so_far, &byte| {
        let mark = (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'*');
        so_far
            & (byte.is_ascii_digit() | (byte | 0x20).is_ascii_lowercase() & byte.is_ascii() | mark)
    })
}

impl fmt::Debug for FormBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FormBody([{} bytes])", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_cannot_add_a_parameter() {
        let body = FormBody::with_capacity(64)
            .pair("secret", "real")
            .pair("response", "x&secret=other");
        assert_eq!(body.as_str(), "secret=real&response=x%26secret%3Dother");
        let pairs: Vec<_> = form_urlencoded::parse(body.as_str().as_bytes()).collect();
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[1].1, "x&secret=other");
    }

    #[test]
    fn only_text_that_a_form_does_not_encode_is_copied() {
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            assert_eq!(is_unreserved(&text), encoded == text, "{byte}");
        }
        assert!(!is_unreserved("ä"));
    }

    #[test]
    fn every_byte_of_a_token_survives_the_form() {
        let token: String = (0x21..0x7f).map(|b: u8| char::from(b)).collect();
        let body = FormBody::with_capacity(0).pair("response", &token);
        let pairs: Vec<_> = form_urlencoded::parse(body.as_str().as_bytes()).collect();
        assert_eq!(pairs[0].1, token);
    }
}
