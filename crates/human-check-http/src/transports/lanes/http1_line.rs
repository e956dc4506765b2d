use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};

use super::host::{DialError, Dialled};
use super::{Line, Sent};
use crate::transports::reply_body::ReplyBody;
use crate::{Reply, Request, SendError, SendErrorKind};

type Sender = SendRequest<Full<Bytes>>;

/// A connection with HTTP/1.1, which carries one request at a time.
#[derive(Clone)]
pub(in crate::transports) struct Http1Line {
    /// `None` while it carries a request, and after one that did not end well.
    sender: Arc<Mutex<Option<Sender>>>,
}

impl Http1Line {
    /// Starts HTTP on a connection.
    pub(in crate::transports) async fn start<I>(io: I) -> Result<Dialled<Self>, DialError>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let started = http1::handshake(io).await;
        let (sender, connection) =
            started.map_err(|error| DialError::new(SendErrorKind::NotSent, error.to_string()))?;
        Ok(Dialled {
            line: Self {
                sender: Arc::new(Mutex::new(Some(sender))),
            },
            // Its error is that of the request as well.
            driver: Box::pin(async { drop(connection.await) }),
        })
    }

    /// Sends a request, and reads the reply.
    pub(in crate::transports) async fn send(&self, request: &Request, max_bytes: usize) -> Sent {
        // If this future is dropped, the sender is gone, and the connection closes.
        let Some(mut sender) = self.swap(None) else {
            return Sent::Closing;
        };
        if sender.ready().await.is_err() {
            return Sent::Closing;
        }
        let mut outgoing = http::Request::new(Full::new(request.body().clone()));
        *outgoing.method_mut() = request.method();
        *outgoing.uri_mut() = request.endpoint().path().clone();
        let mut headers = request.headers();
        headers.insert(http::header::HOST, request.endpoint().authority().clone());
        *outgoing.headers_mut() = headers;
        let response = match sender.try_send_request(outgoing).await {
            Ok(response) => response,
            Err(mut error) => {
                if error.take_message().is_some() {
                    return Sent::Closing;
                }
                return Sent::Done(Err(lost(error.into_error())));
            }
        };
        let (parts, mut incoming) = response.into_parts();
        let keeps = parts.version == http::Version::HTTP_11 && !closes(&parts.headers);
        let mut body = ReplyBody::new(max_bytes);
        while let Some(frame) = incoming.frame().await {
            let pushed = match frame {
                Ok(frame) => frame.into_data().map_or(Ok(()), |piece| body.push(piece)),
                Err(error) => Err(lost(error)),
            };
            if let Err(error) = pushed {
                return Sent::Done(Err(error));
            }
        }
        if keeps {
            self.swap(Some(sender));
        }
        let reply = Reply::from_parts(parts.status, parts.headers, body.into_bytes());
        Sent::Done(Ok(reply))
    }

    fn swap(&self, sender: Option<Sender>) -> Option<Sender> {
        let mut slot = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, sender)
    }
}

impl Line for Http1Line {
    fn capacity(&self) -> usize {
        1
    }

    fn multiplexes(&self) -> bool {
        false
    }

    fn is_closed(&self) -> bool {
        let slot = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().is_none_or(Sender::is_closed)
    }
}

/// Returns whether the server states that it closes the connection.
fn closes(headers: &http::HeaderMap) -> bool {
    let mut lines = headers.get_all(http::header::CONNECTION).iter();
    lines.any(|line| {
        let line = line.as_bytes().to_ascii_lowercase();
        line.windows(5).any(|part| part == b"close")
    })
}

fn lost(error: hyper::Error) -> SendError {
    SendError::new(SendErrorKind::Lost).with_source(error)
}
