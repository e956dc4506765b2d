use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The small file beside a file of records, `FILE.lock`: the lock of its only writer, and how many
/// records were sent to it.
///
/// The number is written before a record waits for the writer. So after a process was killed, the next
/// one knows how many records never reached the file.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    sent: Mutex<u64>,
}

/// What is known of the records that were sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Account {
    /// How many were written or said to be lost.
    pub(super) accounted: u64,
    /// Up to where that holds for the file, in bytes.
    pub(super) place: Place,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Place {
    /// The number of the file on its disk, so that a file that was moved is not taken for the new one.
    pub(super) file: u64,
    /// The offset in bytes.
    pub(super) offset: u64,
}

/// The places of the numbers in the file.
const SENT: u64 = 0;
const ACCOUNT: u64 = 8;

impl Ledger {
    /// Opens the ledger of a file of records and locks it. `None` if another process, or another sink
    /// of this one, writes the file.
    pub(super) fn lock(records: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path(records))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut bytes = [0; 8];
        let sent = match read_at(&file, &mut bytes, SENT) {
            Ok(()) => u64::from_le_bytes(bytes),
            // A new ledger. All its bytes are written now, while the disk has room for them.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                write_at(&file, &[0; 32], SENT)?;
                0
            }
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            file,
            sent: Mutex::new(sent),
        }))
    }

    /// Returns how many records were sent.
    pub(super) fn sent(&self) -> u64 {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one record as sent.
    pub(super) fn count_sent(&self) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        *sent += 1;
        // Bytes that the file has already need no room on the disk. If they cannot be written, the
        // number is known to this process only.
        let _ = write_at(&self.file, &sent.to_le_bytes(), SENT);
    }

    /// Returns what is known of the records before this process.
    pub(super) fn account(&self) -> Account {
        let mut bytes = [0; 24];
        if read_at(&self.file, &mut bytes, ACCOUNT).is_err() {
            return Account::default();
        }
        let [accounted, file, offset] = [0, 8, 16].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        });
        Account {
            accounted,
            place: Place { file, offset },
        }
    }

    /// Writes what is known.
    pub(super) fn set_account(&self, account: Account) {
        let mut bytes = [0; 24];
        let numbers = [account.accounted, account.place.file, account.place.offset];
        for (bytes, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        let _ = write_at(&self.file, &bytes, ACCOUNT);
    }
}

/// Returns the path of the ledger of a file of records.
fn path(records: &Path) -> PathBuf {
    let mut name = records.to_owned().into_os_string();
    name.push(".lock");
    name.into()
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_write(file, bytes, at)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
        read if read == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
