use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that is appended to, and renamed when it is full.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    /// How many full files are kept.
    files: u32,
    /// `None` after a failure. The next append opens it again.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
}

impl RotatingFile {
    /// Opens the file at `path`, or creates it.
    pub(crate) fn open(path: PathBuf, max_bytes: u64, files: u32) -> io::Result<Self> {
        let open = Some(Open::at(&path)?);
        Ok(Self {
            path,
            max_bytes,
            files,
            open,
        })
    }

    /// Returns the maximum size of a file.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Appends whole lines, all of them or none. A file that was moved or deleted is created again.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) if open.is_at(&self.path) => open,
            _ => Open::at(&self.path)?,
        };
        let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if open.length > 0 && open.length.saturating_add(more) > self.max_bytes {
            drop(open);
            self.rotate()?;
            open = Open::at(&self.path)?;
        }
        open.append(lines)?;
        self.open = Some(open);
        Ok(())
    }

    /// Renames the full file to `FILE.1`, and the older ones to the next number. The oldest is
    /// replaced.
    fn rotate(&self) -> io::Result<()> {
        if self.files == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.files).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, self.numbered(1))
    }

    /// Returns the path of a full file.
    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Open {
    /// Opens the file at `path`, or creates it for its owner alone.
    fn at(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let mut length = file.metadata()?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // A crash left an incomplete last line. The next record must not become a part of
                // it.
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok(Self { file, length })
    }

    /// Returns whether the path still leads to this file. Another program may have moved or deleted
    /// it.
    fn is_at(&self, path: &Path) -> bool {
        let (Ok(there), Ok(here)) = (std::fs::metadata(path), self.file.metadata()) else {
            return false;
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            there.dev() == here.dev() && there.ino() == here.ino()
        }
        #[cfg(not(unix))]
        {
            there.len() == here.len()
        }
    }

    /// Appends lines, and takes back what was written if it fails.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        match written {
            Ok(()) => self.length += u64::try_from(lines.len()).unwrap_or(u64::MAX),
            // On a full disk, a part of the lines may be written. If it cannot be taken back
            // either, the next record still begins on a new line, because the file is opened again.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }
}
