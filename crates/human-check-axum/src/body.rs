//! Reads bodies within the guard's limits on their size and time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::RequestExt;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use human_check_guard::integration::{
    BodyKind, BodyLimit, Decision, GuardedRequest, HeldBody, SubmittedTokens, TokenFields, scan,
};
use human_check_guard::{DenialReason, Rejection};

/// Returns the value of `Content-Type`, or an empty text.
fn content_type(parts: &Parts) -> &str {
    let value = parts.headers.get(CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Writes the content type of a urlencoded form in small letters. Media types are compared without
/// case, and axum's own extractor compares the letters.
pub(crate) fn normalize_content_type(parts: &mut Parts) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let is_form = BodyKind::of(content_type(parts)) == BodyKind::Form;
    if is_form && !content_type(parts).starts_with(FORM) {
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    }
}

/// Limits a body: beyond the limit, and beyond what all bodies together may hold, it ends in an
/// error. A body whose `Content-Length` is above the limit is refused at once.
pub(crate) fn limited(
    guarded: &GuardedRequest,
    body: Body,
    limit: BodyLimit,
) -> Result<Body, Rejection> {
    let stated = body.size_hint();
    guarded.admit(Some(stated.lower()), limit)?;
    let free = limit.max_bytes.min(HeldBody::FREE) as u64;
    if stated.upper().is_some_and(|upper| upper <= free) {
        // So small that it does not count. A layer may have stated another size than it has.
        return Ok(Body::new(Limited::new(body, free as usize)));
    }
    let body = Body::new(Held {
        body,
        account: guarded.held_body(),
    });
    Ok(match stated.upper() {
        Some(upper) if upper <= limit.max_bytes as u64 => body,
        _ => Body::new(Limited::new(body, limit.max_bytes)),
    })
}

/// Reads a short form into memory, if the page of a refusal may send it again.
pub(crate) async fn keep_form(
    guarded: &mut GuardedRequest,
    body: Body,
    limit: BodyLimit,
) -> Result<Body, Rejection> {
    let is_short = |upper| upper <= GuardedRequest::MAX_KEPT_FORM_BYTES as u64;
    if !guarded.keeps_form() || !body.size_hint().upper().is_some_and(is_short) {
        return Ok(body);
    }
    let reading = tokio::time::timeout(limit.timeout, body.collect());
    match guarded.in_time(reading.await)? {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            guarded.keep_form_body(&bytes);
            Ok(bytes.into())
        }
        // The client closed the connection, or its framing is invalid.
        Err(_) => Err(guarded.refuse(DenialReason::InvalidToken)),
    }
}

/// A body whose bytes count as held in memory.
struct Held {
    body: Body,
    account: Arc<HeldBody>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        Poll::Ready(match self.account.receive(length) {
            true => frame,
            false => Some(Err(axum::Error::new("too many large bodies are held"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads the whole body into memory, and returns the request with this body, and the tokens in it.
pub(crate) async fn buffered(
    guarded: &mut GuardedRequest,
    request: Request,
    earlier: Option<&Decision>,
) -> Result<(Request, SubmittedTokens), Rejection> {
    // The limit that the application set for its extractors holds here, too.
    let (parts, body) = request.with_limited_body().into_parts();
    let kind = BodyKind::of(content_type(&parts));
    if kind == BodyKind::Multipart {
        guarded.judge_header(earlier).await?;
    }
    let limit = kind.limit(guarded.guard().body_limits());
    let body = limited(guarded, body, limit)?;
    let reading = tokio::time::timeout(limit.timeout, body.collect());
    let bytes = match guarded.in_time(reading.await)? {
        Ok(collected) => collected.to_bytes(),
        Err(_) if guarded.held_body().is_refused() => {
            return Err(guarded.refuse(DenialReason::TooManyUploads));
        }
        Err(error) if is_length_limit(&error) => {
            return Err(guarded.refuse(DenialReason::BodyTooLarge));
        }
        // The client closed the connection, or its framing is invalid.
        Err(_) => return Err(guarded.refuse(DenialReason::InvalidToken)),
    };
    if kind == BodyKind::Form {
        guarded.keep_form_body(&bytes);
    }
    let tokens = tokens(guarded.guard().fields(), &parts, &bytes).await;
    Ok((Request::from_parts(parts, bytes.into()), tokens))
}

/// Returns whether a limit on the length caused an error.
fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns the tokens in a body, by its content type. A body of an unknown type has none.
async fn tokens(fields: &TokenFields, parts: &Parts, bytes: &Bytes) -> SubmittedTokens {
    match BodyKind::of(content_type(parts)) {
        BodyKind::Form => scan::form(fields, bytes),
        BodyKind::Json => scan::json(fields, bytes),
        BodyKind::Multipart => multipart(fields, parts, bytes.clone()).await,
        _ => SubmittedTokens::none(),
    }
}

/// Returns the tokens in a multipart body. A body that is incomplete or invalid has none, because a
/// missing part could contradict the others.
async fn multipart(fields: &TokenFields, parts: &Parts, bytes: Bytes) -> SubmittedTokens {
    let Ok(boundary) = multer::parse_boundary(content_type(parts)) else {
        return SubmittedTokens::none();
    };
    read_parts(fields, boundary, bytes)
        .await
        .unwrap_or_default()
}

/// Reads all parts, and collects those in the fields of tokens.
async fn read_parts(
    fields: &TokenFields,
    boundary: String,
    bytes: Bytes,
) -> Result<SubmittedTokens, multer::Error> {
    let mut tokens = SubmittedTokens::none();
    let whole = http_body_util::Full::new(bytes).into_data_stream();
    let mut parts = multer::Multipart::new(whole, boundary);
    while let Some(part) = parts.next_field().await? {
        let Some(field) = part.name().and_then(|name| fields.find(name)) else {
            continue;
        };
        // A part with a file name and a content type is a file, and not a token.
        let is_file = part.file_name().is_some() && part.content_type().is_some();
        let value = part.bytes().await?;
        match std::str::from_utf8(&value) {
            Ok(text) if !is_file => tokens.push(field, text),
            _ => tokens.push_unusable(field),
        }
    }
    Ok(tokens)
}
