use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use human_check_core::ConfigError;

use crate::Endpoint;

/// A request to a provider, ready to send.
///
/// Its body and headers hold the secret and the token; `Debug` shows neither.
#[derive(Clone)]
pub struct Request {
    endpoint: Endpoint,
    content: Content,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// What the body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    Form,
    Json,
    Nothing,
}

impl Request {
    /// A POST with a form-encoded body.
    pub fn form(endpoint: &Endpoint, form: FormBody) -> Self {
        Self::new(endpoint, Content::Form, form.0.into())
    }

    /// A POST with a JSON body.
    pub fn json(endpoint: &Endpoint, body: &serde_json::Value) -> Self {
        Self::new(endpoint, Content::Json, body.to_string().into())
    }

    /// A GET.
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

    /// The same with a header whose value nobody may log.
    #[must_use]
    pub fn with_secret_header(self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.with_header(name, value)
    }

    /// The same with an ordinary header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Checks that a setting fits in a header.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming `field` when it does not.
    pub fn header_value(field: &'static str, text: &str) -> Result<HeaderValue, ConfigError> {
        HeaderValue::from_str(text).map_err(|_| {
            ConfigError::new(
                field,
                "holds characters that an HTTP header cannot carry",
                "copy it again without line breaks",
            )
        })
    }

    pub(crate) fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// GET or POST.
    pub fn method(&self) -> Method {
        match self.content {
            Content::Form | Content::Json => Method::POST,
            Content::Nothing => Method::GET,
        }
    }

    /// Where it goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The headers, secrets among them.
    pub fn headers(&self) -> HeaderMap {
        let kind = match self.content {
            Content::Form => Some("application/x-www-form-urlencoded"),
            Content::Json => Some("application/json"),
            Content::Nothing => None,
        };
        let mut headers = HeaderMap::with_capacity(4);
        headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
        for (name, value) in &self.headers {
            // The last one of a name holds; two secrets in one request are nobody's wish.
            headers.insert(name.clone(), value.clone());
        }
        headers
    }

    /// The body, secrets and the token among it.
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

/// A form-encoded body under construction.
///
/// Each name appears once and every value is encoded, so that a token such as
/// `x&secret=y` stays one value (the parameter pollution of 2018).
pub struct FormBody(String);

impl FormBody {
    /// A body with room for about `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(String::with_capacity(capacity))
    }

    /// A body that begins with pairs encoded before.
    pub fn starting_with(encoded: &str, capacity: usize) -> Self {
        let mut body = String::with_capacity(encoded.len() + capacity);
        body.push_str(encoded);
        Self(body)
    }

    /// The same with one more pair.
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

    /// The text so far.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn push(&mut self, text: &str) {
        // Most tokens are made of unreserved characters alone; those are copied in one go.
        if is_unreserved(text) {
            self.0.push_str(text);
        } else {
            self.0
                .extend(form_urlencoded::byte_serialize(text.as_bytes()));
        }
    }
}

/// Without an early exit, so that it is one vector instruction for many bytes.
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
            .pair("secret", "ours")
            .pair("response", "x&secret=theirs");
        assert_eq!(body.as_str(), "secret=ours&response=x%26secret%3Dtheirs");
        let pairs: Vec<_> = form_urlencoded::parse(body.as_str().as_bytes()).collect();
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[1].1, "x&secret=theirs");
    }

    #[test]
    fn only_what_a_form_leaves_alone_is_copied() {
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
