use std::path::Path;

use human_check_core::ConfigError;

/// Reads the file that the setting `field` names. Returns its text without white space around it.
///
/// # Errors
///
/// [`ConfigError`] for `field` when the file cannot be read.
pub(crate) fn read_setting(field: &'static str, path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError::new(
            field,
            format!("names {}, which cannot be read ({error})", path.display()),
            "check the path and its permissions",
        )
    })?;
    Ok(text.trim().to_owned())
}
