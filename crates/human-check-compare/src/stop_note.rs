use std::hash::{BuildHasher, Hasher, RandomState};
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

    /// Returns the note of an experiment in the state file at `path`. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the file cannot be read, of the kind [`InvalidData`](io::ErrorKind::InvalidData)
    /// when it is no state file. An experiment must not go on with such a file, because it may have been
    /// stopped.
    pub fn read(path: &Path, experiment: &str) -> io::Result<Option<Self>> {
        let notes = Self::read_all(path)?;
        Ok(notes.into_iter().find(|note| note.experiment == experiment))
    }

    /// Returns the notes of all experiments in a state file, one line for each.
    fn read_all(path: &Path) -> io::Result<Vec<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.trim_ascii().is_empty());
        let note = |line: &[u8]| {
            let note: Self = serde_json::from_slice(line).ok()?;
            let all = [&note.experiment, &note.arm, &note.reason, &note.at];
            let is_text = all.iter().all(|text| !text.chars().any(char::is_control));
            is_text.then_some(note)
        };
        lines.map(note).collect::<Option<Vec<_>>>().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not the state of an experiment; remove it only to start an experiment with a new name",
            )
        })
    }

    /// Adds the note to the state file at `path`, at once or not at all. The notes of other experiments
    /// stay, and an earlier note of this one.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the file cannot be read or written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut notes = Self::read_all(path)?;
        if notes.iter().any(|note| note.experiment == self.experiment) {
            return Ok(());
        }
        notes.push(self.clone());
        // No two writers may have the same file: processes of two containers may have one number.
        let random = RandomState::new().build_hasher().finish();
        let mut name = path.to_owned().into_os_string();
        name.push(format!(".{random:016x}"));
        let written = std::fs::File::create(&name).and_then(|mut file| {
            for note in &notes {
                let text = serde_json::to_string(note).map_err(io::Error::other)?;
                writeln!(file, "{text}")?;
            }
            file.sync_all()?;
            std::fs::rename(&name, path)
        });
        if written.is_err() {
            // It may not be there.
            let _ = std::fs::remove_file(&name);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_nonsense_is_no_note() {
        let folder = std::env::temp_dir().join(format!("human-check-note-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        assert_eq!(StopNote::read(&path, "e").unwrap(), None);
        let note =
            |name: &str| StopNote::new(name, "new", "fewer complete", SystemTime::UNIX_EPOCH);
        for name in ["e", "f", "e"] {
            note(name).write(&path).unwrap();
        }
        for name in ["e", "f"] {
            assert_eq!(StopNote::read(&path, name).unwrap(), Some(note(name)));
        }
        assert_eq!(StopNote::read(&path, "g").unwrap(), None);
        for nonsense in ["{", "{}", "[]"] {
            std::fs::write(&path, nonsense).unwrap();
            assert!(StopNote::read(&path, "e").is_err());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
