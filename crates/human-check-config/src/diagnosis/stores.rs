use std::time::{Duration, Instant};

use human_check_core::{ReplayStore, probe_replay_store};
use human_check_guard::{AttemptStore, probe_attempt_store};

use super::Finding;

/// From which time on a store is slow: a visitor waits for one call or two.
const SLOW: Duration = Duration::from_millis(50);

/// Claims a token that no provider has issued.
pub(crate) async fn examine_claim(store: &dyn ReplayStore) -> Finding {
    let start = Instant::now();
    let part = "replay_store";
    match probe_replay_store(store).await {
        Ok(()) => worked(part, start.elapsed()),
        Err(error) => failed(part, error.reason()),
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
        Err(error) => failed(part, &error.to_string()),
    }
}

fn worked(part: &str, took: Duration) -> Finding {
    let text = format!("it did its work in {:.1} ms", took.as_secs_f64() * 1_000.0);
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

fn failed(part: &str, reason: &str) -> Finding {
    Finding::wrong(
        part,
        "claim",
        format!("it fails ({reason})"),
        "see docs/how-to/multi-node.md#when-the-server-fails",
    )
}

/// Returns what a store in the memory of the process means.
pub(crate) fn examine_memory(part: &str) -> Finding {
    Finding::fine(
        part,
        "server",
        "in the memory of this process; other machines and the next start know nothing of it",
    )
}

/// Examines the server of a store.
#[cfg(feature = "redis")]
pub(crate) async fn examine_server(
    part: &str,
    server: &human_check_redis::RedisServer,
) -> Vec<Finding> {
    let report = match server.inspect().await {
        Ok(report) => report,
        Err(error) => {
            return vec![Finding::wrong(
                part,
                "server",
                format!("{} cannot be used ({})", server.address(), error.reason()),
                "look at the server, at the URL and at the network between",
            )];
        }
    };
    let mut findings = Vec::new();
    let version = report.version.as_deref().unwrap_or("of an unknown version");
    findings.push(Finding::fine(
        part,
        "server",
        format!("{} is version {version}", server.address()),
    ));
    if let Some((used, max)) = report.used_memory.zip(report.max_memory) {
        let mib = |bytes: u64| bytes / (1 << 20);
        findings.push(Finding::fine(
            part,
            "memory",
            format!("{} of {} MiB are used", mib(used), mib(max)),
        ));
    }
    for warning in &report.warnings {
        let text = warning.to_string();
        let (text, remedy) = text.split_once("; ").unwrap_or((&text, ""));
        findings.push(match warning.prevents_claims() {
            true => Finding::wrong(part, "server", text, remedy),
            false => Finding::warning(part, "server", text, remedy),
        });
    }
    findings
}
