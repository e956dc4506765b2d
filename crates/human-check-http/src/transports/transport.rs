use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Endpoint, Reply, Request};

/// An HTTP client that sends one request to a provider and returns the reply.
///
/// `HyperTransport` and `ReqwestTransport` are ready to use, and tests take
/// [`MockTransport`](crate::MockTransport). Implement the trait for another HTTP client:
///
/// ```
/// use human_check_core::adapter::async_trait;
/// use human_check_http::{ProviderClient, Reply, Request, SendError, SendErrorKind, Transport};
///
/// /// A transport for tests of an outage: no connection succeeds.
/// #[derive(Debug)]
/// struct Offline;
///
/// #[async_trait]
/// impl Transport for Offline {
///     async fn send(&self, _request: &Request, _max_bytes: usize) -> Result<Reply, SendError> {
///         Err(SendError::new(SendErrorKind::NotSent))
///     }
/// }
///
/// let client = ProviderClient::new(Offline);
/// ```
///
/// # Contract
///
/// - It sends the request unchanged, at most once, and follows no redirect.
/// - It reads at most `max_bytes` bytes of the body.
/// - It returns [`SendErrorKind::NotSent`], and the other kinds that say so, only if no byte of the request can have reached the
///   provider.
/// - Its errors contain no URL, header or body.
///
/// # Cancellation
///
/// Dropping the future aborts the request, which the provider may have received. The transport
/// needs a timeout only to connect: the caller drops the future when its own timeout ends.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Sends one request and reads the complete reply, whose body has at most `max_bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`SendError`] if no complete reply arrived, or the body is longer than `max_bytes`.
    async fn send(&self, request: &Request, max_bytes: usize) -> Result<Reply, SendError>;

    /// Opens the connections that `in_flight` requests at the same time need, before the first one.
    ///
    /// The default does nothing, for clients that open a connection with a request only.
    ///
    /// # Errors
    ///
    /// [`SendError`] if no connection can be opened.
    async fn prewarm(&self, _endpoint: &Endpoint, _in_flight: usize) -> Result<(), SendError> {
        Ok(())
    }

    /// Returns a transport with the same settings and connections of its own, for a health probe
    /// that must not depend on the connections which are open.
    ///
    /// The default returns `None`: probes then use this transport.
    fn separate(&self) -> Option<Arc<dyn Transport>> {
        None
    }
}

/// The error of a request that got no complete reply.
#[derive(Debug, thiserror::Error)]
#[error("{}", .kind.text())]
pub struct SendError {
    kind: SendErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// How far a failed request got. It decides whether a repeat is safe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// No connection could be made, because the certificate of the provider's host is not trusted:
    /// the list of certificate authorities on this machine is outdated, or another server poses as
    /// the provider. Nothing was sent.
    CertificateRejected,
    /// No connection could be made, because this machine has no socket, port or memory left. Nothing
    /// was sent, and it says nothing about the provider. Clients can cause it with many connections.
    LocalTrouble,
    /// The connection ended before the reply was complete. The provider may have acted on the
    /// request, so a repeat may use the token twice.
    Lost,
    /// No connection could be made, so nothing was sent. A repeat is safe.
    NotSent,
    /// No connection could be made, because the egress proxy requires other credentials. Nothing was
    /// sent.
    ProxyRefused,
    /// The body of the reply is longer than the limit.
    TooLarge,
}

impl SendErrorKind {
    /// Returns the text of the error.
    fn text(self) -> &'static str {
        match self {
            Self::CertificateRejected => "the provider's certificate is not trusted",
            Self::LocalTrouble => "this machine cannot open a connection",
            Self::Lost => "the connection ended before the reply was complete",
            Self::NotSent => "could not connect to the provider",
            Self::ProxyRefused => "the egress proxy requires other credentials",
            Self::TooLarge => "the reply is too long",
        }
    }
}

impl SendError {
    /// Creates an error of `kind` without a cause.
    pub fn new(kind: SendErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Sets the cause. Its text must not contain a URL, a header or a body. Default none.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns how far the request got.
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }
}
