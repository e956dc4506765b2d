//! `check-config`: what a configuration file amounts to, or what is wrong with it.

use std::io::{self, Write};
use std::path::Path;

use human_check_config::Deployment;
use human_check_core::ConfigError;

/// Builds everything that the file describes and says what it is. Asks no provider; a store on a
/// server is asked about its settings.
///
/// # Errors
///
/// When nothing can be printed. The inner error is the file's.
pub(crate) async fn run(out: &mut impl Write, file: &Path) -> io::Result<Result<(), ConfigError>> {
    let deployment = match Deployment::builder().with_dry_run().load(file) {
        Ok(deployment) => deployment,
        Err(error) => return Ok(Err(error)),
    };
    write!(out, "{}", deployment.summary())?;
    for finding in deployment.inspect_stores().await {
        writeln!(out, "warning: {finding}")?;
    }
    writeln!(out, "{}: nothing is wrong with it", file.display())?;
    Ok(Ok(()))
}
