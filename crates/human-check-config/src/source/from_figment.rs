//! Reads a table of a figment, such as that of Rocket's configuration.

use std::sync::Arc;

use figment::Figment;
use human_check_core::ConfigError;

use super::{Document, KeyPath};

/// Reads the document at `table` of `figment`. The place of a key has the source that the figment
/// knows, such as `TOML file Rocket.toml: human_check.check.use`.
pub(crate) fn document(figment: &Figment, table: &str) -> Result<Document, ConfigError> {
    let values: toml::Table = figment.extract_inner(table).map_err(|error| {
        // The figment's own error may quote a value, which may be a secret in the wrong place.
        let kind = match error.missing() {
            true => "is missing",
            false => "is not a table",
        };
        let remedy = format!(
            "write the tables of a configuration below it, such as [default.{table}.check] in Rocket.toml"
        );
        ConfigError::new(table.to_owned(), kind, remedy)
    })?;
    let (figment, name) = (figment.clone(), table.to_owned());
    let place = move |path: &KeyPath| {
        let mut whole = name.clone();
        for part in path.parts() {
            whole = format!("{whole}.{part}");
        }
        // A missing key has the source of the table that it would be in.
        let mut known = Some(whole.as_str());
        while let Some(key) = known {
            if let Some(metadata) = figment.find_metadata(key) {
                return match &metadata.source {
                    Some(source) => format!("{} {source}: {whole}", metadata.name),
                    None => format!("{}: {whole}", metadata.name),
                };
            }
            known = key.rsplit_once('.').map(|(table, _)| table);
        }
        whole
    };
    Ok(Document::from_table(table, values, Arc::new(place)))
}
