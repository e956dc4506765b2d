use std::time::{Duration, SystemTime};

use human_check_core::ConfigError;

use crate::context::Context;
use crate::model::DualAcceptTable;
use crate::source::KeyPath;

/// When the old account of a dual accept is no longer accepted.
pub(super) enum Sunset {
    /// Never.
    Never,
    /// From this time on.
    At(SystemTime),
    /// Already. A check of the configuration ends in this error; a program that starts on that day
    /// must start.
    Over(ConfigError),
}

/// Returns when the old account of a dual accept is no longer accepted.
pub(super) fn sunset(
    context: &Context<'_>,
    table: &DualAcceptTable,
    now: SystemTime,
) -> Result<Sunset, ConfigError> {
    let Some(sunset) = &table.sunset else {
        return Ok(Sunset::Never);
    };
    let path = KeyPath::from("check.dual_accept.sunset");
    let text = sunset.to_string();
    let moment = moment(context, &path, &text)?;
    if moment <= now {
        return Ok(Sunset::Over(context.wrong(
            &path,
            format!("is {text}, which is over, so the account is no longer accepted"),
            "remove the table [check.dual_accept], or write a later date",
        )));
    }
    Ok(Sunset::At(moment))
}

/// Returns the time that a date, or a date and time, means.
pub(super) fn moment(
    context: &Context<'_>,
    path: &KeyPath,
    text: &str,
) -> Result<SystemTime, ConfigError> {
    let moment = match text.parse::<jiff::civil::Date>() {
        // A date without a time means its first moment, in UTC.
        Ok(_) if !text.contains([':', 'T']) => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    let moment = moment.parse::<jiff::Timestamp>().map_err(|_| {
        let remedy = "write a date, 2027-01-31, or a time with its offset, 2027-01-31T08:00:00Z";
        context.wrong(
            path,
            format!("is {text}, which is neither a date nor a time with an offset"),
            remedy,
        )
    })?;
    let seconds = u64::try_from(moment.as_second()).unwrap_or_default();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
