//! Bodies, within what the guard reads and as long as it waits.

use axum::RequestExt;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use human_check_guard::{
    DenialReason, Guard, Inspected, Rejection, SubmittedTokens, TokenFields, scan,
};

/// What a body claims to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Form,
    Json,
    Multipart,
    Unknown,
}

impl Kind {
    fn of(parts: &Parts) -> Self {
        let value = parts.headers.get(CONTENT_TYPE);
        let value = value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        let suffix = || {
            essence.len() > 5
                && essence.as_bytes()[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
        };
        if is("application/x-www-form-urlencoded") {
            Self::Form
        } else if is("application/json") || suffix() {
            Self::Json
        } else if is("multipart/form-data") {
            Self::Multipart
        } else {
            Self::Unknown
        }
    }
}

/// The same body, which ends in an error beyond `cap`. One that announces more is refused at once.
pub(crate) fn capped(inspected: &Inspected, body: Body, cap: usize) -> Result<Body, Rejection> {
    let announced = body.size_hint();
    if announced.lower() > cap as u64 {
        return Err(inspected.refuse(DenialReason::BodyTooLarge));
    }
    Ok(match announced.upper() {
        Some(upper) if upper <= cap as u64 => body,
        _ => Body::new(Limited::new(body, cap)),
    })
}

/// The same request with its whole body in memory, and the tokens in that.
pub(crate) async fn buffered(
    guard: &Guard,
    inspected: &Inspected,
    request: Request,
) -> Result<(Request, SubmittedTokens), Rejection> {
    // Whatever limit the application set for its extractors holds here too.
    let (parts, body) = request.with_limited_body().into_parts();
    let limits = guard.body_limits();
    let (cap, deadline) = match Kind::of(&parts) {
        Kind::Multipart => (limits.max_upload_bytes, limits.upload_timeout),
        _ => (limits.max_body_bytes, limits.body_timeout),
    };
    let body = capped(inspected, body, cap)?;
    let bytes = match tokio::time::timeout(deadline, body.collect()).await {
        Err(_) => return Err(inspected.refuse(DenialReason::BodyTooSlow)),
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if is_length_limit(&error) => {
            return Err(inspected.refuse(DenialReason::BodyTooLarge));
        }
        // The client went away or broke its own framing.
        Ok(Err(_)) => return Err(inspected.refuse(DenialReason::InvalidToken)),
    };
    let tokens = tokens(guard, &parts, &bytes).await;
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
async fn tokens(guard: &Guard, parts: &Parts, bytes: &Bytes) -> SubmittedTokens {
    match Kind::of(parts) {
        Kind::Form => scan::form(guard.fields(), bytes),
        Kind::Json => scan::json(guard.fields(), bytes),
        Kind::Multipart => multipart(guard.fields(), parts, bytes.clone()).await,
        Kind::Unknown => SubmittedTokens::none(),
    }
}

/// A multipart body that breaks off has no tokens at all: its rest is not known.
async fn multipart(fields: &TokenFields, parts: &Parts, bytes: Bytes) -> SubmittedTokens {
    let value = parts.headers.get(CONTENT_TYPE);
    let boundary = value
        .and_then(|value| value.to_str().ok())
        .and_then(|value| multer::parse_boundary(value).ok());
    let Some(boundary) = boundary else {
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
