use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use human_check_compare::StopNote;

use super::Finding;

/// A file that a configuration writes to.
pub(crate) struct WrittenFile {
    /// The key that names it.
    pub(crate) key: &'static str,
    pub(crate) path: PathBuf,
    /// The name of the experiment whose stop it keeps, for a state file.
    pub(crate) stop_of: Option<String>,
}

/// Examines whether the files can be written, and read where the program does that.
pub(crate) fn examine_files(files: &[WrittenFile]) -> Vec<Finding> {
    files.iter().map(examine).collect()
}

fn examine(file: &WrittenFile) -> Finding {
    let (key, path) = (file.key, file.path.display());
    if let Err(error) = is_writable(&file.path) {
        return Finding::wrong(
            key,
            "writable",
            format!("{path} cannot be written ({error})"),
            "create its folder, and let the user of the program write there",
        );
    }
    let Some(experiment) = &file.stop_of else {
        return Finding::fine(key, "writable", format!("{path} can be opened for writing"));
    };
    match StopNote::read(&file.path, experiment) {
        Err(error) => Finding::wrong(
            key,
            "writable",
            format!("{path} cannot be read ({error}), and the program would not start"),
            "mend it; without it the program cannot tell whether the experiment has stopped",
        ),
        Ok(None) => Finding::fine(key, "writable", format!("{path} can be written")),
        Ok(Some(note)) => Finding::fine(
            key,
            "writable",
            format!("{path} says that the experiment has stopped at {}", note.at),
        ),
    }
}

/// Returns whether a file can be appended to, or created. It changes nothing.
fn is_writable(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        // To open a pipe could wait for ever.
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is no file")),
        Ok(_) => return OpenOptions::new().append(true).open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
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
