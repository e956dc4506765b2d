//! Reports what selection does to the operator: events of the target `human_check_guard`, and
//! metrics.

use human_check_core::Health;

use super::why::Why;
use crate::counter::{count, set};

/// Counts an offer by what became of it: `made`, `accepted`, or the reason why it counts as none.
pub(crate) fn offer(route: &str, why: &'static str, result: &'static str) {
    count!("human_check_offers_total", "route" => route, "why" => why, "result" => result);
    if !matches!(result, "made" | "accepted") {
        tracing::debug!(target: "human_check_guard", route, reason = result, "an offer counts as none");
    }
}

/// Counts that a page or a response shows an account.
pub(crate) fn selected(route: &str, account: &str, why: Why) {
    count!(
        "human_check_selections_total",
        "route" => route, "account" => account, "why" => why.as_str(),
    );
    if why != Why::Primary {
        tracing::debug!(target: "human_check_guard", route, account, why = why.as_str(), "selected");
    }
}

/// Counts one health probe.
pub(crate) fn probed(account: &str, health: Health, was_on_time: bool) {
    let (result, reason) = match health {
        up if up.is_up() => ("up", ""),
        Health::Down(reason) if was_on_time => ("down", reason),
        Health::Down(_) => ("late", "own timers were late"),
        Health::Inconclusive(reason) => ("inconclusive", reason),
        Health::Misconfigured(reason) => ("misconfigured", reason),
        _ => ("inconclusive", ""),
    };
    count!("human_check_health_probes_total", "account" => account, "result" => result);
    tracing::debug!(target: "human_check_guard", account, result, reason, "health probe");
}

/// Sets the gauge that says whether an account is down.
pub(crate) fn set_down(account: &str, is_down: bool) {
    set!("human_check_account_down", f64::from(is_down), "account" => account);
}

/// Reports that two health probes failed.
pub(crate) fn went_down(account: &str, reason: &'static str) {
    set_down(account, true);
    tracing::warn!(target: "human_check_guard", account, reason, "the account is down");
}

/// Reports that an account works again.
pub(crate) fn came_up(account: &str) {
    set_down(account, false);
    tracing::info!(target: "human_check_guard", account, "the account is up");
}

/// Reports that the widget's script can no longer be loaded, or can be again.
pub(crate) fn script_changed(account: &str, is_down: bool) {
    set!("human_check_script_down", f64::from(is_down), "account" => account);
    match is_down {
        true => tracing::warn!(target: "human_check_guard", account, "the widget's script is down"),
        false => tracing::info!(target: "human_check_guard", account, "the widget's script is up"),
    }
}

/// Reports that an account has a trouble that some routes fall back on.
pub(crate) fn trouble_began(account: &str, reason: &'static str) {
    count!("human_check_account_troubles_total", "account" => account, "reason" => reason);
    tracing::warn!(target: "human_check_guard", account, reason, "the account has trouble");
}

/// Reports that health probes succeed while the tokens of visitors get no verdict.
pub(crate) fn probes_contradict(account: &str) {
    tracing::warn!(
        target: "human_check_guard",
        account,
        "health probes succeed while verifications fail; if visitors cannot pass, set force_down \
         for this account"
    );
}
