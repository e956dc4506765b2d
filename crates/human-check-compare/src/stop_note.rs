use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The note that an experiment has stopped: the content of its state file.
///
/// It stays in force until the experiment has another name. Every process that reads the file sends all
/// visitors to the first arm again.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StopNote {
    /// The name of the experiment.
    pub experiment: String,
    /// The arm that is the reason.
    pub arm: String,
    /// Why, as a sentence.
    pub reason: String,
    /// When it stopped, RFC 3339.
    pub at: String,
}

impl StopNote {
    /// Creates the note of a stop.
    pub fn new(
        experiment: impl Into<String>,
        arm: impl Into<String>,
        reason: impl Into<String>,
        at: SystemTime,
    ) -> Self {
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let second = at.round(jiff::Unit::Second).unwrap_or(at);
        Self {
            experiment: experiment.into(),
            arm: arm.into(),
            reason: reason.into(),
            at: second.to_string(),
        }
    }

    /// Reads the state file at `path`. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the file cannot be read, or is no state file. An experiment must not go on
    /// then, because it may have been stopped.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&text).map(Some).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not the state of an experiment; remove it only to start an experiment with a new name",
            )
        })
    }

    /// Writes the state file at `path`, at once or not at all.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut name = path.to_owned().into_os_string();
        name.push(format!(".{}", std::process::id()));
        let mut file = std::fs::File::create(&name)?;
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&name, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_nonsense_is_no_note() {
        let folder = std::env::temp_dir().join(format!("human-check-note-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        assert_eq!(StopNote::read(&path).unwrap(), None);
        let note = StopNote::new("e", "new", "fewer complete", SystemTime::UNIX_EPOCH);
        note.write(&path).unwrap();
        assert_eq!(StopNote::read(&path).unwrap(), Some(note));
        std::fs::write(&path, "{").unwrap();
        assert!(StopNote::read(&path).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
