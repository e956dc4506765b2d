use std::sync::Arc;

use human_check_core::ConfigError;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::KeyPath;
use crate::model::Model;
use crate::provider_kind::REGISTERED_KIND;
use crate::registered::Registered;
use crate::suggestion::suggestion;

/// A configuration as a table, with the place where each of its keys was written.
///
/// It holds references to secrets, and no secret.
#[derive(Clone)]
pub(crate) struct Document {
    origin: Origin,
    table: toml::Table,
    overrides: Vec<Override>,
}

/// How the place of a key is found.
#[derive(Clone)]
enum Origin {
    /// In the text of a TOML file.
    Toml { name: String, text: String },
    /// By a function, for another syntax. `name` is the name of the whole configuration in errors.
    Other { name: String, place: Place },
}

/// Returns the place where the key at a path was written, or where it would be.
pub(crate) type Place = Arc<dyn Fn(&KeyPath) -> String + Send + Sync>;

/// One key that a variable sets, such as `HUMAN_CHECK__CHECK__USE=new`.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    /// The whole name of the variable.
    pub(crate) variable: String,
    /// Its text, which is TOML or plain text.
    pub(crate) value: String,
}

impl Override {
    /// The prefix of such variables.
    pub(crate) const PREFIX: &str = "HUMAN_CHECK__";

    /// Returns the path of the key, in lower case.
    fn path(&self) -> KeyPath {
        let name = self.variable.strip_prefix(Self::PREFIX);
        let parts = name.unwrap_or_default().split("__");
        parts.map(str::to_ascii_lowercase).collect()
    }
}

impl Document {
    /// Parses the text of the file called `name`.
    pub(crate) fn from_toml(name: impl Into<String>, text: &str) -> Result<Self, ConfigError> {
        let name = name.into();
        let table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line(text, span.start));
            ConfigError::new(
                format!("{name}:{line}"),
                format!("is not valid TOML: {}", one_line(error.message())),
                "correct that line",
            )
        })?;
        let text = text.to_owned();
        Ok(Self {
            origin: Origin::Toml { name, text },
            table,
            overrides: Vec::new(),
        })
    }

    /// Creates a document from a table that was written in another syntax. `place` returns the
    /// place of each key.
    pub(crate) fn from_table(name: impl Into<String>, table: toml::Table, place: Place) -> Self {
        Self {
            origin: Origin::Other {
                name: name.into(),
                place,
            },
            table,
            overrides: Vec::new(),
        }
    }

    /// Sets the keys that single variables override.
    pub(crate) fn with_overrides(mut self, overrides: &[Override]) -> Result<Self, ConfigError> {
        for one in overrides {
            self.set(one)?;
        }
        self.overrides = overrides.to_vec();
        Ok(self)
    }

    /// Sets the key of one override.
    fn set(&mut self, one: &Override) -> Result<(), ConfigError> {
        let path = one.path();
        let wrong = || {
            ConfigError::new(
                one.variable.clone(),
                "names no key",
                "write the tables and the key, such as HUMAN_CHECK__CHECK__USE",
            )
        };
        let (key, tables) = path.parts().split_last().ok_or_else(wrong)?;
        // No key is deeper than that, and a text of the environment must not nest tables at will.
        const MAX_DEPTH: usize = 8;
        if path.parts().iter().any(String::is_empty) || path.parts().len() > MAX_DEPTH {
            return Err(wrong());
        }
        let mut table = &mut self.table;
        for name in tables {
            let entry = table.entry(name.clone());
            let entry = entry.or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = entry.as_table_mut().ok_or_else(wrong)?;
        }
        // `3000` and `["a", "b"]` are TOML; `turnstile` is not, and is read as text.
        let parsed = format!("value = {}", one.value).parse::<toml::Table>();
        let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
        let text = || toml::Value::String(one.value.clone());
        table.insert(key.clone(), parsed.unwrap_or_else(text));
        Ok(())
    }

    /// Returns the name of the whole configuration in errors.
    pub(crate) fn name(&self) -> &str {
        match &self.origin {
            Origin::Toml { name, .. } | Origin::Other { name, .. } => name,
        }
    }

    /// Reads the whole configuration, in which `registered` are further kinds of provider.
    pub(crate) fn model(&self, registered: &Registered) -> Result<Model, ConfigError> {
        self.refuse_fixed_policies()?;
        self.with_registered_kinds(registered).read_as()
    }

    /// Marks the accounts whose kind the program registered in code.
    fn with_registered_kinds(&self, registered: &Registered) -> Self {
        let mut marked = self.clone();
        let accounts = marked.table.get_mut("providers");
        let accounts = accounts.and_then(toml::Value::as_table_mut);
        for (_, account) in accounts.into_iter().flatten() {
            let Some(account) = account.as_table_mut() else {
                continue;
            };
            let kind = account.get("kind").and_then(toml::Value::as_str);
            let Some(kind) = registered.kinds().find(|known| Some(*known) == kind) else {
                continue;
            };
            let text = |text: &str| toml::Value::String(text.to_owned());
            account.insert("registered kind".to_owned(), text(kind));
            account.insert("kind".to_owned(), text(REGISTERED_KIND));
        }
        marked
    }

    /// Refuses keys for errors on which no route fails open. They get an error with the reason,
    /// because the error about an unknown key would only list the known keys.
    fn refuse_fixed_policies(&self) -> Result<(), ConfigError> {
        let routes = self.table.get("routes").and_then(toml::Value::as_table);
        for (name, _) in routes.into_iter().flatten() {
            for (key, error) in [
                (
                    "on_misconfigured",
                    "a wrong configuration, which would remain unnoticed",
                ),
                (
                    "on_protocol",
                    "an invalid reply, which a client may be able to cause",
                ),
            ] {
                let path = KeyPath::route(name).join(key);
                if self.has(&path) {
                    let problem = format!("cannot be set: no route fails open on {error}");
                    return Err(ConfigError::new(self.at(&path), problem, "leave it out"));
                }
            }
        }
        Ok(())
    }

    /// Reads the table as a `T`. An error names the place of the key.
    pub(crate) fn read_as<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let value = toml::Value::Table(self.table.clone());
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = KeyPath::from(error.path());
            let message = one_line(error.inner().message());
            let (problem, remedy) = in_plain_words(&message);
            ConfigError::new(self.at(&path), problem, remedy)
        })
    }

    /// Returns whether the key is set, in any syntax.
    pub(crate) fn has(&self, path: &KeyPath) -> bool {
        let Some((first, rest)) = path.parts().split_first() else {
            return false;
        };
        let mut value = self.table.get(first);
        for part in rest {
            value = value.and_then(|value| value.as_table()?.get(part));
        }
        value.is_some()
    }

    /// Returns how the key is set in this syntax: `key = value` in a file, `VARIABLE=text` by a
    /// variable.
    pub(crate) fn setting(&self, path: &KeyPath, value: &str, text: &str) -> String {
        let place = self.at(path);
        match place.starts_with("HUMAN_CHECK_") {
            true => format!("{place}={text}"),
            false => {
                let key = path.parts().last().map_or("", String::as_str);
                format!("{key} = {value}")
            }
        }
    }

    /// Returns the place of a key in the syntax of the configuration, such as
    /// `human-check.toml:12: providers.old.secret`, or the name of a variable.
    pub(crate) fn at(&self, path: &KeyPath) -> String {
        let by_variable = self.overrides.iter().find(|one| one.path() == *path);
        if let Some(one) = by_variable {
            return one.variable.clone();
        }
        match &self.origin {
            Origin::Other { place, .. } => place(path),
            Origin::Toml { name, text } => {
                let line = line(text, offset(text, path.parts()));
                match path.parts() {
                    [] => format!("{name}:{line}"),
                    _ => format!("{name}:{line}: {path}"),
                }
            }
        }
    }
}

/// Returns where the key begins in `text`, or the deepest of its tables that the text has.
fn offset(text: &str, parts: &[String]) -> usize {
    let Ok(root) = DeTable::parse(text) else {
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

/// Returns the number of the line at `offset`, from 1.
fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// Returns a message of the parser on one line, without the value that it is about, which may be a
/// secret in the wrong place.
fn one_line(message: &str) -> String {
    let message = message.replace('\n', " ");
    for (intro, end, word) in [
        ("string \"", '"', "text"),
        ("integer `", '`', "a number"),
        ("floating point `", '`', "a number"),
        ("unknown variant `", '`', "none of its values"),
    ] {
        if let Some((before, rest)) = message.split_once(intro) {
            // The value may hold the closing character, and the text after the value never does.
            let expected = rest.rfind(", expected").unwrap_or(rest.len());
            let after = &rest[expected..];
            let closed = rest[..expected].ends_with(end);
            return format!("{before}{word}{}", if closed { after } else { "" });
        }
    }
    message
}

/// Takes a message of serde, or one of this crate in the form "problem; remedy", apart.
fn in_plain_words(message: &str) -> (String, String) {
    if let Some((problem, remedy)) = message.split_once("; ") {
        return (problem.to_owned(), remedy.to_owned());
    }
    // serde writes each name between backticks: the unknown one first, then the known ones.
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(unknown) = names.next()
    {
        let problem = "is not a key of this table".to_owned();
        return (problem, suggestion(unknown, names));
    }
    if let Some(values) = message.strip_prefix("none of its values, expected ") {
        let values = values.trim_start_matches("one of ");
        return (
            "is none of its values".to_owned(),
            format!("write one of {values}"),
        );
    }
    let problem = message.replace(
        "expected a sequence",
        "expected a list, such as [\"a\", \"b\"]",
    );
    let remedy = "correct it; the page \"Configuration\" and the schema list every key";
    (problem, remedy.to_owned())
}

#[cfg(test)]
#[cfg(feature = "hcaptcha")]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[providers.old]
kind = "hcaptcha"
site_key = "k"

[check]
use = "old"
"#;

    fn read(text: &str, overrides: &[(&str, &str)]) -> Result<Document, ConfigError> {
        let overrides = overrides.iter().map(|(variable, value)| Override {
            variable: (*variable).to_owned(),
            value: (*value).to_owned(),
        });
        Document::from_toml("f.toml", text)?.with_overrides(&overrides.collect::<Vec<_>>())
    }

    #[test]
    fn a_key_is_found_on_its_line_and_an_absent_one_at_its_table() {
        let document = read(TEXT, &[]).unwrap();
        let old = KeyPath::provider("old");
        assert_eq!(
            document.at(&old.join("site_key")),
            "f.toml:4: providers.old.site_key"
        );
        assert_eq!(
            document.at(&old.join("secret")),
            "f.toml:2: providers.old.secret"
        );
        assert_eq!(document.at(&"check.use".into()), "f.toml:7: check.use");
        assert!(document.has(&"check.use".into()) && !document.has(&"check.use.x".into()));
    }

    #[test]
    fn a_variable_sets_a_key_and_is_named_in_its_place() {
        let document = read(
            TEXT,
            &[
                ("HUMAN_CHECK__CHECK__USE", "new"),
                ("HUMAN_CHECK__CHECK__TIMEOUT", "250ms"),
            ],
        )
        .unwrap();
        assert_eq!(document.table["check"]["use"].as_str(), Some("new"));
        assert_eq!(document.table["check"]["timeout"].as_str(), Some("250ms"));
        assert_eq!(document.at(&"check.use".into()), "HUMAN_CHECK__CHECK__USE");
        assert!(read(TEXT, &[("HUMAN_CHECK__CHECK__USE__X", "1")]).is_err());
        assert!(read(TEXT, &[("HUMAN_CHECK__", "1")]).is_err());
    }

    #[test]
    fn what_is_no_toml_is_told_by_its_line() {
        let error = read("[check]\nuse = old\n", &[]).err().unwrap();
        assert_eq!(error.field(), "f.toml:2");
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for text in [
            "[providers.old]\nkind = \"hcaptcha\"\nsite_key = \"k\"\nsecret = \"0xCANARY\"\n",
            "[providers.old]\nkind = \"0xCANARY\"\n",
            "[providers.old]\nkind = 5417\n",
            "[providers.old]\nkind = \"hcaptcha\"\nsite_key = 5417\n",
            "[providers.old]\nkind = \"hcaptcha\"\nsite_key = \"k\"\nsecret = 5417\n",
            "[providers.old]\nkind = \"hcaptcha\"\nsite_key = \"k\"\nsecret = 5417.5\n",
            "[providers.old]\nkind = \"hcaptcha\"\nsite_key = \"k\"\nmin_score = \"0xCANARY\"\n",
            "[providers.old]\nkind = \"hcaptcha\"\nchallenge_ttl = \"0xCANARY\"\n",
            "[providers.old]\nkind = \"hcaptcha\"\n[routes.a]\non_outage = \"0xCANARY\"\n",
        ] {
            let error = read(text, &[])
                .unwrap()
                .model(&Registered::default())
                .unwrap_err();
            assert!(error.field().starts_with("f.toml:"), "{error}");
            let error = error.to_string();
            assert!(
                !error.contains("CANARY") && !error.contains("5417"),
                "{error}"
            );
        }
    }
}
