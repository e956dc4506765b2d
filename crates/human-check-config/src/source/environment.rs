use std::ffi::OsString;
use std::path::PathBuf;

use human_check_core::ConfigError;

use super::short_form::{self, PREFIX};
use super::{Override, Source, Syntax, Variable};

/// The variables of a process that begin with `HUMAN_CHECK_`.
pub(crate) struct Environment {
    /// Variables `HUMAN_CHECK_…`, with names without the prefix. Blank ones are left out.
    short: Vec<(String, String)>,
    /// Variables `HUMAN_CHECK__TABLE__KEY`, in the order of their names.
    overrides: Vec<Override>,
    /// The name of a variable whose prefix is not in capitals.
    misspelt: Option<String>,
}

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn of_this_process() -> Result<Self, ConfigError> {
        Self::read(std::env::vars_os())
    }

    /// Reads `variables`. Those without the prefix are ignored.
    pub(crate) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut all = Self {
            short: Vec::new(),
            overrides: Vec::new(),
            misspelt: None,
        };
        for (name, value) in variables {
            let has_prefix = |name: &&str| {
                let prefix = name.get(..PREFIX.len());
                prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
            };
            let Some(name) = name.to_str().filter(has_prefix) else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                ConfigError::new(name.to_owned(), "is not UTF-8", "write plain text")
            })?;
            if name.starts_with(Override::PREFIX) {
                let variable = name.to_owned();
                all.overrides.push(Override { variable, value });
            } else if let Some(short) = name.strip_prefix(PREFIX) {
                if !value.trim().is_empty() {
                    all.short.push((short.to_owned(), value.trim().to_owned()));
                }
            } else {
                all.misspelt = Some(name.to_owned());
            }
        }
        all.overrides
            .sort_by(|one, other| one.variable.cmp(&other.variable));
        Ok(all)
    }

    /// Returns the single keys that variables set.
    pub(crate) fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// Returns the path of the file that `HUMAN_CHECK_CONFIG` names.
    fn file(&self) -> Option<PathBuf> {
        let named = self.short.iter().find(|(name, _)| name == "CONFIG");
        named.map(|(_, path)| PathBuf::from(path))
    }

    /// Returns the source that the variables describe: a file, one provider in the short form, or
    /// nothing but single keys. Single keys override those of the first two.
    pub(crate) fn source(self, variable: Variable) -> Result<Source, ConfigError> {
        let syntax = match self.file() {
            Some(file) => {
                self.refuse_beside_a_file()?;
                Syntax::File(file)
            }
            None => Syntax::Fixed(self.document()?),
        };
        Ok(Source {
            syntax,
            overrides: self.overrides,
            variable,
        })
    }

    /// Returns the document without a file: the short form, or an empty one for single keys.
    fn document(&self) -> Result<super::Document, ConfigError> {
        if let Some(name) = &self.misspelt {
            return Err(ConfigError::new(
                name.clone(),
                "is not known",
                format!("write it in capitals: {}", name.to_ascii_uppercase()),
            ));
        }
        let is_short = |(name, _): &(String, String)| short_form::sets_a_key(name);
        if self.short.iter().any(is_short) || self.overrides.is_empty() {
            return short_form::document(&self.short, &self.overrides);
        }
        // All keys are set by single variables. An error about one of them names its variable.
        let place = |path: &super::KeyPath| format!("environment: {path}");
        let place = std::sync::Arc::new(place);
        Ok(super::Document::from_table(
            "environment",
            toml::Table::new(),
            place,
        ))
    }

    /// Refuses variables of the short form beside a file. If they were ignored, an operator would
    /// take them for rules in force.
    fn refuse_beside_a_file(&self) -> Result<(), ConfigError> {
        let mut short = self.short.iter();
        match short.find(|(name, _)| short_form::sets_a_key(name)) {
            None => Ok(()),
            Some((name, _)) => Err(ConfigError::new(
                format!("{PREFIX}{name}"),
                "is set beside a configuration file, which sets its key",
                "unset it, or override the key with HUMAN_CHECK__TABLE__KEY",
            )),
        }
    }
}
