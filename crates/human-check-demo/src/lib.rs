#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app;
mod headers;
mod log;
pub mod once;
mod outage;
mod page;
mod pages;
mod providers;
mod recorder;
mod records;
mod site;
mod stages;
mod trial;
mod visitor_view;
mod widget_package;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

pub use providers::Work;
pub use site::Demo;
use tokio::net::TcpListener;

/// Serves the demo at `address` until `stop` completes. Returns the exit code, 0.
///
/// Writes the URL of the demo to `out` as soon as it accepts connections.
///
/// The files of ALTCHA's widget come from `node_modules`; with `None`, from the user's cache, or
/// from npm, which takes some seconds the first time. The function writes to `errors` when it runs
/// npm, and when it found no widget. The demo then starts without the widget.
///
/// # Errors
///
/// When `address` cannot be bound, when `work` has invalid values, or when `out` cannot be written.
pub async fn run(
    out: &mut impl Write,
    errors: &mut impl Write,
    address: SocketAddr,
    node_modules: Option<&Path>,
    work: Work,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<u8> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot listen on {address} ({error}); choose another with --addr"),
        )
    })?;
    let mut stop = Box::pin(stop);
    let widget = tokio::select! {
        () = &mut stop => return Ok(0),
        widget = widget_package::find(node_modules, errors) => widget,
    };
    let widget = widget
        .map_err(|error| format!("{} {}: {}", error.field(), error.problem(), error.remedy()));
    if let Err(why) = &widget {
        writeln!(errors, "human-check: the {why}")?;
    }
    let demo = Demo::new(listener, widget, work).await?;
    writeln!(out, "{}", demo.url())?;
    writeln!(
        out,
        "A site with emulated providers, for a browser on this machine. Stop it with Ctrl-C."
    )?;
    out.flush()?;
    demo.serve(stop).await?;
    Ok(0)
}
