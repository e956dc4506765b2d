//! The connections to one provider, and which of them carries a request.
//!
//! HTTP libraries keep one HTTP/2 connection for each host, which carries as many requests as the
//! server's limit of streams, usually 100. Beyond that they wait, however many connections would be
//! possible. And requests that arrive before the first connection is up open one each. So this
//! module keeps the connections itself:
//!
//! - A [`Lane`](table::Table) is an open connection with a capacity: the server's limit of streams,
//!   or one request with HTTP/1.1.
//! - A request takes a place on the lane with the fewest requests. If no lane has a place it waits,
//!   and the requests that wait get the next places in the order of their arrival.
//! - Connections are opened by tasks of their own and not by requests. So the requests that wait get
//!   their places as soon as a connection is up, and a visitor who leaves aborts no attempt.
//!
//! [`Table`](table::Table) has the rules, without input and output. [`Host`] runs them.

mod host;
mod http1_line;
mod http2_line;
mod line;
mod race;
#[cfg(test)]
mod simulation;
mod table;

pub(super) use host::{Dial, DialError, Dialled, Host};
pub(super) use http1_line::Http1Line;
pub(super) use http2_line::Http2Line;
pub(super) use line::{Line, Sent};
pub(super) use table::{BURST_LANES, MAX_STREAMS};
