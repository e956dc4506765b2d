use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use human_check_compare::JsonLinesSink;
use human_check_core::{Comparison, ComparisonSink, ConfigError};

/// Files of comparisons, each opened once.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    open: Mutex<HashMap<PathBuf, Arc<dyn ComparisonSink>>>,
    /// Nothing is written, only looked at.
    dry: bool,
}

impl Sinks {
    /// Sinks that open no file.
    pub(crate) fn dry() -> Self {
        Self {
            dry: true,
            ..Self::default()
        }
    }

    pub(crate) fn open(&self, path: &Path) -> Result<Arc<dyn ComparisonSink>, ConfigError> {
        if self.dry {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let there = folder.is_none_or(Path::is_dir) && !path.is_dir();
            return match there {
                true => Ok(Arc::new(Unwritten)),
                false => Err(ConfigError::new(
                    "file",
                    format!("is {}, where no file can be written", path.display()),
                    "name a file in a folder that is there",
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

/// For a configuration that is looked at and never in force.
#[derive(Debug)]
struct Unwritten;

impl ComparisonSink for Unwritten {
    fn record(&self, _: Comparison) {}
}
