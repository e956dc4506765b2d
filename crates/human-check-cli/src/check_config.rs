//! `check-config`: a dry run of a configuration file.
//!
//! It finds the errors that a program would find at its start, such as a missing secret, an unknown
//! key, or a rule that a provider can never meet.

use std::io::{self, Write};
use std::path::Path;

use human_check_config::Deployment;
use human_check_core::ConfigError;

/// Builds everything that the file describes, and prints a summary and the warnings about the
/// servers of stores. It calls no provider.
///
/// # Errors
///
/// The outer error is that of the output, the inner one that of the configuration.
pub(crate) async fn run(out: &mut impl Write, file: &Path) -> io::Result<Result<(), ConfigError>> {
    let deployment = match Deployment::builder().with_dry_run().load(file) {
        Ok(deployment) => deployment,
        Err(error) => return Ok(Err(error)),
    };
    write!(out, "{}", deployment.summary())?;
    let mut warnings = deployment.warnings();
    warnings.extend(deployment.inspect_stores().await);
    for warning in &warnings {
        writeln!(out, "warning: {warning}")?;
    }
    match warnings.len() {
        0 => writeln!(out, "{}: nothing is wrong with it", file.display())?,
        1 => writeln!(out, "{}: valid, with 1 warning", file.display())?,
        many => writeln!(out, "{}: valid, with {many} warnings", file.display())?,
    }
    Ok(Ok(()))
}
