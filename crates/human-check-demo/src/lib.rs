#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app;
mod headers;
mod log;
pub mod once;
mod page;
mod pages;
mod providers;
mod recorder;
mod records;
mod site;
mod stages;
mod visitor_view;
mod widget_package;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

pub use providers::Work;
pub use site::Demo;
use tokio::net::TcpListener;

/// Serves the demo at `address` until `stop`, after it told `out` where.
///
/// The proof of work's widget comes from `node_modules` or as [`widget_package`] finds it, which may take a
/// second the first time; `errors` is told when it does, and when there is none. The demo goes on without.
///
/// # Errors
///
/// When the address is taken, which the error says, the work makes no sense, or `out` cannot be written.
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
