//! Bodies, within what the guard reads and as long as it waits.

use axum::RequestExt;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use human_check_guard::integration::{
    BodyKind, BodyLimit, GuardedRequest, SubmittedTokens, TokenFields, scan,
};
use human_check_guard::{DenialReason, Rejection};

fn content_type(parts: &Parts) -> &str {
    let value = parts.headers.get(CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// The same body, which ends in an error beyond the limit. One that announces more is refused at once.
pub(crate) fn capped(
    guarded: &GuardedRequest,
    body: Body,
    limit: BodyLimit,
) -> Result<Body, Rejection> {
    let announced = body.size_hint();
    guarded.admit(Some(announced.lower()), limit)?;
    Ok(match announced.upper() {
        Some(upper) if upper <= limit.max_bytes as u64 => body,
        _ => Body::new(Limited::new(body, limit.max_bytes)),
    })
}

/// The same request with its whole body in memory, and the tokens in that.
pub(crate) async fn buffered(
    guarded: &GuardedRequest,
    request: Request,
) -> Result<(Request, SubmittedTokens), Rejection> {
    // Whatever limit the application set for its extractors holds here too.
    let (parts, body) = request.with_limited_body().into_parts();
    let limit = BodyKind::of(content_type(&parts)).limit(guarded.guard().body_limits());
    let body = capped(guarded, body, limit)?;
    let timeout = tokio::time::sleep(limit.timeout);
    let bytes = match guarded.parse(timeout, body.collect()).await? {
        Ok(collected) => collected.to_bytes(),
        Err(error) if is_length_limit(&error) => {
            return Err(guarded.refuse(DenialReason::BodyTooLarge));
        }
        // The client went away or broke its own framing.
        Err(_) => return Err(guarded.refuse(DenialReason::InvalidToken)),
    };
    let tokens = tokens(guarded.guard().fields(), &parts, &bytes).await;
    Ok((Request::from_parts(parts, bytes.into()), tokens))
}

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

/// The tokens in a body, by its content type. None in a type that is not understood.
async fn tokens(fields: &TokenFields, parts: &Parts, bytes: &Bytes) -> SubmittedTokens {
    match BodyKind::of(content_type(parts)) {
        BodyKind::Form => scan::form(fields, bytes),
        BodyKind::Json => scan::json(fields, bytes),
        BodyKind::Multipart => multipart(fields, parts, bytes.clone()).await,
        _ => SubmittedTokens::none(),
    }
}

/// A multipart body that breaks off has no tokens at all: its rest is not known.
async fn multipart(fields: &TokenFields, parts: &Parts, bytes: Bytes) -> SubmittedTokens {
    let Ok(boundary) = multer::parse_boundary(content_type(parts)) else {
        return SubmittedTokens::none();
    };
    read_parts(fields, boundary, bytes)
        .await
        .unwrap_or_default()
}

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
        // A file is no token, whatever it is called.
        let is_file = part.file_name().is_some();
        let value = part.bytes().await?;
        match std::str::from_utf8(&value) {
            Ok(text) if !is_file => tokens.push(field, text),
            _ => tokens.push_unusable(field),
        }
    }
    Ok(tokens)
}
