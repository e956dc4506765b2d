use std::time::Duration;

/// What a server may cost a visitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For a connection, from the look-up of its name to the login.
    pub(crate) connect: Duration,
    /// For a reply on an open connection.
    pub(crate) response: Duration,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_millis(500),
            connections: 2,
            in_flight: 1_024,
        }
    }
}
