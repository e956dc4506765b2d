//! A document together with its directory, the variables and the secret files that it refers to.

use std::path::Path;

use human_check_core::{ConfigError, Secret};

use crate::model::SecretRef;
use crate::source::{Document, KeyPath, SecretFiles};

/// The sources that keys and secrets are read from, for building and for errors.
pub(crate) struct Context<'a> {
    /// The configuration, which knows where each key was written.
    pub(crate) document: &'a Document,
    /// The directory that relative paths start from.
    pub(crate) directory: &'a Path,
    /// Looks a variable up by its name.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The files that secrets are read from, which a reload compares.
    pub(crate) secrets: &'a SecretFiles,
}

impl Context<'_> {
    /// Creates an error about the key at `path`.
    pub(crate) fn wrong(
        &self,
        path: &KeyPath,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        ConfigError::new(self.document.at(path), problem.into(), remedy.into())
    }

    /// Puts the place of the key at `path` into an error of code that knows no configuration.
    pub(crate) fn placed(&self, path: &KeyPath, error: ConfigError) -> ConfigError {
        error.with_field(self.document.at(path))
    }

    /// Reads the secret that the key at `path` refers to, by default the one in the variable
    /// `default`.
    ///
    /// Its errors do not show the secret, even where it was written in the place of a name or a
    /// path.
    pub(crate) fn secret(
        &self,
        path: &KeyPath,
        reference: Option<&SecretRef>,
        default: &str,
    ) -> Result<Secret, ConfigError> {
        let default = SecretRef::Env(default.to_owned());
        let text = self.secret_text(path, reference.unwrap_or(&default))?;
        Secret::new(text.trim()).map_err(|error| self.placed(path, error))
    }

    /// Reads the text that the key at `path` refers to.
    pub(crate) fn secret_text(
        &self,
        path: &KeyPath,
        reference: &SecretRef,
    ) -> Result<String, ConfigError> {
        Ok(match reference {
            SecretRef::Env(name) => (self.variable)(name).ok_or_else(|| {
                let shown = shown(name);
                let problem = format!("is in the variable {shown}, which is not set");
                self.wrong(path, problem, format!("set {shown} to the secret"))
            })?,
            SecretRef::File(file) => {
                let path_of_file = self.directory.join(file);
                self.secrets.read(&path_of_file).map_err(|error| {
                    // A text that leads into no folder of this machine may be the secret itself.
                    let leads_somewhere = path_of_file.parent().is_some_and(Path::is_dir)
                        && (file.contains('/') || file.contains('.'));
                    let shown = match leads_somewhere && !file.contains([':', '@']) {
                        true => path_of_file.display().to_string(),
                        false => "that `file` names".to_owned(),
                    };
                    let problem = format!("is in the file {shown}, which cannot be read ({error})");
                    self.wrong(path, problem, "check the path and its permissions")
                })?
            }
        })
    }
}

/// Returns the name of a variable for an error, unless it may be a secret that was written in its
/// place.
fn shown(name: &str) -> &str {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if letters && digits < 4 {
        name
    } else {
        "that `env` names"
    }
}
