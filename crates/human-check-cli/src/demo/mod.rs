//! What a first look at the library shows: a [site](Demo) to play with, and [`once`], a table that
//! ends by itself.

mod headers;
mod lineup;
mod log;
mod metrics;
pub mod once;
mod page;
mod pretend;
mod side_by_side;
mod signup;
mod site;

use std::io::{self, Write};
use std::net::SocketAddr;

pub use site::Demo;

/// Serves the demo at `address` until `stop`, after it told `out` where.
///
/// # Errors
///
/// When the address is taken, which the error says, or `out` cannot be written.
pub async fn run(
    out: &mut impl Write,
    address: SocketAddr,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<u8> {
    let demo = Demo::bind(address).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address} ({error}); choose another with --addr"),
        )
    })?;
    writeln!(out, "{}", demo.url())?;
    writeln!(
        out,
        "A site with emulated vendors, for a browser on this machine. Stop it with Ctrl-C."
    )?;
    out.flush()?;
    demo.serve(stop).await?;
    Ok(0)
}
