//! The files that secrets were read from, so that a reload notices a rotated secret.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The files of secrets that a configuration has read, with digests of their contents. It keeps no
/// secret.
#[derive(Debug, Default)]
pub(crate) struct SecretFiles {
    read: Mutex<Vec<(PathBuf, u64)>>,
    hasher: RandomState,
}

impl SecretFiles {
    /// Reads a file and keeps the digest of its content.
    pub(crate) fn read(&self, path: &Path) -> std::io::Result<String> {
        let text = std::fs::read_to_string(path)?;
        let digest = self.hasher.hash_one(&text);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.push((path.to_owned(), digest));
        Ok(text)
    }

    /// Returns whether the content of a file has changed. A file that cannot be read counts as
    /// unchanged.
    pub(crate) fn have_changed(&self) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.iter().any(|(path, digest)| {
            let text = std::fs::read_to_string(path);
            text.is_ok_and(|text| self.hasher.hash_one(&text) != *digest)
        })
    }
}
