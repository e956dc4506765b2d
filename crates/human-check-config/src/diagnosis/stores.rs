use std::time::{Duration, Instant};

use human_check_core::{ReplayStore, probe_replay_store};
use human_check_guard::{AttemptStore, probe_attempt_store};

use super::Finding;
use super::calls::cause;

/// From which time on a store is slow: a visitor waits for one call or two.
const SLOW: Duration = Duration::from_millis(50);

/// Claims so many tokens that no provider has issued, each twice.
pub(crate) async fn examine_claim(store: &dyn ReplayStore, tokens: usize) -> Finding {
    let start = Instant::now();
    let part = "replay_store";
    let mut outcome = probe_replay_store(store).await;
    let took = start.elapsed();
    if outcome.is_ok() {
        let others = (1..tokens).map(|_| probe_replay_store(store));
        outcome = futures_util::future::try_join_all(others).await.map(drop);
    }
    match outcome {
        Ok(()) => worked(part, took),
        Err(error) if error.reason() == "claims-twice" => Finding::wrong(
            part,
            "claim",
            "it lets one token be claimed twice, so used tokens pass again",
            "use servers that keep what they are told: no balancer over several that do not know each other, and no table without a primary key",
        ),
        Err(error) if error.reason() == "claimed-before" => Finding::wrong(
            part,
            "claim",
            "a token that was never claimed counts as claimed, so all visitors are refused",
            "look at what else writes into the store",
        ),
        Err(error) => failed(part, error.reason(), &cause(&error)),
    }
}

/// Counts one request.
pub(crate) async fn examine_count(store: &dyn AttemptStore) -> Finding {
    let start = Instant::now();
    let part = "attempt_store";
    match probe_attempt_store(store).await {
        Ok(true) => worked(part, start.elapsed()),
        Ok(false) => Finding::warning(
            part,
            "claim",
            "it has no room for another address, so all new addresses are challenged",
            "raise its capacity, or find out who sends from so many addresses",
        ),
        Err(error) => failed(part, "", &cause(&error)),
    }
}

fn worked(part: &str, took: Duration) -> Finding {
    let milliseconds = took.as_secs_f64() * 1_000.0;
    let text = format!("it did its work in {milliseconds:.1} ms");
    match took >= SLOW {
        true => Finding::warning(
            part,
            "claim",
            text,
            "each visitor waits this long once or more; bring the server nearer",
        ),
        false => Finding::fine(part, "claim", text),
    }
}

fn failed(part: &str, reason: &str, cause: &str) -> Finding {
    let is_forbidden = cause.contains("NOPERM");
    let remedy = match reason {
        _ if is_forbidden => {
            "give the user the commands and keys of its line in docs/how-to/multi-node.md#the-server; ACL LOG on the server names what is missing"
        }
        "store-unreplicated" => "start the replicas, or lower `replicas` and restart the program",
        _ => "see docs/how-to/multi-node.md#when-the-server-fails",
    };
    Finding::wrong(part, "claim", format!("it fails ({cause})"), remedy)
}

/// Returns what a store in the memory of the process means.
pub(crate) fn examine_memory(part: &str) -> Finding {
    Finding::fine(
        part,
        "server",
        "in the memory of this process; other machines and the next start know nothing of it",
    )
}

/// Examines the servers of a store on Redis.
#[cfg(feature = "redis")]
pub(crate) async fn examine_redis(
    part: &str,
    client: &human_check_redis::RedisClient,
    replicas: u32,
) -> Vec<Finding> {
    let reports = match client.report().await {
        Ok(reports) => reports,
        Err(error) if error.is_forbidden() => {
            let text = format!("{} cannot be used ({error})", client.address());
            let remedy = "give its user the commands of docs/how-to/multi-node.md#the-server";
            return vec![Finding::wrong(part, "server", text, remedy)];
        }
        Err(error) => return vec![unusable(part, &client.address(), error.reason(), &error)],
    };
    let mut findings = Vec::new();
    for report in &reports {
        findings.extend(examine_report(part, report));
        if let Some((text, remedy)) = missing_replicas(report, replicas) {
            findings.push(Finding::wrong(part, "replicas", text, remedy));
        }
    }
    findings
}

/// Returns what is wrong, and what to do, where a server has fewer replicas than must have a claim.
#[cfg(feature = "redis")]
pub(crate) fn missing_replicas(
    report: &human_check_redis::ServerReport,
    needed: u32,
) -> Option<(String, &'static str)> {
    let connected = report.replicas.filter(|connected| *connected < needed)?;
    let text = format!(
        "{}: {connected} replicas are connected and a claim needs {needed}, so no token passes",
        report.address
    );
    Some((text, "repair the replicas, or lower `replicas`"))
}

/// Returns what a server says about itself as findings.
#[cfg(feature = "redis")]
fn examine_report(part: &str, report: &human_check_redis::ServerReport) -> Vec<Finding> {
    use human_check_redis::ServerWarning;

    let address = &report.address;
    let mut findings = Vec::new();
    for warning in &report.warnings {
        let text = warning.to_string();
        let (text, remedy) = text.split_once("; ").unwrap_or((&text, ""));
        let text = format!("{address}: {text}");
        let check = match warning {
            ServerWarning::NearlyFull(..) => "memory",
            _ => "server",
        };
        findings.push(match warning.prevents_claims() {
            true => Finding::wrong(part, check, text, remedy),
            false => Finding::warning(part, check, text, remedy),
        });
    }
    let has = |check: &str| findings.iter().any(|finding| finding.check == check);
    let (has_server, has_memory) = (has("server"), has("memory"));
    if let (false, Some(version)) = (has_server, &report.version) {
        let replicas = match report.replicas {
            Some(1) => " with a replica".to_owned(),
            Some(count) if count > 1 => format!(" with {count} replicas"),
            _ => String::new(),
        };
        let text = format!("{address} is version {version}{replicas}");
        findings.push(Finding::fine(part, "server", text));
    }
    if let (false, Some((used, max))) = (has_memory, report.used_memory.zip(report.max_memory)) {
        let (used, max) = (used >> 20, max >> 20);
        let text = format!("{address}: {used} of {max} MiB are used");
        findings.push(Finding::fine(part, "memory", text));
    }
    findings
}

/// Examines the server of a store on PostgreSQL.
#[cfg(feature = "postgres")]
pub(crate) async fn examine_postgres(
    part: &str,
    store: &human_check_postgres::PostgresReplayStore,
) -> Vec<Finding> {
    let address = store.address();
    let report = match store.report().await {
        Ok(report) => report,
        Err(error) => return vec![unusable(part, &address, error.reason(), &error)],
    };
    if report.warnings.is_empty() {
        let size = report.table_bytes.unwrap_or_default() >> 20;
        let text = format!(
            "{address} is version {}, and the table has {size} MiB",
            report.version
        );
        return vec![Finding::fine(part, "server", text)];
    }
    let findings = report.warnings.iter().map(|warning| {
        let text = warning.to_string();
        let (text, remedy) = text.split_once("; ").unwrap_or((&text, ""));
        let text = format!("{address}: {text}");
        match warning.prevents_claims() {
            true => Finding::wrong(part, "server", text, remedy),
            false => Finding::warning(part, "server", text, remedy),
        }
    });
    findings.collect()
}

/// Returns the finding about a server that cannot be examined.
#[cfg(any(feature = "postgres", feature = "redis"))]
fn unusable(part: &str, address: &str, reason: &str, error: &dyn std::error::Error) -> Finding {
    let remedy = match reason {
        "store-auth" => {
            "correct the user, the password and the database in its URL, and give the user its rights"
        }
        "store-unreachable" if address.contains(" at ") => {
            "correct `primary=` in the URL, which is the name of the `sentinel monitor` line; or look at the sentinels and the network"
        }
        _ => "look at the server, at its URL and at the network between",
    };
    let text = format!("{address} cannot be used ({error})");
    Finding::wrong(part, "server", text, remedy)
}
