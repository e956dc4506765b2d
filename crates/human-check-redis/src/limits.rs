use std::time::Duration;

/// The limits of the calls to a server. The setters of [`RedisClient`](crate::RedisClient) change
/// them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The maximum time for a connection, from the look-up of the name to the login.
    pub(crate) connect: Duration,
    /// The maximum time for a reply on an open connection.
    pub(crate) response: Duration,
    /// The number of connections.
    pub(crate) connections: usize,
    /// The maximum number of commands in flight.
    pub(crate) max_in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_millis(500),
            connections: 2,
            max_in_flight: 1_024,
        }
    }
}
