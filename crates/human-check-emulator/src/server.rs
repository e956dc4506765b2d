//! Connections: reads requests, and sends replies, with faults where a test added them.
//!
//! The path decides which part handles a request: the control API, a widget, or a provider. Faults
//! apply to providers only. All requests but those to the control API are recorded.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::fault::Fault;
use crate::http::{self, Outgoing, RecordedRequest};
use crate::state::State;
use crate::{browser, captchala, control, enterprise, generic, hcaptcha, recaptcha, turnstile};

/// The largest body of [`Fault::Oversized`].
const MAX_OVERSIZED_BYTES: usize = 16 << 20;

/// A connection without data for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest request, headers and body. A larger one gets a 400, and its connection is closed.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Accepts connections until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Dropping the set with this task closes every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                match accepted {
                    Ok((stream, peer)) => {
                        lock(&state).connections += 1;
                        let state = Arc::clone(&state);
                        connections.spawn(async move {
                            // An error means that the client closed the connection.
                            let _ = handle_connection(stream, peer.ip(), &state).await;
                        });
                    }
                    // The limit of descriptors is reached, for example. Without a pause the loop
                    // would use up a core until a connection ends.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Returns whether the client waits for `100 Continue` before it sends the body.
fn expects_continue(buffer: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&buffer[..buffer.len().min(8_192)]).to_ascii_lowercase();
    head.contains("\r\n\r\n") && head.contains("\r\nexpect: 100-continue")
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn handle_connection(
    mut stream: TcpStream,
    peer: IpAddr,
    state: &Mutex<State>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let mut continue_sent = false;
        let mut request = loop {
            match http::parse(&buffer) {
                Ok(Some((request, used))) => {
                    buffer.drain(..used);
                    break request;
                }
                Ok(None) if buffer.len() < MAX_REQUEST_BYTES => {
                    if expects_continue(&buffer) && !continue_sent {
                        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                        continue_sent = true;
                    }
                    let read = timeout(IDLE_TIMEOUT, stream.read_buf(&mut buffer)).await;
                    if read.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                        return Ok(());
                    }
                }
                Ok(None) | Err(()) => {
                    let bad = Outgoing::text(400, "text/plain", "bad request");
                    stream.write_all(&serialize(&bad)).await?;
                    return Ok(());
                }
            }
        };
        request.peer = Some(peer);
        // Faults affect calls to the providers only, not the control API and not widgets.
        let without_faults = if control::is_control(&request.path) {
            Some(control::handle(&mut lock(state), &request))
        } else {
            browser::handle(&mut lock(state), &request)
        };
        if let Some(reply) = without_faults {
            let reply = reply.in_reply_to(&request);
            stream.write_all(&serialize(&reply)).await?;
            if request.is_last() {
                return Ok(());
            }
            continue;
        }
        let (fault, reply) = {
            let mut state = lock(state);
            let fault = state.faults.next();
            state.record(&request);
            // One lock for the whole verification: of two requests with one token, one succeeds.
            let is_verified = !fault.as_ref().is_some_and(Fault::precedes_verification);
            let reply = is_verified.then(|| {
                let reply = route(&mut state, &request).with_date(state.now());
                reply.in_reply_to(&request)
            });
            (fault, reply)
        };
        let stays_open = match fault {
            None => {
                let reply = reply.unwrap_or_else(not_found);
                stream.write_all(&serialize(&reply)).await?;
                true
            }
            Some(fault) => send_with_fault(&mut stream, &fault, reply).await?,
        };
        if !stays_open || request.is_last() {
            return Ok(());
        }
    }
}

/// Passes a request to the provider that its path belongs to.
fn route(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let path = request.path.as_str();
    match path {
        "/turnstile/v0/siteverify" => turnstile::siteverify(state, request),
        "/siteverify" => {
            let other = generic::handle(state, request);
            other.unwrap_or_else(|| hcaptcha::siteverify(state, request))
        }
        "/recaptcha/api/siteverify" => recaptcha::siteverify(state, request),
        "/token" => enterprise::token(state, request),
        _ if path.starts_with("/computeMetadata/") => enterprise::metadata(state, request),
        "/v1/validate" | "/api/validate" | "/v1/server/challenge/issue" => {
            captchala::handle(state, request)
        }
        _ if path.starts_with("/v1/projects/") => enterprise::handle(state, request),
        _ => generic::handle(state, request).unwrap_or_else(not_found),
    }
}

fn not_found() -> Outgoing {
    Outgoing::json(
        404,
        &serde_json::json!({"code": 404, "msg": "not found", "error": "not_found"}),
    )
}

/// Returns the reply as it is sent without a fault.
fn serialize(reply: &Outgoing) -> Vec<u8> {
    let mut sent = reply.head(Some(reply.body.len())).into_bytes();
    sent.extend_from_slice(&reply.body);
    sent
}

/// Sends a reply with a fault. Returns whether the connection stays open.
///
/// `reply` is `None` when the fault precedes the verification.
async fn send_with_fault(
    stream: &mut TcpStream,
    fault: &Fault,
    reply: Option<Outgoing>,
) -> io::Result<bool> {
    let mut reply = reply.unwrap_or_else(not_found);
    match fault {
        Fault::Body { text } => {
            reply.body = text.clone().into_bytes();
            stream.write_all(&serialize(&reply)).await?;
        }
        Fault::Delay { millis } => {
            sleep(Duration::from_millis(*millis)).await;
            stream.write_all(&serialize(&reply)).await?;
        }
        Fault::Endless => {
            stream.write_all(reply.head(None).as_bytes()).await?;
            let spaces = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
            loop {
                stream.write_all(spaces.as_bytes()).await?;
            }
        }
        Fault::Html { status } => {
            let page = Outgoing::text(
                *status,
                "text/html",
                "<html><body>the service is down</body></html>",
            );
            stream.write_all(&serialize(&page)).await?;
        }
        Fault::Oversized { bytes } => {
            let missing = (*bytes)
                .min(MAX_OVERSIZED_BYTES)
                .saturating_sub(reply.body.len());
            reply.body.extend(std::iter::repeat_n(b' ', missing));
            stream.write_all(&serialize(&reply)).await?;
        }
        Fault::Redirect => {
            let mut redirect = Outgoing::json(307, &serde_json::json!({"success": true}));
            redirect
                .headers
                .push(("location", "/emulator/elsewhere".to_owned()));
            stream.write_all(&serialize(&redirect)).await?;
        }
        Fault::ResetAfter | Fault::ResetBefore => {
            stream.set_zero_linger()?;
            return Ok(false);
        }
        Fault::Restatus { code } => {
            reply.status = *code;
            stream.write_all(&serialize(&reply)).await?;
        }
        Fault::Stall => wait_for_close(stream).await?,
        Fault::StallBody => {
            stream
                .write_all(reply.head(Some(reply.body.len())).as_bytes())
                .await?;
            wait_for_close(stream).await?;
        }
        Fault::Status { code, retry_after } => {
            let mut empty = Outgoing::text(*code, "text/plain", "");
            empty
                .headers
                .extend(retry_after.map(|wait| ("retry-after", wait.to_string())));
            stream.write_all(&serialize(&empty)).await?;
        }
        Fault::Trickle { millis } => {
            for byte in serialize(&reply) {
                sleep(Duration::from_millis(*millis)).await;
                stream.write_all(&[byte]).await?;
            }
        }
        Fault::Truncated => {
            stream
                .write_all(reply.head(Some(reply.body.len())).as_bytes())
                .await?;
            stream
                .write_all(&reply.body[..reply.body.len() / 2])
                .await?;
            return Ok(false);
        }
        Fault::WrongLength => {
            stream
                .write_all(reply.head(Some(reply.body.len() / 2)).as_bytes())
                .await?;
            stream.write_all(&reply.body).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends nothing until the client closes the connection, then returns an error.
async fn wait_for_close(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Err(io::ErrorKind::ConnectionAborted.into())
}
