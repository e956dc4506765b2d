/// How much a [`JsonLinesSink`](crate::JsonLinesSink) keeps, in memory and on disk.
///
/// ```
/// use human_check_compare::{JsonLinesSink, Retention};
///
/// # fn open(path: &str) -> Result<JsonLinesSink, human_check_core::ConfigError> {
/// let mut retention = Retention::default();
/// retention.bytes = 16 * 1_024 * 1_024;
/// retention.files = 10;
/// JsonLinesSink::options().with_retention(retention).open(path)
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// How many comparisons may wait to be written, at least 1. Those beyond are dropped. Default
    /// 1,024.
    pub waiting: usize,
    /// The maximum size of a file in bytes, at least 1. Then the file is renamed. Default 64 MiB.
    pub bytes: u64,
    /// How many full files are kept beside the current one, as `file.1` (the youngest), `file.2`
    /// and so on. With 0, a full file is deleted. Default 5.
    pub files: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            waiting: 1_024,
            bytes: 64 * 1_024 * 1_024,
            files: 5,
        }
    }
}
