use human_check_guard::{AttemptStore, QuotaState, QuotaUse};
use serde::Serialize;

use super::Finding;
use super::calls::cause;

/// How many calls of this month an account with `monthly_quota` has used.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AccountUse {
    /// The name of the account.
    pub account: String,
    /// The name of the provider, by which a file of prices knows it.
    pub provider: String,
    /// The calls of this month (UTC) so far.
    pub calls: u32,
    /// The quota.
    pub quota: u32,
    /// The calls of the whole month at the rate so far. `None` in its first two days.
    pub forecast: Option<u64>,
    /// Whether the calls of all machines are counted together. Otherwise they are those of this
    /// process.
    pub is_shared: bool,
}

/// Reads how many calls an account has used.
pub(crate) async fn examine_quota(
    (account, provider): (String, String),
    quota: u32,
    store: &dyn AttemptStore,
    is_shared: bool,
) -> (Finding, Option<AccountUse>) {
    const CHECK: &str = "quota";
    let part = &format!("providers.{account}");
    let used = match QuotaUse::read(store, &account).await {
        Ok(used) => used,
        Err(error) => {
            let text = format!("its calls cannot be read ({})", cause(&error));
            let remedy = "see what is said of the attempt_store";
            return (Finding::warning(part, CHECK, text, remedy), None);
        }
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of calls"
    )]
    let forecast = used.forecast.map(|forecast| forecast.round() as u64);
    let calls = used.calls;
    let at_the_end = forecast.map_or_else(String::new, |forecast| {
        format!(", and {forecast} by the end of the month at this rate")
    });
    let text = format!("{calls} of {quota} calls of this month are used{at_the_end}");
    let remedy = match used.of_quota(quota) {
        QuotaState::UsedUp => "see docs/how-to/on-call.md#humancheckquotausedup",
        _ => "see docs/how-to/on-call.md#humancheckquotanearlyusedup",
    };
    let finding = match used.of_quota(quota) {
        QuotaState::UsedUp => Finding::wrong(part, CHECK, text, remedy),
        QuotaState::NearlyUsedUp | QuotaState::WillNotLast => {
            Finding::warning(part, CHECK, text, remedy)
        }
        _ if !is_shared => {
            let text = format!(
                "{text}, as far as this process has counted; the others count for themselves"
            );
            Finding::unknown(part, CHECK, text)
        }
        _ => Finding::fine(part, CHECK, text),
    };
    let account_use = AccountUse {
        account,
        provider,
        calls,
        quota,
        forecast,
        is_shared,
    };
    (finding, Some(account_use))
}
