use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;

/// The files that a configuration appends to, each with the table that names it.
pub(crate) type RecordFiles = Vec<(&'static str, PathBuf)>;

/// Examines whether the files can be written.
pub(crate) fn examine_files(files: &RecordFiles) -> Vec<Finding> {
    let files = files.iter();
    files
        .map(|(key, path)| match is_writable(path) {
            Ok(()) => Finding::fine(
                key,
                "writable",
                format!("{} can be written", path.display()),
            ),
            Err(error) => Finding::wrong(
                key,
                "writable",
                format!("{} cannot be written ({error})", path.display()),
                "create its folder, and let the user of the program write there",
            ),
        })
        .collect()
}

/// Returns whether a file can be appended to, or created. It changes nothing.
fn is_writable(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(drop),
    }
    // A file of another name in the same folder, because another process may watch this one.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".examined-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&name)?;
    std::fs::remove_file(&name)
}
