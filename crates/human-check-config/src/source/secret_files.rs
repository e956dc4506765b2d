//! The files that secrets were read from, so that a reload notices a rotated secret.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The files of secrets that a configuration has read, with digests of their contents. It keeps no
/// secret.
#[derive(Debug, Default)]
pub(crate) struct SecretFiles {
    read: Mutex<Vec<(PathBuf, u64)>>,
    /// What is wrong with the permissions of the files.
    warnings: Mutex<Vec<String>>,
    hasher: RandomState,
}

impl SecretFiles {
    /// Creates the value for the next configuration. Its digests can be compared with those of this
    /// one.
    pub(crate) fn next(&self) -> Self {
        Self {
            hasher: self.hasher.clone(),
            ..Self::default()
        }
    }

    /// Reads a file and keeps the digest of its content.
    ///
    /// # Errors
    ///
    /// Also for what is no file: reading a pipe could wait for ever.
    pub(crate) fn read(&self, path: &Path) -> std::io::Result<String> {
        let text = content(path)?;
        if is_readable_by_all(&std::fs::metadata(path)?) {
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            warnings.push(format!(
                "{}: every user of this machine can read or change this secret; set its mode to 600",
                path.display()
            ));
        }
        let digest = self.hasher.hash_one(&text);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.push((path.to_owned(), digest));
        Ok(text)
    }

    /// Returns the warnings about the permissions of the files.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut warnings = warnings.clone();
        warnings.sort();
        warnings.dedup();
        warnings
    }

    /// Returns the digests of the present contents, `None` for a file that cannot be read.
    pub(crate) fn digests(&self) -> Vec<Option<u64>> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let files = read.iter();
        let digest = |text: String| self.hasher.hash_one(text);
        files
            .map(|(path, _)| content(path).ok().map(digest))
            .collect()
    }

    /// Returns whether the content of a file has changed. A file that cannot be read counts as
    /// unchanged.
    pub(crate) fn have_changed(&self) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.iter().any(|(path, digest)| {
            let text = content(path);
            text.is_ok_and(|text| self.hasher.hash_one(&text) != *digest)
        })
    }
}

/// Reads a file. What is no file is an error, because reading a pipe could wait for ever.
fn content(path: &Path) -> std::io::Result<String> {
    match std::fs::metadata(path)?.is_file() {
        true => std::fs::read_to_string(path),
        false => Err(std::io::Error::other("it is not a file")),
    }
}

/// Returns whether users other than the owner and the group have access to a file.
#[cfg(unix)]
fn is_readable_by_all(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    found.permissions().mode() & 0o007 != 0
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &std::fs::Metadata) -> bool {
    false
}
