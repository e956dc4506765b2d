use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Reply, Request, SendError, SendErrorKind, Transport};

type Responder = dyn Fn(&Request) -> Result<Reply, SendError> + Send + Sync;

/// A transport that answers in process, for tests. Nothing leaves the machine.
///
/// It goes through the same exchange rules as a real one, and keeps what it was sent.
///
/// ```
/// use human_check_http::{MockTransport, Reply};
///
/// let provider = MockTransport::always(Reply::new(200, r#"{"success":true}"#));
/// assert_eq!(provider.requests().len(), 0);
/// ```
#[derive(Clone)]
pub struct MockTransport {
    respond: Arc<Responder>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl MockTransport {
    /// Answers each request by a function.
    pub fn new(
        respond: impl Fn(&Request) -> Result<Reply, SendError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            respond: Arc::new(respond),
            requests: Arc::default(),
        }
    }

    /// Gives every request the same reply.
    pub fn always(reply: Reply) -> Self {
        Self::new(move |_| Ok(reply.clone()))
    }

    /// What was sent so far, oldest first.
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
    async fn send(&self, request: &Request, cap: usize) -> Result<Reply, SendError> {
        let reply = match (self.respond)(request) {
            Ok(reply) if reply.body().len() > cap => Err(SendError::new(SendErrorKind::TooLarge)),
            reply => reply,
        };
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        reply
    }
}
