use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use human_check_http::{Endpoint, Reply, Request, SendError, SendErrorKind, Transport};

/// The calls that one examination makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Call>>>);

/// One call of a provider.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) host: String,
    pub(super) port: u16,
    /// The host, with the port if it is not the usual one.
    pub(super) shown: String,
    /// Whether the host is an address, which no name server is asked for.
    pub(super) is_address: bool,
    /// Whether the call is encrypted.
    pub(super) is_tls: bool,
    /// Whether the host is beyond this machine, so that a proxy serves it.
    pub(super) is_remote: bool,
    /// `None` until it ends, and for one that was given up.
    pub(super) ended: Option<Result<Replied, Failed>>,
}

/// A reply, without its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replied {
    pub(super) status: u16,
    /// How long it took, with the connection.
    pub(super) took: Duration,
    /// How far this machine's clock is ahead of the provider's, in seconds. `None` if the provider did
    /// not state the time.
    pub(super) ahead: Option<f64>,
}

/// Why there was no reply.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) kind: SendErrorKind,
    pub(super) cause: String,
}

impl Calls {
    /// Returns a transport that notes its calls here.
    pub(crate) fn of(&self, transport: Arc<dyn Transport>) -> Observed {
        Observed {
            transport,
            calls: self.clone(),
        }
    }

    /// Returns the calls so far.
    pub(super) fn all(&self) -> Vec<Call> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport whose calls are noted.
#[derive(Debug)]
pub(crate) struct Observed {
    transport: Arc<dyn Transport>,
    calls: Calls,
}

#[async_trait]
impl Transport for Observed {
    async fn send(&self, request: &Request, max_bytes: usize) -> Result<Reply, SendError> {
        let url = request.endpoint().url();
        let host = url.host_str().unwrap_or_default();
        let place = {
            let mut calls = self.calls.lock();
            calls.push(Call {
                host: host.to_owned(),
                port: url.port_or_known_default().unwrap_or_default(),
                shown: match url.port() {
                    Some(port) => format!("{host}:{port}"),
                    None => host.to_owned(),
                },
                is_address: url.domain().is_none(),
                is_tls: url.scheme() == "https",
                is_remote: request.endpoint().is_remote(),
                ended: None,
            });
            calls.len() - 1
        };
        let (start, before) = (Instant::now(), SystemTime::now());
        let result = self.transport.send(request, max_bytes).await;
        let took = start.elapsed();
        let ended = match &result {
            Ok(reply) => Ok(Replied {
                status: reply.status(),
                took,
                ahead: reply.date().map(|date| ahead(before, took, date)),
            }),
            Err(error) => Err(Failed {
                kind: error.kind(),
                cause: cause(error),
            }),
        };
        self.calls.lock()[place].ended = Some(ended);
        result
    }

    async fn prewarm(&self, endpoint: &Endpoint, in_flight: usize) -> Result<(), SendError> {
        self.transport.prewarm(endpoint, in_flight).await
    }

    fn separate(&self) -> Option<Arc<dyn Transport>> {
        let transport = self.transport.separate()?;
        Some(Arc::new(self.calls.of(transport)))
    }
}

/// Returns by how many seconds a clock that showed `before` when the call began is ahead of one that
/// stated `date`, a whole second, while the call took `took`. 0 if both may agree.
fn ahead(before: SystemTime, took: Duration, date: SystemTime) -> f64 {
    let seconds = |from: SystemTime, until: SystemTime| match until.duration_since(from) {
        Ok(duration) => duration.as_secs_f64(),
        Err(error) => -error.duration().as_secs_f64(),
    };
    // The provider's clock was between `date` and a second later, at some time of the call.
    let (most, least) = (
        seconds(date, before + took),
        seconds(date + Duration::from_secs(1), before),
    );
    match (least > 0.0, most < 0.0) {
        (true, _) => least,
        (_, true) => most,
        _ => 0.0,
    }
}

/// Returns the innermost cause of an error.
pub(super) fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_may_agree_do_not_differ() {
        let at = |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        let took = Duration::from_millis(400);
        for (before, date, expected) in [
            // The provider states 100 from 100.0 until 101.0.
            (100.2, 100.0, 0.0),
            (99.8, 100.0, 0.0),
            (100.9, 100.0, 0.0),
            (131.0, 100.0, 30.0),
            (69.6, 100.0, -30.0),
        ] {
            let ahead = ahead(at(before), took, at(date));
            assert!((ahead - expected).abs() < 1e-6, "{before} {date}: {ahead}");
        }
    }
}
