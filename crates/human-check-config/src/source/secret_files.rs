//! The files that secrets were read from, so that a rotated one is noticed.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files that were read, with digests of what was in them.
#[derive(Debug, Default)]
pub(crate) struct SecretFiles {
    seen: Mutex<Vec<(PathBuf, u64)>>,
    hasher: RandomState,
}

impl SecretFiles {
    pub(crate) fn read(&self, path: &Path) -> std::io::Result<String> {
        let text = std::fs::read_to_string(path)?;
        let digest = self.hasher.hash_one(&text);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push((path.to_owned(), digest));
        Ok(text)
    }

    /// Whether one of them holds something else by now. One that cannot be read has not changed yet.
    pub(crate) fn have_changed(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().any(|(path, digest)| {
            let text = std::fs::read_to_string(path);
            text.is_ok_and(|text| self.hasher.hash_one(&text) != *digest)
        })
    }
}
