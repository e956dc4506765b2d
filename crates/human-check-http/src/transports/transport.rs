use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Reply, Request};

/// Carries a request to a provider and its reply back.
///
/// The one place that knows an HTTP client. Implement it to use your own, or take
/// [`MockTransport`](crate::MockTransport) in tests.
///
/// # Contract
///
/// - Sends the request as it is, at most once, and follows no redirect.
/// - Reads at most `cap` bytes of the body.
/// - Capabilities [`SendErrorKind::NotSent`] only when no byte of the request can have reached the provider.
/// - Its errors show no URL, header or body.
///
/// # Cancellation
///
/// Dropping the future gives the request up. Deadlines are the caller's, who drops it.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Sends one request and reads the whole reply.
    ///
    /// # Errors
    ///
    /// [`SendError`] when no whole reply came.
    async fn send(&self, request: &Request, cap: usize) -> Result<Reply, SendError>;
}

/// A request that got no whole reply.
#[derive(Debug, thiserror::Error)]
#[error("{}", .kind.text())]
pub struct SendError {
    kind: SendErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// How far a failed request got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The connection ended before the reply was whole. The provider may have acted on the request.
    Lost,
    /// No connection could be had. Safe to try again.
    NotSent,
    /// The reply is longer than anything a provider has to say.
    TooLarge,
}

impl SendErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::Lost => "the connection ended before the reply was whole",
            Self::NotSent => "no connection to the provider",
            Self::TooLarge => "the reply is too long",
        }
    }
}

impl SendError {
    /// An error of `kind`.
    pub fn new(kind: SendErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The same with its cause, which must not show a URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How far the request got.
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }
}
