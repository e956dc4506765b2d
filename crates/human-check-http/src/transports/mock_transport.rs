use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Reply, Request, SendError, SendErrorKind, Transport};

type Responder = dyn Fn(&Request) -> Result<Reply, SendError> + Send + Sync;

/// A transport for tests: a function in the process replies, and no request leaves the machine.
///
/// The [`ProviderClient`](crate::ProviderClient) treats it like any other transport, with all
/// limits and retries. It keeps the requests that were sent. Clones share them.
///
/// ```
/// use human_check_http::{MockTransport, ProviderClient, Reply};
///
/// let provider = MockTransport::always(Reply::new(200, r#"{"success":true}"#));
/// let client = ProviderClient::new(provider.clone());
/// // Give `client` to an adapter, check a submission, and look at what was sent:
/// assert_eq!(provider.requests().len(), 0);
/// ```
#[derive(Clone)]
pub struct MockTransport {
    respond: Arc<Responder>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl MockTransport {
    /// Creates a transport whose replies a function makes.
    ///
    /// ```
    /// use human_check_http::{MockTransport, Reply, Request, SendError, SendErrorKind};
    ///
    /// let provider = MockTransport::new(|request: &Request| {
    ///     if request.body().is_empty() {
    ///         return Err(SendError::new(SendErrorKind::Lost));
    ///     }
    ///     Ok(Reply::new(200, r#"{"success":true}"#))
    /// });
    /// ```
    pub fn new(
        respond: impl Fn(&Request) -> Result<Reply, SendError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            respond: Arc::new(respond),
            requests: Arc::default(),
        }
    }

    /// Creates a transport that returns the same reply to every request.
    pub fn always(reply: Reply) -> Self {
        Self::new(move |_| Ok(reply.clone()))
    }

    /// Returns the requests that were sent so far, the oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for MockTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockTransport")
            .field("requests", &self.requests().len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for MockTransport {
    async fn send(&self, request: &Request, max_bytes: usize) -> Result<Reply, SendError> {
        let reply = match (self.respond)(request) {
            Ok(reply) if reply.body().len() > max_bytes => {
                Err(SendError::new(SendErrorKind::TooLarge))
            }
            reply => reply,
        };
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        reply
    }
}
