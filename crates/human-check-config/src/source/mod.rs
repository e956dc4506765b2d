//! Where a configuration comes from, in three syntaxes of one model.

mod document;
mod environment;
#[cfg(feature = "figment")]
pub(crate) mod from_figment;
mod key_path;
mod secret_files;
mod short_form;

use std::path::{Path, PathBuf};

use human_check_core::ConfigError;

pub(crate) use document::{Document, Override};
pub(crate) use environment::Environment;
pub(crate) use key_path::KeyPath;
pub(crate) use secret_files::SecretFiles;

/// Where a configuration comes from, so that it can be read again.
pub(crate) struct Source {
    pub(crate) syntax: Syntax,
    pub(crate) overrides: Vec<Override>,
    pub(crate) variable: Variable,
}

/// Looks a variable up by its name.
pub(crate) type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Who wrote the configuration, and how.
pub(crate) enum Syntax {
    /// A TOML file.
    File(PathBuf),
    /// A document that was read once: variables, a figment, the text of a test.
    Fixed(Document),
}

impl Source {
    /// How an error names the whole of it.
    pub(crate) fn name(&self) -> String {
        match &self.syntax {
            Syntax::File(file) => file.display().to_string(),
            Syntax::Fixed(document) => document.name().to_owned(),
        }
    }

    /// The directory that relative paths start from.
    pub(crate) fn directory(&self) -> &Path {
        let file = match &self.syntax {
            Syntax::File(file) => file.parent(),
            Syntax::Fixed(_) => None,
        };
        file.unwrap_or(Path::new("."))
    }

    /// What a file holds now, to see whether it changed. Empty for what is read once.
    pub(crate) fn text(&self) -> Result<String, ConfigError> {
        match &self.syntax {
            Syntax::File(file) => read(file),
            Syntax::Fixed(_) => Ok(String::new()),
        }
    }

    /// Reads `text`, the present content of the file, or takes what was read once.
    pub(crate) fn document(&self, text: &str) -> Result<Document, ConfigError> {
        let document = match &self.syntax {
            Syntax::File(_) => Document::from_toml(self.name(), text)?,
            Syntax::Fixed(document) => document.clone(),
        };
        document.with_overrides(&self.overrides)
    }
}

/// Reads a configuration file.
pub(crate) fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| {
        ConfigError::new(
            file.display().to_string(),
            format!("cannot be read ({error})"),
            "check the path and its permissions",
        )
    })
}
