//! Just enough HTTP/1.1 to be a server that can also break the rules.

use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

/// A request as it arrived.
#[derive(Clone)]
pub struct RecordedRequest {
    /// GET, POST, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Who asked.
    pub(crate) peer: Option<IpAddr>,
    /// HTTP/1.0.
    old: bool,
}

impl fmt::Debug for RecordedRequest {
    /// Shows no query, header or body: tokens and secrets are in there.
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
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(n, value)| (n == name).then_some(value.as_str()))
    }

    /// The body as JSON, whatever its content type.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Name and value pairs of a form.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// Whether the client wants the connection closed after the answer.
    pub(crate) fn is_last(&self) -> bool {
        let wish = self.header("connection").unwrap_or("").to_ascii_lowercase();
        wish.contains("close") || self.old && !wish.contains("keep-alive")
    }

    pub(crate) fn query_pairs(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes())
            .into_owned()
            .collect()
    }

    pub(crate) fn content_type(&self) -> &str {
        let whole = self.header("content-type").unwrap_or("");
        whole.split(';').next().unwrap_or("").trim()
    }

    /// The fields of a multipart body. Files and encodings are none of the emulator's business.
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

/// A reply about to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn head(&self, length: Option<usize>) -> String {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\n",
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

/// Reads a request from what has arrived so far: `Ok(None)` when more is needed.
pub(crate) fn parse(buffer: &[u8]) -> Result<Option<(RecordedRequest, usize)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer).map_err(|_| ())? else {
        return Ok(None);
    };
    let target = request.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut seen = RecordedRequest {
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
        old: request.version == Some(0),
    };
    let chunked = seen
        .header("transfer-encoding")
        .is_some_and(|t| t.eq_ignore_ascii_case("chunked"));
    let rest = &buffer[head..];
    let used = if chunked {
        match unchunk(rest)? {
            Some((body, used)) => {
                seen.body = body;
                used
            }
            None => return Ok(None),
        }
    } else {
        let length = match seen.header("content-length") {
            Some(length) => length.trim().parse::<usize>().map_err(|_| ())?,
            None => 0,
        };
        if rest.len() < length {
            return Ok(None);
        }
        seen.body = rest[..length].to_vec();
        length
    };
    Ok(Some((seen, head + used)))
}

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
