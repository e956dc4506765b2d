use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use human_check_compare::JsonLinesSink;
use human_check_core::{Comparison, ComparisonSink, ConfigError};

/// The files of comparisons, each opened once.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    open: Mutex<HashMap<PathBuf, Arc<dyn ComparisonSink>>>,
    /// Whether no file is opened, as in a dry run.
    dry: bool,
}

impl Sinks {
    /// Creates sinks that open no file, for a dry run.
    pub(crate) fn dry() -> Self {
        Self {
            dry: true,
            ..Self::default()
        }
    }

    /// Opens the file at `path`, or returns the sink that was opened for it before. A dry run only
    /// checks that its folder exists.
    pub(crate) fn open(&self, path: &Path) -> Result<Arc<dyn ComparisonSink>, ConfigError> {
        if self.dry {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let is_possible = folder.is_none_or(Path::is_dir) && !path.is_dir();
            return match is_possible {
                true => Ok(Arc::new(NoSink)),
                false => Err(ConfigError::new(
                    "file",
                    format!("is {}, where no file can be written", path.display()),
                    "name a file in a folder that exists",
                )),
            };
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = open.get(path) {
            return Ok(Arc::clone(sink));
        }
        let sink: Arc<dyn ComparisonSink> = Arc::new(JsonLinesSink::open(path)?);
        open.insert(path.to_owned(), Arc::clone(&sink));
        Ok(sink)
    }
}

/// A sink that drops all comparisons, for a dry run.
#[derive(Debug)]
struct NoSink;

impl ComparisonSink for NoSink {
    fn record(&self, _: Comparison) {}

    fn lost(&self, _: &'static str) {}
}
