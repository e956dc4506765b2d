use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use http::header::CONTENT_LENGTH;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::host::{DialError, Dialled};
use super::race::race;
use super::{Line, Sent};
use crate::transports::reply_body::ReplyBody;
use crate::{Reply, Request, SendError, SendErrorKind};

/// How often a connection with requests is asked whether it is alive, and how long it has to reply.
/// Both together are shorter than the default timeout of an attempt, so a dead connection is found
/// before the requests on it have timed out.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_millis(900);

/// How many bytes of replies may be under way on a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A connection with HTTP/2, which carries as many requests as the server allows streams.
#[derive(Clone)]
pub(in crate::transports) struct Http2Line {
    sender: SendRequest<Bytes>,
    in_flight: Arc<AtomicUsize>,
}

impl Http2Line {
    /// Starts HTTP on a connection. Until the server has stated its limit of streams, `streams` is
    /// assumed.
    pub(in crate::transports) async fn start<I>(
        io: I,
        streams: usize,
    ) -> Result<Dialled<Self>, DialError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(streams)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(16_384)
            // Requests that time out together are reset together, and their replies may be on the way.
            .max_concurrent_reset_streams(1_024)
            .reset_stream_duration(Duration::from_secs(10))
            .max_local_error_reset_streams(None);
        let started = builder.handshake(io).await;
        let (sender, mut connection) =
            started.map_err(|error| DialError::new(SendErrorKind::NotSent, text_of(&error)))?;
        let in_flight = Arc::new(AtomicUsize::new(0));
        let pings = connection.ping_pong();
        let driver = Box::pin(drive(connection, pings, Arc::clone(&in_flight)));
        let line = Self { sender, in_flight };
        Ok(Dialled { line, driver })
    }

    /// Sends a request, and reads the reply.
    ///
    /// Dropping the future resets the stream, and the connection goes on.
    pub(in crate::transports) async fn send(&self, request: &Request, max_bytes: usize) -> Sent {
        let Ok(mut sender) = self.sender.clone().ready().await else {
            return Sent::Closing;
        };
        let _in_flight = InFlight::enter(&self.in_flight);
        let mut outgoing = http::Request::new(());
        *outgoing.method_mut() = request.method();
        *outgoing.uri_mut() = request.endpoint().uri().clone();
        let mut headers = request.headers();
        let body = request.body();
        if !body.is_empty() {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        *outgoing.headers_mut() = headers;
        let (response, mut stream) = match sender.send_request(outgoing, body.is_empty()) {
            Ok(sent) => sent,
            Err(error) if error.is_go_away() || error.is_io() => return Sent::Closing,
            Err(error) => {
                let unsent = SendError::new(SendErrorKind::NotSent);
                return Sent::Done(Err(unsent.with_source(text_of(&error))));
            }
        };
        if !body.is_empty() {
            // If the stream has ended meanwhile, the response says why.
            let _ = stream.send_data(body.clone(), true);
        }
        let response = match response.await {
            Ok(response) => response,
            Err(error) => return ended(&error),
        };
        let (parts, mut incoming) = response.into_parts();
        let mut body = ReplyBody::new(max_bytes);
        while let Some(piece) = incoming.data().await {
            let pushed = piece.map_err(|error| lost(&error)).and_then(|piece| {
                // An error means that the stream has ended.
                let _ = incoming.flow_control().release_capacity(piece.len());
                body.push(piece)
            });
            if let Err(error) = pushed {
                return Sent::Done(Err(error));
            }
        }
        let reply = Reply::from_parts(parts.status, parts.headers, body.into_bytes());
        Sent::Done(Ok(reply))
    }
}

impl Line for Http2Line {
    fn capacity(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    fn multiplexes(&self) -> bool {
        true
    }

    fn is_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut sender = self.sender.clone();
        matches!(sender.poll_ready(&mut context), Poll::Ready(Err(_)))
    }
}

/// Counts a request on the connection until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(in_flight: &'a AtomicUsize) -> Self {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Self(in_flight)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries a connection until it ends or no longer replies to pings.
async fn drive<I>(
    connection: Connection<I, Bytes>,
    pings: Option<PingPong>,
    in_flight: Arc<AtomicUsize>,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let died = async {
        let Some(mut pings) = pings else {
            return std::future::pending().await;
        };
        loop {
            sleep(PING_INTERVAL).await;
            if in_flight.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let pong = timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await;
            if !matches!(pong, Ok(Ok(_))) {
                return;
            }
        }
    };
    // The connection is first, so that a reply which is there counts, however late it is looked at. Its
    // error is that of the requests as well.
    race(async { drop(connection.await) }, died).await;
}

/// Returns what became of a request whose stream ended without a reply.
fn ended(error: &h2::Error) -> Sent {
    // In two cases the server says that it did not act on the request: RFC 9113, sections 6.8 and 8.7.
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    match error.is_remote() {
        true if error.is_go_away() => Sent::Closing,
        true if is_refused => Sent::Refused,
        _ => Sent::Done(Err(lost(error))),
    }
}

fn lost(error: &h2::Error) -> SendError {
    SendError::new(SendErrorKind::Lost).with_source(text_of(error))
}

/// Returns the text of an error without what the server sent, which may repeat the request.
fn text_of(error: &h2::Error) -> String {
    let by = if error.is_remote() {
        "the server"
    } else {
        "the client"
    };
    match error.reason() {
        Some(reason) => format!("{by} ended the stream: {}", reason.description()),
        None => "the connection ended".to_owned(),
    }
}
