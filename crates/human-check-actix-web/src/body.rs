//! Bodies, within what the guard reads and as long as it waits.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, UPGRADE};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use human_check_guard::integration::{BodyLimit, GuardedRequest};
use human_check_guard::{DenialReason, Rejection};

type Chunk = Result<Bytes, PayloadError>;

/// What the request says its body measures. `None` when it does not say.
fn announced(request: &HttpRequest) -> Option<u64> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Whether a body went beyond the guard's cap. The extractors make various errors of that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exceeded(Rc<Cell<bool>>);

impl Exceeded {
    pub(crate) fn is_true(&self) -> bool {
        self.0.get()
    }
}

/// The same body, which ends in an error beyond the limit. One that announces more is refused at once.
pub(crate) fn capped(
    request: &HttpRequest,
    guarded: &GuardedRequest,
    payload: &mut Payload,
    limit: BodyLimit,
) -> Result<(Payload, Exceeded), Rejection> {
    guarded.admit(announced(request), limit)?;
    let exceeded = Exceeded::default();
    let payload: Payload = match payload.take() {
        Payload::None => Payload::None,
        // Whatever it announced: behind `Upgrade: websocket` the server reads on regardless.
        payload => Payload::Stream {
            payload: Box::pin(Capped {
                payload,
                left: limit.max_bytes,
                exceeded: exceeded.clone(),
            }),
        },
    };
    Ok((payload, exceeded))
}

struct Capped {
    payload: Payload,
    left: usize,
    exceeded: Exceeded,
}

impl Stream for Capped {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if self.exceeded.is_true() {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(self.payload.poll_next_unpin(cx));
        Poll::Ready(match chunk {
            Some(Ok(chunk)) => match self.left.checked_sub(chunk.len()) {
                Some(left) => {
                    self.left = left;
                    Some(Ok(chunk))
                }
                None => {
                    self.exceeded.0.set(true);
                    Some(Err(PayloadError::Overflow))
                }
            },
            other => other,
        })
    }
}

/// A body that the handler's extractors read, and that is read to its end if the guard refuses.
///
/// The server closes a connection whose body was left unread, which costs more than reading a
/// small one. What was read ahead is kept: a handler that takes a `Result` runs all the same, and
/// its other extractors get every byte.
#[derive(Clone)]
pub(crate) struct Shared(Rc<RefCell<State>>);

struct State {
    payload: Payload,
    /// What was read and nobody has taken, an error at its end included.
    ahead: VecDeque<Chunk>,
    /// Whether the payload has said its last. It may not be asked again after an error.
    ended: bool,
    waiting: Option<Waker>,
}

impl State {
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
    /// Shares a request's body. `None` when there is none, or another extractor has it.
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

    /// Reads the rest of a small body. A large or slow one is left, and with it the connection.
    ///
    /// Others may read at the same time: whoever asks gets the next chunk. Dropping the future
    /// loses nothing.
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
        // Too late is as good as not at all: the connection is closed then.
        let _ = tokio::time::timeout(limit.timeout, reading).await;
        // Whoever asked after us is the one that the payload tells; and the other way round.
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

/// Whether reading a body to its end costs less than closing the connection. One behind an upgrade
/// has no end.
fn is_worth_reading(request: &HttpRequest, cap: usize) -> bool {
    let is_large = announced(request).is_some_and(|length| length > cap as u64);
    !is_large && !request.headers().contains_key(UPGRADE)
}

/// Reads a small body to its end and throws it away. A large or slow one is left, and with it the
/// connection.
pub(crate) async fn drain(request: &HttpRequest, mut payload: Payload, limit: BodyLimit) {
    if !is_worth_reading(request, limit.max_bytes) {
        return;
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
    // Too late is as good as not at all: the connection is closed then.
    let _ = tokio::time::timeout(limit.timeout, reading).await;
}

/// The whole body as it came, for guards that scan it.
pub(crate) async fn buffered(
    mut payload: Payload,
    guarded: &GuardedRequest,
    limit: BodyLimit,
) -> Result<Bytes, Rejection> {
    let reading = async {
        let mut whole = bytes::BytesMut::new();
        while let Some(chunk) = payload.next().await {
            whole.extend_from_slice(&chunk?);
        }
        Ok::<_, PayloadError>(whole.freeze())
    };
    match guarded
        .parse(tokio::time::sleep(limit.timeout), reading)
        .await?
    {
        Ok(whole) => Ok(whole),
        Err(PayloadError::Overflow) => Err(guarded.refuse(DenialReason::BodyTooLarge)),
        // The client went away or broke its own framing.
        Err(_) => Err(guarded.refuse(DenialReason::InvalidToken)),
    }
}

/// Whether a body is compressed, so that its bytes are not what they say.
pub(crate) fn is_encoded(request: &HttpRequest) -> bool {
    let mut encodings = request.headers().get_all("content-encoding");
    encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
