use human_check_core::ConfigError;

/// The default name.
const CLAIMS: &str = "human_check_claims";

/// How many expired claims one statement deletes, so that it is short.
pub(crate) const BATCH: u64 = 1_000;

/// The statements on a table, written once.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: String,
    pub(crate) claim: String,
    pub(crate) delete_expired: String,
}

impl Table {
    /// # Errors
    ///
    /// [`ConfigError`] for a name that would have to be quoted.
    pub(crate) fn named(name: &str) -> Result<Self, ConfigError> {
        let is_plain = |part: &str| {
            let mut bytes = part.bytes();
            let begins = bytes
                .next()
                .is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
            let goes_on = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            begins && bytes.all(goes_on) && part.len() <= 40
        };
        if name.split('.').count() > 2 || !name.split('.').all(is_plain) {
            return Err(ConfigError::new(
                "table",
                "is not a plain name",
                "use small letters, digits and `_`, at most 40, with a schema before a dot if needed, such as `app.human_check_claims`",
            ));
        }
        Ok(Self::with_plain_name(name))
    }

    fn with_plain_name(name: &str) -> Self {
        Self {
            claim: format!(
                "INSERT INTO {name} (digest, expires_at) VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT DO NOTHING"
            ),
            delete_expired: format!(
                "DELETE FROM {name} WHERE digest IN (SELECT digest FROM {name} WHERE expires_at <= now() ORDER BY expires_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED)"
            ),
            name: name.to_owned(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the SQL that creates the table and its index.
    pub(crate) fn migration(&self) -> String {
        let (schema, table) = match self.name.split_once('.') {
            Some((schema, table)) => (format!("{schema}."), table),
            None => (String::new(), self.name.as_str()),
        };
        // An index is in the schema of its table, and its own name has none.
        crate::MIGRATION
            .replace("ON human_check_claims", &format!("ON {schema}{table}"))
            .replace(
                "TABLE IF NOT EXISTS human_check_claims",
                &format!("TABLE IF NOT EXISTS {schema}{table}"),
            )
            .replace(
                "human_check_claims_expires_at",
                &format!("{table}_expires_at"),
            )
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::with_plain_name(CLAIMS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_needs_quotes_is_refused() {
        let long = "a".repeat(41);
        for name in [
            "", "Claims", "a b", "a;b", "a\"b", "1a", "a.b.c", "a.", ".a", "ä", &long,
        ] {
            assert_eq!(Table::named(name).unwrap_err().field(), "table", "{name}");
        }
    }

    #[test]
    fn the_migration_creates_the_table_of_this_name() {
        assert_eq!(Table::default().migration(), crate::MIGRATION);
        let migration = Table::named("app.used").unwrap().migration();
        assert!(
            migration.contains("CREATE TABLE IF NOT EXISTS app.used ("),
            "{migration}"
        );
        assert!(
            migration.contains("INDEX IF NOT EXISTS used_expires_at ON app.used (expires_at)"),
            "{migration}"
        );
        assert!(!migration.contains("human_check"), "{migration}");
    }
}
