//! Reads bodies within the guard's limits on their size and time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use human_check_guard::integration::{BodyLimit, GuardedRequest, HeldBody};
use human_check_guard::{DenialReason, Rejection};

type Chunk = Result<Bytes, PayloadError>;

/// Returns the `Content-Length` of a request. `None` if it is absent or invalid.
fn content_length(request: &HttpRequest) -> Option<u64> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// A body that an extractor reads within the guard's limit.
#[derive(Clone)]
pub(crate) struct Reading {
    inner: Rc<ReadingBody>,
}

struct ReadingBody {
    payload: RefCell<Payload>,
    exceeded: Cell<bool>,
    account: Arc<HeldBody>,
}

impl Reading {
    fn of(payload: Payload, guarded: &GuardedRequest) -> Self {
        Self {
            inner: Rc::new(ReadingBody {
                payload: RefCell::new(payload),
                exceeded: Cell::default(),
                account: guarded.held_body(),
            }),
        }
    }

    /// Creates the reading of a request whose body is not read.
    pub(crate) fn none(guarded: &GuardedRequest) -> Self {
        Self::of(Payload::None, guarded)
    }

    /// Returns the reason to refuse the body, if it went beyond a limit. Extractors report that by
    /// various errors, so the fact is kept apart from the error.
    pub(crate) fn exceeded(&self) -> Option<DenialReason> {
        match self.inner.account.is_refused() {
            true => Some(DenialReason::TooManyUploads),
            false => self
                .inner
                .exceeded
                .get()
                .then_some(DenialReason::BodyTooLarge),
        }
    }

    /// Makes the server close the connection after the response, see [`keep_unread`].
    pub(crate) fn close_connection(self) {
        // Without the account: what the body held does not count any more.
        keep_unread(self.inner.payload.replace(Payload::None));
    }
}

/// Keeps a body that has not ended until the response is sent.
///
/// actix-web closes the connection after a response if a part of the body is unread. But a chunked
/// body that was dropped before it reads on, without a limit on the time.
fn keep_unread(body: impl Sized + 'static) {
    const UNTIL_SENT: Duration = Duration::from_secs(2);
    actix_web::rt::spawn(async move {
        tokio::time::sleep(UNTIL_SENT).await;
        drop(body);
    });
}

/// Makes the server close the connection of a request whose chunked body was not read; see
/// [`keep_unread`].
pub(crate) fn close_if_chunked(request: &HttpRequest, body: impl Sized + 'static) {
    if request.headers().contains_key(TRANSFER_ENCODING) {
        keep_unread(body);
    }
}

/// Limits a body: beyond the limit it ends in an error. A body whose `Content-Length` is above the
/// limit is refused at once.
pub(crate) fn limited(
    request: &HttpRequest,
    guarded: &GuardedRequest,
    payload: &mut Payload,
    limit: BodyLimit,
) -> Result<(Payload, Reading), Rejection> {
    guarded.admit(content_length(request), limit)?;
    let payload = match payload.take() {
        Payload::None => return Ok((Payload::None, Reading::none(guarded))),
        payload => payload,
    };
    let reading = Reading::of(payload, guarded);
    // The limit applies whatever the `Content-Length` says: after `Upgrade: websocket` the server
    // reads beyond it.
    let limited = Limited {
        reading: reading.clone(),
        left: limit.max_bytes,
    };
    let limited: Payload = Payload::Stream {
        payload: Box::pin(limited),
    };
    Ok((limited, reading))
}

struct Limited {
    reading: Reading,
    left: usize,
}

impl Stream for Limited {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.reading.exceeded().is_some() {
            return Poll::Ready(None);
        }
        let polled = self.reading.inner.payload.borrow_mut().poll_next_unpin(cx);
        let chunk = std::task::ready!(polled);
        Poll::Ready(match chunk {
            Some(Ok(chunk)) if !self.reading.inner.account.receive(chunk.len()) => {
                Some(Err(PayloadError::Overflow))
            }
            Some(Ok(chunk)) => match self.left.checked_sub(chunk.len()) {
                Some(left) => {
                    self.left = left;
                    Some(Ok(chunk))
                }
                None => {
                    self.reading.inner.exceeded.set(true);
                    Some(Err(PayloadError::Overflow))
                }
            },
            other => other,
        })
    }
}

/// A body that the handler's extractors read, and that the guard reads to its end if it refuses.
///
/// The server closes a connection whose body was not read, which costs more than reading a small
/// body. The chunks that the guard has read are kept. A handler that takes a `Result` runs after a
/// refusal, and its other extractors get every byte.
#[derive(Clone)]
pub(crate) struct Shared(Rc<RefCell<State>>);

struct State {
    payload: Payload,
    /// The chunks that the guard has read and no extractor has taken yet, with an error at their
    /// end.
    ahead: VecDeque<Chunk>,
    /// Whether the payload has ended. It must not be polled again after an error.
    ended: bool,
    /// The extractor that waits for the next chunk.
    waiting: Option<Waker>,
}

impl State {
    /// Polls the payload for its next chunk.
    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(self.payload.poll_next_unpin(cx));
        self.ended = !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk)
    }
}

impl Shared {
    /// Shares the body of a request. `None` if it has no body, or another extractor has taken it.
    pub(crate) fn of(payload: &mut Payload) -> Option<Self> {
        let taken = match payload.take() {
            Payload::None => return None,
            taken => taken,
        };
        let shared = Self(Rc::new(RefCell::new(State {
            payload: taken,
            ahead: VecDeque::new(),
            ended: false,
            waiting: None,
        })));
        *payload = Payload::Stream {
            payload: Box::pin(shared.clone()),
        };
        Some(shared)
    }

    /// Reads the rest of a small body. A large or slow body is left unread, so the server closes
    /// the connection.
    ///
    /// Extractors may read at the same time; each chunk goes to the reader that polls first.
    /// Dropping the future loses no chunk.
    pub(crate) async fn read_ahead(&self, request: &HttpRequest, limit: BodyLimit) {
        if !is_worth_reading(request, limit.max_bytes) {
            return;
        }
        let mut left = limit.max_bytes;
        let reading = std::future::poll_fn(|cx| {
            let state = &mut *self.0.borrow_mut();
            while left > 0 {
                let Some(chunk) = std::task::ready!(state.poll_payload(cx)) else {
                    break;
                };
                left = left.saturating_sub(chunk.as_ref().map_or(0, Bytes::len));
                state.ahead.push_back(chunk);
                if let Some(waiting) = state.waiting.take() {
                    waiting.wake();
                }
            }
            Poll::Ready(())
        });
        if tokio::time::timeout(limit.timeout, reading).await.is_err() {
            keep_unread(self.clone());
        }
        // The payload wakes only the task that polled it last. That was this one, so an extractor
        // that waits must be woken to poll the payload itself.
        if let Some(waiting) = self.0.borrow_mut().waiting.take() {
            waiting.wake();
        }
    }
}

impl Stream for Shared {
    type Item = Chunk;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let state = &mut *self.0.borrow_mut();
        if let Some(chunk) = state.ahead.pop_front() {
            return Poll::Ready(Some(chunk));
        }
        let chunk = state.poll_payload(cx);
        if chunk.is_pending() {
            state.waiting = Some(cx.waker().clone());
        }
        chunk
    }
}

/// Returns whether reading a body to its end costs less than closing the connection. The body of an
/// upgraded connection has no end.
fn is_worth_reading(request: &HttpRequest, max_bytes: usize) -> bool {
    let is_large = content_length(request).is_some_and(|length| length > max_bytes as u64);
    !is_large && !request.headers().contains_key(UPGRADE)
}

/// Reads a small body to its end and discards it. A large or slow body is left unread, so the
/// server closes the connection.
pub(crate) async fn drain(request: &HttpRequest, mut payload: Payload, limit: BodyLimit) {
    if !is_worth_reading(request, limit.max_bytes) {
        return keep_unread(payload);
    }
    let reading = async {
        let mut left = limit.max_bytes;
        while let Some(Ok(chunk)) = payload.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    if tokio::time::timeout(limit.timeout, reading).await.is_err() {
        keep_unread(payload);
    }
}

/// Returns the whole body unchanged, for a guard that scans it.
pub(crate) async fn buffered(
    mut payload: Payload,
    guarded: &GuardedRequest,
    limit: BodyLimit,
) -> Result<Bytes, Rejection> {
    let collecting = async {
        let mut whole = bytes::BytesMut::new();
        while let Some(chunk) = payload.next().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok::<_, PayloadError>(whole.freeze())
    };
    let collected = tokio::time::timeout(limit.timeout, collecting).await;
    if collected.is_err() {
        keep_unread(payload);
    }
    match guarded.in_time(collected)? {
        Ok(whole) => Ok(whole),
        Err(_) if guarded.held_body().is_refused() => {
            Err(guarded.refuse(DenialReason::TooManyUploads))
        }
        Err(PayloadError::Overflow) => Err(guarded.refuse(DenialReason::BodyTooLarge)),
        // The client closed the connection, or its framing is invalid.
        Err(_) => Err(guarded.refuse(DenialReason::InvalidToken)),
    }
}

/// Reads a short form into memory, if the page of a refusal may send it again.
pub(crate) async fn keep_form(
    request: &HttpRequest,
    guarded: &mut GuardedRequest,
    payload: Payload,
    limit: BodyLimit,
) -> Result<Payload, Rejection> {
    let is_short = |length| length <= GuardedRequest::MAX_KEPT_FORM_BYTES as u64;
    if !guarded.keeps_form()
        || is_encoded(request)
        || !content_length(request).is_some_and(is_short)
        || request.headers().contains_key(UPGRADE)
    {
        return Ok(payload);
    }
    let body = buffered(payload, guarded, limit).await?;
    guarded.keep_form_body(&body);
    Ok(Payload::from(body))
}

/// Returns whether a body is compressed, so that a scan of its bytes cannot find a token.
pub(crate) fn is_encoded(request: &HttpRequest) -> bool {
    let mut encodings = request.headers().get_all("content-encoding");
    encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
