use std::ffi::OsString;
use std::path::PathBuf;

use human_check_core::ConfigError;

use super::short_form::{self, PREFIX};
use super::{Override, Source, Syntax, Variable};

/// The variables of a process, as far as they concern us.
pub(crate) struct Environment {
    /// `HUMAN_CHECK_…`, names without the prefix; those that are blank count as not set.
    short: Vec<(String, String)>,
    /// `HUMAN_CHECK__TABLE__KEY`.
    overrides: Vec<Override>,
    /// In another case, so misspelt and not absent.
    misspelt: Option<String>,
}

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn of_this_process() -> Result<Self, ConfigError> {
        Self::read(std::env::vars_os())
    }

    /// Reads these variables. Those of another prefix are ignored.
    pub(crate) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut all = Self {
            short: Vec::new(),
            overrides: Vec::new(),
            misspelt: None,
        };
        for (name, value) in variables {
            let ours = |name: &&str| {
                let prefix = name.get(..PREFIX.len());
                prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
            };
            let Some(name) = name.to_str().filter(ours) else {
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

    /// The single keys that variables set.
    pub(crate) fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    /// The file that `HUMAN_CHECK_CONFIG` names.
    fn file(&self) -> Option<PathBuf> {
        let named = self.short.iter().find(|(name, _)| name == "CONFIG");
        named.map(|(_, path)| PathBuf::from(path))
    }

    /// What the variables describe: a file, or one provider in the short form, or single keys; over the
    /// first two, single keys.
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

    fn document(&self) -> Result<super::Document, ConfigError> {
        if let Some(name) = &self.misspelt {
            return Err(ConfigError::new(
                name.clone(),
                "is not known",
                format!("write it in capitals: {}", name.to_ascii_uppercase()),
            ));
        }
        let is_short = |(name, _): &(String, String)| short_form::says_what_a_file_says(name);
        if self.short.iter().any(is_short) || self.overrides.is_empty() {
            return short_form::document(&self.short);
        }
        // Everything is in single keys, each of which names itself in an error.
        let place = |path: &super::KeyPath| format!("environment: {path}");
        let place = std::sync::Arc::new(place);
        Ok(super::Document::from_table(
            "environment",
            toml::Table::new(),
            place,
        ))
    }

    /// One of them that is ignored looks like a rule.
    fn refuse_beside_a_file(&self) -> Result<(), ConfigError> {
        let mut short = self.short.iter();
        match short.find(|(name, _)| short_form::says_what_a_file_says(name)) {
            None => Ok(()),
            Some((name, _)) => Err(ConfigError::new(
                format!("{PREFIX}{name}"),
                "is set beside a configuration file, which says all of that",
                "unset it, or write HUMAN_CHECK__… with the table and key that it is to change",
            )),
        }
    }
}
