//! Connections: reading requests, and answering them well or badly.

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

/// Replies are made no larger, whatever is asked for.
const OVERSIZED_CAP: usize = 16 << 20;

/// How long a connection may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Larger requests end the connection.
const REQUEST_CAP: usize = 1 << 20;

pub(crate) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Dropped with this task, which ends every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted {
                    lock(&state).connections += 1;
                    let state = Arc::clone(&state);
                    connections.spawn(async move {
                        // A peer that goes away is no news.
                        let _ = converse(stream, peer.ip(), &state).await;
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A client that waits to be told that its body is welcome.
fn expects_leave(buffer: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&buffer[..buffer.len().min(8_192)]).to_ascii_lowercase();
    head.contains("\r\n\r\n") && head.contains("\r\nexpect: 100-continue")
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse(mut stream: TcpStream, peer: IpAddr, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let mut invited = false;
        let mut request = loop {
            match http::parse(&buffer) {
                Ok(Some((request, used))) => {
                    buffer.drain(..used);
                    break request;
                }
                Ok(None) if buffer.len() < REQUEST_CAP => {
                    if expects_leave(&buffer) && !invited {
                        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                        invited = true;
                    }
                    let read = timeout(PATIENCE, stream.read_buf(&mut buffer)).await;
                    if read.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                        return Ok(());
                    }
                }
                Ok(None) | Err(()) => {
                    let bad = Outgoing::text(400, "text/plain", "bad request");
                    stream.write_all(&whole(&bad)).await?;
                    return Ok(());
                }
            }
        };
        request.peer = Some(peer);
        // Faults are for those who ask about tokens, and not for who gives the orders or wants one.
        let undisturbed = if control::is_control(&request.path) {
            Some(control::answer(&mut lock(state), &request))
        } else {
            browser::answer(&mut lock(state), &request)
        };
        if let Some(reply) = undisturbed {
            stream.write_all(&whole(&reply)).await?;
            if request.is_last() {
                return Ok(());
            }
            continue;
        }
        let (fault, reply) = {
            let mut state = lock(state);
            let fault = state.faults.next();
            state.see(&request);
            // Judging happens in one step under the lock: of two visitors with one token one wins.
            let judged = !fault.as_ref().is_some_and(Fault::comes_first);
            let reply = judged.then(|| route(&mut state, &request));
            (fault, reply)
        };
        let keep = match fault {
            None => {
                let reply = reply.unwrap_or_else(not_found);
                stream.write_all(&whole(&reply)).await?;
                true
            }
            Some(fault) => misbehave(&mut stream, &fault, reply).await?,
        };
        if !keep || request.is_last() {
            return Ok(());
        }
    }
}

fn route(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let path = request.path.as_str();
    match path {
        "/turnstile/v0/siteverify" => turnstile::siteverify(state, request),
        "/siteverify" => hcaptcha::siteverify(state, request),
        "/recaptcha/api/siteverify" => recaptcha::siteverify(state, request),
        "/token" => enterprise::token(state, request),
        "/computeMetadata/v1/instance/service-accounts/default/token" => {
            enterprise::metadata(state, request)
        }
        "/v1/validate" | "/api/validate" | "/v1/server/challenge/issue" => {
            captchala::answer(state, request)
        }
        _ if path.starts_with("/v1/projects/") => enterprise::answer(state, request),
        _ => generic::answer(state, request).unwrap_or_else(not_found),
    }
}

fn not_found() -> Outgoing {
    Outgoing::json(
        404,
        &serde_json::json!({"code": 404, "msg": "not found", "error": "not_found"}),
    )
}

fn whole(reply: &Outgoing) -> Vec<u8> {
    let mut bytes = reply.head(Some(reply.body.len())).into_bytes();
    bytes.extend_from_slice(&reply.body);
    bytes
}

/// Whether the connection goes on.
async fn misbehave(
    stream: &mut TcpStream,
    fault: &Fault,
    reply: Option<Outgoing>,
) -> io::Result<bool> {
    let mut reply = reply.unwrap_or_else(not_found);
    match fault {
        Fault::Body { text } => {
            reply.body = text.clone().into_bytes();
            stream.write_all(&whole(&reply)).await?;
        }
        Fault::Delay { millis } => {
            sleep(Duration::from_millis(*millis)).await;
            stream.write_all(&whole(&reply)).await?;
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
            stream.write_all(&whole(&page)).await?;
        }
        Fault::Oversized { bytes } => {
            let missing = (*bytes).min(OVERSIZED_CAP).saturating_sub(reply.body.len());
            reply.body.extend(std::iter::repeat_n(b' ', missing));
            stream.write_all(&whole(&reply)).await?;
        }
        Fault::Redirect => {
            let mut away = Outgoing::json(307, &serde_json::json!({"success": true}));
            away.headers
                .push(("location", "/emulator/elsewhere".to_owned()));
            stream.write_all(&whole(&away)).await?;
        }
        Fault::ResetAfter | Fault::ResetBefore => {
            stream.set_zero_linger()?;
            return Ok(false);
        }
        Fault::Restatus { code } => {
            reply.status = *code;
            stream.write_all(&whole(&reply)).await?;
        }
        Fault::Stall => wait_for_close(stream).await?,
        Fault::StallBody => {
            stream
                .write_all(reply.head(Some(reply.body.len())).as_bytes())
                .await?;
            wait_for_close(stream).await?;
        }
        Fault::Status { code, retry_after } => {
            let mut bare = Outgoing::text(*code, "text/plain", "");
            bare.headers
                .extend(retry_after.map(|wait| ("retry-after", wait.to_string())));
            stream.write_all(&whole(&bare)).await?;
        }
        Fault::Trickle { millis } => {
            for byte in whole(&reply) {
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

/// Says nothing until the peer gives up.
async fn wait_for_close(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Err(io::ErrorKind::ConnectionAborted.into())
}
