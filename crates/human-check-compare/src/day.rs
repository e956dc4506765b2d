use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Returns the number of the day that a time is in, in UTC, from 1 January 1970 on.
pub(crate) fn day_number(at: SystemTime) -> u32 {
    let seconds = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    u32::try_from(seconds / 86_400).unwrap_or(u32::MAX)
}

/// Returns the name of a day, such as `2026-11-24`.
pub(crate) fn day_name(number: u32) -> String {
    let at = Timestamp::from_second(i64::from(number) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(at).date().to_string()
}
