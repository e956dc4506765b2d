use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ledger::Place;

/// A file that is appended to, and renamed when it is full.
#[derive(Debug)]
pub(super) struct RotatingFile {
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
    /// The number of the file on its disk.
    number: u64,
    /// Whether this process has written its header.
    has_header: bool,
}

impl RotatingFile {
    /// Opens the file at `path`, or creates it.
    pub(super) fn open(path: PathBuf, max_bytes: u64, files: u32) -> io::Result<Self> {
        let open = Some(Open::at(&path)?);
        Ok(Self {
            path,
            max_bytes,
            files,
            open,
        })
    }

    /// Returns the maximum size of a file.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Returns the place up to which the file is written. Its start if the file is not open.
    pub(super) fn place(&self) -> Place {
        self.open.as_ref().map_or(Place::default(), Open::place)
    }

    /// Makes the next lines begin with a header.
    pub(super) fn begin_with_header(&mut self) {
        if let Some(open) = &mut self.open {
            open.has_header = false;
        }
    }

    /// Appends whole lines, all of them or none, and returns the place behind them. A file that was
    /// moved or deleted is created again. `header` makes the first line that this process writes into a
    /// file.
    pub(super) fn append(
        &mut self,
        lines: &[u8],
        mut header: impl FnMut() -> Vec<u8>,
        mut rotated_away: impl FnMut(&Path),
    ) -> io::Result<Place> {
        let mut open = match self.open.take() {
            Some(open) if open.is_at(&self.path) => open,
            _ => Open::at(&self.path)?,
        };
        let mut first = match open.has_header {
            true => Vec::new(),
            false => header(),
        };
        let more = u64::try_from(first.len() + lines.len()).unwrap_or(u64::MAX);
        if open.length > 0 && open.length.saturating_add(more) > self.max_bytes {
            drop(open);
            self.rotate(&mut rotated_away)?;
            open = Open::at(&self.path)?;
            if first.is_empty() {
                first = header();
            }
        }
        first.extend_from_slice(lines);
        open.append(&first)?;
        open.has_header = true;
        let place = open.place();
        self.open = Some(open);
        Ok(place)
    }

    /// Renames the full file to `FILE.1`, and the older ones to the next number. The oldest is
    /// replaced, after `rotated_away` has seen it.
    fn rotate(&self, rotated_away: &mut impl FnMut(&Path)) -> io::Result<()> {
        match self.files {
            0 => rotated_away(&self.path),
            files => rotated_away(&self.numbered(files)),
        }
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
    fn place(&self) -> Place {
        Place {
            file: self.number,
            offset: self.length,
        }
    }

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
        let number = number(&file.metadata()?);
        Ok(Self {
            file,
            length,
            number,
            has_header: false,
        })
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

/// Returns the number of the file at `path` on its disk, or 0 if there is none.
pub(super) fn number_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| number(&metadata))
}

/// Returns the number of a file on its disk. 0 where the system has none.
fn number(metadata: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::ino(metadata)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}
