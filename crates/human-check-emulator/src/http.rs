//! The part of HTTP/1.1 that the emulator needs. A library's server could not send invalid replies,
//! which the faults need.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

/// A request that an emulated provider received.
///
/// [`Emulator::requests`](crate::Emulator::requests) returns these. `Debug` shows the method, the
/// path and the length of the body only, because the rest may hold tokens and secrets.
///
/// ```
/// # use human_check_emulator::Emulator;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let emulator = Emulator::start().await.unwrap();
/// // … the application verifies a token …
/// for request in emulator.requests() {
///     println!("{} {} {:?}", request.method, request.path, request.form());
/// }
/// # });
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method, such as `POST`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark. Empty when there is none.
    pub query: String,
    /// The headers in their order: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer encoding. A recorded request has the first 16 KiB of it.
    pub body: Vec<u8>,
    /// The address of the client.
    pub(crate) peer: Option<IpAddr>,
    /// Whether the request has the version HTTP/1.0.
    is_http_1_0: bool,
}

impl fmt::Debug for RecordedRequest {
    /// Omits query, headers and body, which may hold tokens and secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} ({} bytes)",
            self.method,
            self.path,
            self.body.len()
        )
    }
}

impl RecordedRequest {
    /// Returns the first value of a header. Give its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(n, value)| (n == name).then_some(value.as_str()))
    }

    /// Returns the body as JSON, or `None` when it is not JSON. The content type does not matter.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns the names and values of an urlencoded body. The content type does not matter.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// Returns what the client sent, for the control API: method, host, path, length, and the fields of
    /// query and body. Secrets and tokens are only their lengths.
    pub(crate) fn summary(&self) -> Value {
        let mut fields = Map::new();
        for (name, value) in self
            .query_pairs()
            .into_iter()
            .chain(self.form_of_its_type())
        {
            fields.insert(name, value.into());
        }
        if let Some(Value::Object(members)) = self.json() {
            fields.extend(members);
        }
        let mut fields = Value::Object(fields);
        mask(&mut fields);
        json!({
            "method": self.method,
            "host": self.host(),
            "path": self.path,
            "bytes": self.body.len(),
            "fields": fields,
        })
    }

    /// Returns whether the client wants the connection closed after the response.
    pub(crate) fn is_last(&self) -> bool {
        let connection = self.header("connection").unwrap_or("").to_ascii_lowercase();
        connection.contains("close") || self.is_http_1_0 && !connection.contains("keep-alive")
    }

    /// Returns the names and values in the query.
    pub(crate) fn query_pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes())
            .into_owned()
            .collect()
    }

    /// Returns the media type of the body in lower case, without parameters.
    pub(crate) fn content_type(&self) -> String {
        let whole = self.header("content-type").unwrap_or("");
        let media_type = whole.split(';').next().unwrap_or("");
        media_type.trim().to_ascii_lowercase()
    }

    /// Returns the host name that the client called, without the port.
    pub(crate) fn host(&self) -> &str {
        let host = self.header("host").unwrap_or("");
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }

    /// Returns the fields of a form, urlencoded or multipart; none for another content type.
    pub(crate) fn form_of_its_type(&self) -> Vec<(String, String)> {
        match self.content_type().as_str() {
            "application/x-www-form-urlencoded" => self.form(),
            "multipart/form-data" => self.multipart().unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Returns the fields of a multipart body, or `None` when it is malformed. Files and transfer
    /// encodings are not supported.
    pub(crate) fn multipart(&self) -> Option<Vec<(String, String)>> {
        let boundary = self.header("content-type")?.split("boundary=").nth(1)?;
        let boundary = boundary.split(';').next()?.trim().trim_matches('"');
        let body = String::from_utf8_lossy(&self.body);
        let mut fields = Vec::new();
        for part in body.split(&format!("--{boundary}")).skip(1) {
            if part.starts_with("--") {
                return Some(fields);
            }
            let (head, value) = part.split_once("\r\n\r\n")?;
            let name = head.split("name=\"").nth(1)?.split('"').next()?;
            fields.push((
                name.to_owned(),
                value.strip_suffix("\r\n").unwrap_or(value).to_owned(),
            ));
        }
        None
    }
}

/// The fields that hold no secret and no token. All other texts may.
const SHOWN: [&str; 20] = [
    "action",
    "annotation",
    "app_key",
    "client_ip",
    "clientip",
    "expectedAction",
    "expected_action",
    "hostname",
    "idempotency_key",
    "ip",
    "remoteip",
    "remote_ip",
    "recursive",
    "requestedUri",
    "siteKey",
    "site_key",
    "sitekey",
    "userAgent",
    "userIpAddress",
    "user_ip_address",
];

/// Replaces the texts of fields that may hold a secret or a token by their lengths.
fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if !SHOWN.contains(&name.as_str()) {
                    mask(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mask),
        Value::String(text) => *text = format!("({} characters)", text.chars().count()),
        _ => {}
    }
}

/// A reply that the emulator is about to send.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the request has the version HTTP/1.0, which the reply then has, too. Some clients, such
    /// as Google's for PHP, read no other one.
    is_http_1_0: bool,
}

impl Outgoing {
    /// Creates a reply with a JSON body.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            is_http_1_0: false,
        }
    }

    /// Creates a reply with a body of any content type.
    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
            is_http_1_0: false,
        }
    }

    /// Sets the header `Date`, by which clients may compare their clocks.
    pub(crate) fn with_date(mut self, now: SystemTime) -> Self {
        if let Ok(now) = jiff::Timestamp::try_from(now) {
            let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            self.headers.push(("date", date));
        }
        self
    }

    /// Sets the version of the request that this replies to.
    pub(crate) fn in_reply_to(mut self, request: &RecordedRequest) -> Self {
        self.is_http_1_0 = request.is_http_1_0;
        self
    }

    /// Returns status line and headers, with this `Content-Length`; without a length, for a chunked
    /// body.
    pub(crate) fn head(&self, length: Option<usize>) -> String {
        let mut head = format!(
            "HTTP/1.{} {} {}\r\ncontent-type: {}\r\n",
            u8::from(!self.is_http_1_0),
            self.status,
            reason_phrase(self.status),
            self.content_type
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(length) => head.push_str(&format!("content-length: {length}\r\n\r\n")),
            None => head.push_str("transfer-encoding: chunked\r\n\r\n"),
        }
        head
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// Reads a request from the start of `buffer`, and returns it with its length in bytes.
///
/// Returns `Ok(None)` when the request is not complete yet, and an error when it is malformed.
pub(crate) fn parse(buffer: &[u8]) -> Result<Option<(RecordedRequest, usize)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer).map_err(|_| ())? else {
        return Ok(None);
    };
    let target = request.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut recorded = RecordedRequest {
        method: request.method.unwrap_or("").to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: request
            .headers
            .iter()
            .map(|h| {
                (
                    h.name.to_ascii_lowercase(),
                    String::from_utf8_lossy(h.value).into_owned(),
                )
            })
            .collect(),
        body: Vec::new(),
        peer: None,
        is_http_1_0: request.version == Some(0),
    };
    let chunked = recorded
        .header("transfer-encoding")
        .is_some_and(|t| t.eq_ignore_ascii_case("chunked"));
    let rest = &buffer[head..];
    let used = if chunked {
        match unchunk(rest)? {
            Some((body, used)) => {
                recorded.body = body;
                used
            }
            None => return Ok(None),
        }
    } else {
        let length = match recorded.header("content-length") {
            Some(length) => length.trim().parse::<usize>().map_err(|_| ())?,
            None => 0,
        };
        if rest.len() < length {
            return Ok(None);
        }
        recorded.body = rest[..length].to_vec();
        length
    };
    Ok(Some((recorded, head + used)))
}

/// Reads a chunked body, and returns it with the bytes that it took from `rest`.
fn unchunk(mut rest: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let whole = rest.len();
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest).map_err(|_| ())? {
            httparse::Status::Complete((start, size)) => {
                (start, usize::try_from(size).map_err(|_| ())?)
            }
            httparse::Status::Partial => return Ok(None),
        };
        let end = start
            .checked_add(size)
            .and_then(|e| e.checked_add(2))
            .ok_or(())?;
        if rest.len() < end {
            return Ok(None);
        }
        body.extend_from_slice(&rest[start..start + size]);
        rest = &rest[end..];
        if size == 0 {
            return Ok(Some((body, whole - rest.len())));
        }
    }
}
