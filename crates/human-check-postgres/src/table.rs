use human_check_core::ConfigError;

/// The default name.
const CLAIMS: &str = "human_check_claims";

/// How many expired claims one statement deletes, so that it is short.
pub(crate) const BATCH: u64 = 1_000;

/// The number of the lock that a process holds while it creates a table.
const LOCK: i64 = 0x6875_6d61_6e63_6b21;

/// The statements on a table, written once.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: String,
    quoted: String,
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
        // Quoted, because a plain name may be a word of SQL.
        let quoted: Vec<_> = name.split('.').map(|part| format!("\"{part}\"")).collect();
        let quoted = quoted.join(".");
        Self {
            // The key is named, so that a table without one is an error.
            claim: format!(
                "INSERT INTO {quoted} (digest, expires_at) VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT (digest) DO NOTHING"
            ),
            delete_expired: format!(
                "DELETE FROM {quoted} WHERE digest IN (SELECT digest FROM {quoted} WHERE expires_at <= now() ORDER BY expires_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED)"
            ),
            name: name.to_owned(),
            quoted,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name as SQL has it.
    pub(crate) fn quoted(&self) -> &str {
        &self.quoted
    }

    /// Returns the statements that create the table and its index, in one transaction. The first one
    /// lets only one process at a time run them.
    pub(crate) fn creation(&self) -> [String; 3] {
        let quoted = &self.quoted;
        // An index is in the schema of its table, and its own name has none.
        let table = self.name.rsplit('.').next().unwrap_or_default();
        [
            format!("SELECT pg_advisory_xact_lock({LOCK})"),
            format!(
                "CREATE TABLE IF NOT EXISTS {quoted} (digest bytea PRIMARY KEY, expires_at timestamptz NOT NULL)"
            ),
            format!("CREATE INDEX IF NOT EXISTS \"{table}_expires_at\" ON {quoted} (expires_at)"),
        ]
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
    fn a_table_is_created_as_the_migration_creates_it() {
        let words = |sql: &str| {
            let sql = sql.replace('"', "");
            let lines = sql.lines().filter(|line| !line.starts_with("--"));
            let text: String = lines.collect::<Vec<_>>().join(" ");
            let words = text.replace(['(', ')', ',', ';'], " ");
            words
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let creation = Table::default().creation()[1..].join("\n");
        assert_eq!(words(&creation), words(crate::MIGRATION));
        let other = Table::named("app.order").unwrap().creation().join("\n");
        assert!(other.contains("\"app\".\"order\" (digest"), "{other}");
        assert!(
            other.contains("\"order_expires_at\" ON \"app\".\"order\""),
            "{other}"
        );
    }
}
