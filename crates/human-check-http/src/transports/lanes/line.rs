use crate::{Reply, SendError};

/// An open connection.
///
/// Clones share the connection.
pub(in crate::transports) trait Line: Clone + Send + Sync + 'static {
    /// Returns how many requests the connection may carry at the same time. It may change.
    fn capacity(&self) -> usize;

    /// Returns whether the connection carries more than one request at a time, by its protocol.
    fn multiplexes(&self) -> bool;

    /// Returns whether the connection is known to take no further request.
    fn is_closed(&self) -> bool;
}

/// What became of a request on a connection.
pub(in crate::transports) enum Sent {
    /// The provider received it, or may have.
    Done(Result<Reply, SendError>),
    /// The provider has not acted on it, because the connection is closing. It may be sent on
    /// another connection.
    Closing,
    /// The provider has not acted on it, because the connection had too many. It may be sent again.
    Refused,
}
