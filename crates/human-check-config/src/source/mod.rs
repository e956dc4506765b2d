//! The sources of a configuration: three syntaxes of one model.

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

/// The source of a configuration, from which a reload reads it again.
pub(crate) struct Source {
    /// The file, or the document that was read once.
    pub(crate) syntax: Syntax,
    /// The single keys that variables override.
    pub(crate) overrides: Vec<Override>,
    /// Looks up the variables that secrets are in.
    pub(crate) variable: Variable,
}

/// Looks a variable up by its name. `None` if it is not set.
pub(crate) type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The syntax of a configuration.
pub(crate) enum Syntax {
    /// A TOML file.
    File(PathBuf),
    /// A document that was read once, from variables, a figment, or the text of a test.
    Fixed(Document),
}

impl Source {
    /// Returns the name of the whole configuration in errors.
    pub(crate) fn name(&self) -> String {
        match &self.syntax {
            Syntax::File(file) => file.display().to_string(),
            Syntax::Fixed(document) => document.name().to_owned(),
        }
    }

    /// Returns the directory that relative paths start from.
    pub(crate) fn directory(&self) -> &Path {
        let file = match &self.syntax {
            Syntax::File(file) => file.parent(),
            Syntax::Fixed(_) => None,
        };
        file.unwrap_or(Path::new("."))
    }

    /// Returns the present text of the file, which a reload compares. Empty for a document that was
    /// read once.
    pub(crate) fn text(&self) -> Result<String, ConfigError> {
        match &self.syntax {
            Syntax::File(file) => read(file),
            Syntax::Fixed(_) => Ok(String::new()),
        }
    }

    /// Parses `text`, the present text of the file, or returns the document that was read once.
    /// With the overrides.
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
