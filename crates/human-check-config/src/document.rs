//! A configuration file as text, so that errors can say where in it they are.

use human_check_core::ConfigError;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::model::Model;

/// The file, and what environment variables put over it.
#[derive(Debug)]
pub(crate) struct Document {
    name: String,
    /// Holds no secret: those are only referred to.
    text: String,
    table: toml::Table,
    overrides: Vec<Override>,
}

/// One key that a variable sets, such as `HUMAN_CHECK__CHECK__USE=new`.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) variable: String,
    pub(crate) value: String,
}

/// What the names of variables begin with that set single keys.
pub(crate) const OVERRIDE: &str = "HUMAN_CHECK__";

impl Override {
    fn path(&self) -> Vec<String> {
        let name = self.variable.strip_prefix(OVERRIDE).unwrap_or_default();
        name.split("__").map(str::to_ascii_lowercase).collect()
    }
}

impl Document {
    pub(crate) fn read(
        name: impl Into<String>,
        text: String,
        overrides: Vec<Override>,
    ) -> Result<Self, ConfigError> {
        let mut document = Self {
            name: name.into(),
            table: toml::Table::new(),
            text,
            overrides,
        };
        document.table = document.text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| document.line(span.start));
            let field = format!("{}:{line}", document.name);
            ConfigError::new(
                field,
                format!("is no TOML: {}", one_line(error.message())),
                "mend that line",
            )
        })?;
        for over in document.overrides.clone() {
            document.put(&over)?;
        }
        Ok(document)
    }

    fn put(&mut self, over: &Override) -> Result<(), ConfigError> {
        let path = over.path();
        let wrong = || {
            ConfigError::new(
                over.variable.clone(),
                "leads to no key",
                "write the tables and the key, such as HUMAN_CHECK__CHECK__USE",
            )
        };
        let (key, tables) = path.split_last().ok_or_else(wrong)?;
        if path.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let mut table = &mut self.table;
        for name in tables {
            let entry = table.entry(name.clone());
            let entry = entry.or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = entry.as_table_mut().ok_or_else(wrong)?;
        }
        // As TOML where it is some, as text otherwise: `3000`, `["a", "b"]`, and `turnstile`.
        let parsed = format!("value = {}", over.value).parse::<toml::Table>();
        let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
        let text = || toml::Value::String(over.value.clone());
        table.insert(key.clone(), parsed.unwrap_or_else(text));
        Ok(())
    }

    pub(crate) fn model(&self) -> Result<Model, ConfigError> {
        self.read_as()
    }

    pub(crate) fn read_as<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let value = toml::Value::Table(self.table.clone());
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let message = one_line(error.inner().message());
            // What we say of a key ourselves brings its remedy along.
            let (problem, remedy) = match message.split_once("; ") {
                Some((problem, remedy)) => (problem.to_owned(), remedy.to_owned()),
                None => (
                    message,
                    "correct it; docs/configuration.md and the schema list every key".to_owned(),
                ),
            };
            ConfigError::new(self.at(&path), problem, remedy)
        })
    }

    /// Whether the key is there, in the file or by a variable.
    pub(crate) fn has(&self, path: &str) -> bool {
        let mut value: Option<&toml::Value> = None;
        for part in path.split('.') {
            let table = match value {
                None => &self.table,
                Some(toml::Value::Table(table)) => table,
                Some(_) => return false,
            };
            value = table.get(part);
            if value.is_none() {
                return false;
            }
        }
        value.is_some()
    }

    /// A key and where it stands: `human-check.toml:12: vendors.old.secret`.
    pub(crate) fn at(&self, path: &str) -> String {
        let parts: Vec<_> = path.split('.').filter(|part| !part.is_empty()).collect();
        let by_variable = self.overrides.iter().find(|over| over.path() == parts);
        if let Some(over) = by_variable {
            return over.variable.clone();
        }
        let line = self.line(self.offset(&parts));
        match parts.is_empty() || path == "." {
            true => format!("{}:{line}", self.name),
            false => format!("{}:{line}: {path}", self.name),
        }
    }

    /// Where the deepest part of the path that is there begins.
    fn offset(&self, parts: &[&str]) -> usize {
        let Ok(root) = DeTable::parse(&self.text) else {
            return 0;
        };
        let mut offset = 0;
        let mut table = root.get_ref();
        for part in parts {
            let found = table.iter().find(|(key, _)| key.get_ref() == part);
            let Some((key, value)) = found else {
                break;
            };
            offset = key.span().start;
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        offset
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A message of the parser on one line, without the text that it complains about: somebody may have
/// written a secret there.
fn one_line(message: &str) -> String {
    let message = message.replace('\n', " ");
    for (intro, end, word) in [
        ("string \"", '"', "text"),
        ("integer `", '`', "a number"),
        ("floating point `", '`', "a number"),
        ("unknown variant `", '`', "none of its values"),
    ] {
        if let Some((before, rest)) = message.split_once(intro) {
            // What was written may hold the closing character itself, what follows it never does.
            let expected = rest.rfind(", expected").unwrap_or(rest.len());
            let after = &rest[expected..];
            let closed = rest[..expected].ends_with(end);
            return format!("{before}{word}{}", if closed { after } else { "" });
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[vendors.old]
provider = "hcaptcha"
site_key = "k"

[check]
use = "old"
"#;

    fn read(text: &str, overrides: &[(&str, &str)]) -> Result<Document, ConfigError> {
        let overrides = overrides.iter().map(|(variable, value)| Override {
            variable: (*variable).to_owned(),
            value: (*value).to_owned(),
        });
        Document::read("f.toml", text.to_owned(), overrides.collect())
    }

    #[test]
    fn a_key_is_found_on_its_line_and_an_absent_one_at_its_table() {
        let document = read(TEXT, &[]).unwrap();
        assert_eq!(
            document.at("vendors.old.site_key"),
            "f.toml:4: vendors.old.site_key"
        );
        assert_eq!(
            document.at("vendors.old.secret"),
            "f.toml:2: vendors.old.secret"
        );
        assert_eq!(document.at("check.use"), "f.toml:7: check.use");
        assert!(document.has("check.use") && !document.has("check.use.x"));
    }

    #[test]
    fn a_variable_sets_a_key_and_is_named_in_its_place() {
        let document = read(
            TEXT,
            &[
                ("HUMAN_CHECK__CHECK__USE", "new"),
                ("HUMAN_CHECK__CHECK__DEADLINE_MS", "250"),
            ],
        )
        .unwrap();
        assert_eq!(document.table["check"]["use"].as_str(), Some("new"));
        assert_eq!(
            document.table["check"]["deadline_ms"].as_integer(),
            Some(250)
        );
        assert_eq!(document.at("check.use"), "HUMAN_CHECK__CHECK__USE");
        assert!(read(TEXT, &[("HUMAN_CHECK__CHECK__USE__X", "1")]).is_err());
        assert!(read(TEXT, &[("HUMAN_CHECK__", "1")]).is_err());
    }

    #[test]
    fn what_is_no_toml_is_told_by_its_line() {
        let error = read("[check]\nuse = old\n", &[]).unwrap_err();
        assert_eq!(error.field(), "f.toml:2");
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for text in [
            "[vendors.old]\nprovider = \"hcaptcha\"\nsite_key = \"k\"\nsecret = \"0xCANARY\"\n",
            "[vendors.old]\nprovider = \"0xCANARY\"\n",
            "[vendors.old]\nprovider = 5417\n",
            "[vendors.old]\nprovider = \"hcaptcha\"\nsite_key = 5417\n",
            "[vendors.old]\nprovider = \"hcaptcha\"\nsite_key = \"k\"\nsecret = 5417\n",
            "[vendors.old]\nprovider = \"hcaptcha\"\nsite_key = \"k\"\nsecret = 5417.5\n",
            "[vendors.old]\nprovider = \"hcaptcha\"\nsite_key = \"k\"\nmin_score = \"0xCANARY\"\n",
        ] {
            let error = read(text, &[]).unwrap().model().unwrap_err();
            assert!(error.field().starts_with("f.toml:"), "{error}");
            let error = error.to_string();
            assert!(
                !error.contains("CANARY") && !error.contains("5417"),
                "{error}"
            );
        }
    }
}
