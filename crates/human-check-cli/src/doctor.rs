//! `doctor`: examines what a configuration depends on, from this machine.

use std::io::{self, Write};
use std::path::Path;

use human_check_compare::{MonthlyCost, Prices};
use human_check_config::{AccountUse, Deployment, Diagnosis, Finding, Level};
use human_check_core::ConfigError;
use serde_json::json;

/// The exit code when something works and may fail.
const WARNINGS: u8 = 1;

/// The exit code when something does not work.
const WRONG: u8 = 3;

/// Examines the configuration in `file`, prints the findings, and returns the exit code.
///
/// # Errors
///
/// [`io::Error`] of the output, and when the file of prices is wrong.
pub(crate) async fn run(
    out: &mut impl Write,
    file: &Path,
    as_json: bool,
    prices: Option<&Path>,
) -> io::Result<u8> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}"));
    let prices = prices.map(Prices::from_file).transpose().map_err(invalid)?;
    let diagnosis = match Deployment::builder().with_dry_run().load(file) {
        Ok(deployment) => deployment.diagnose().await,
        Err(error) => {
            unusable(out, &error, as_json)?;
            return Ok(WRONG);
        }
    };
    let level = diagnosis.level();
    let costs = prices.map(|prices| costs(&prices, &diagnosis.quotas));
    if as_json {
        let mut object = json!({
            "level": level,
            "findings": diagnosis.findings,
            "quotas": diagnosis.quotas,
        });
        if let Some(costs) = costs {
            let costs = costs.iter().map(Cost::to_json);
            object["costs"] = costs.collect();
        }
        writeln!(out, "{object}")?;
    } else {
        print(out, &diagnosis)?;
        print_costs(out, costs.as_deref().unwrap_or_default())?;
    }
    Ok(exit_code(level))
}

/// What the calls of an account cost this month.
struct Cost {
    account: String,
    so_far: MonthlyCost,
    /// With the calls of the whole month at the rate so far.
    forecast: Option<MonthlyCost>,
}

/// Returns the cost of each account. The file has a price under the name of the account or of its
/// provider.
fn costs(prices: &Prices, quotas: &[AccountUse]) -> Vec<Cost> {
    let cost = |account: &AccountUse, calls: u64| {
        let own = prices.cost(&account.account, calls);
        match own.currency {
            Some(_) => own,
            None => prices.cost(&account.provider, calls),
        }
    };
    let of_account = |account: &AccountUse| Cost {
        account: account.account.clone(),
        so_far: cost(account, u64::from(account.calls)),
        forecast: account.forecast.map(|calls| cost(account, calls)),
    };
    quotas.iter().map(of_account).collect()
}

impl Cost {
    fn to_json(&self) -> serde_json::Value {
        let forecast = self.forecast.as_ref();
        json!({
            "account": self.account,
            "currency": self.so_far.currency,
            "so_far": self.so_far.amount,
            "forecast": forecast.and_then(|cost| cost.amount),
        })
    }
}

/// Prints what the calls of the month cost.
fn print_costs(out: &mut impl Write, costs: &[Cost]) -> io::Result<()> {
    let shown = |cost: Option<&MonthlyCost>| match cost {
        None => "not yet known".to_owned(),
        Some(MonthlyCost {
            currency: Some(currency),
            amount: Some(amount),
            ..
        }) => format!("{amount:.2} {currency}"),
        Some(_) => "no price for it in the file".to_owned(),
    };
    if costs.is_empty() {
        return Ok(());
    }
    let width = costs.iter().map(|cost| cost.account.len()).max();
    let width = width.unwrap_or_default().max("account".len());
    writeln!(out)?;
    writeln!(
        out,
        "{:<width$}  {:<28} by its end",
        "account", "cost of this month so far"
    )?;
    for cost in costs {
        let (so_far, forecast) = (shown(Some(&cost.so_far)), shown(cost.forecast.as_ref()));
        writeln!(out, "{:<width$}  {so_far:<28} {forecast}", cost.account)?;
    }
    Ok(())
}

/// Prints why a configuration cannot be used.
fn unusable(out: &mut impl Write, error: &ConfigError, as_json: bool) -> io::Result<()> {
    if as_json {
        let finding = json!({
            "part": "configuration",
            "check": "settings",
            "level": Level::Wrong,
            "text": format!("{} {}", error.field(), error.problem()),
            "remedy": error.remedy(),
        });
        writeln!(
            out,
            "{}",
            json!({ "level": Level::Wrong, "findings": [finding] })
        )?;
    }
    writeln!(io::stderr(), "human-check: {error}")
}

fn print(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let findings = &diagnosis.findings;
    let width = findings.iter().map(|finding| finding.part.len()).max();
    let width = width.unwrap_or_default();
    for finding in findings {
        let Finding {
            part,
            check,
            level,
            text,
            remedy,
            ..
        } = finding;
        let level = match level {
            Level::Fine => "fine",
            Level::Unknown => "unknown",
            Level::Warning => "WARNING",
            _ => "WRONG",
        };
        writeln!(out, "{level:<9}{part:<width$}  {check:<10} {text}")?;
        if !remedy.is_empty() {
            writeln!(out, "{:<9}{:<width$}  {:<10} to do: {remedy}", "", "", "")?;
        }
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let (wrong, warnings) = (count(Level::Wrong), count(Level::Warning));
    let unknown = count(Level::Unknown);
    writeln!(
        out,
        "{wrong} wrong, {warnings} with a warning, {unknown} that cannot be told from here"
    )
}

fn exit_code(level: Level) -> u8 {
    match level {
        Level::Fine | Level::Unknown => 0,
        Level::Warning => WARNINGS,
        _ => WRONG,
    }
}
