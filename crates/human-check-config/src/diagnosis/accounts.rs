use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_core::{Health, HumanCheck};
use human_check_guard::ScriptProbe;
use human_check_http::SendErrorKind;

use super::Finding;
use super::calls::{Call, Calls, Replied};
use crate::ProviderKind;

/// How long one part of an examination may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// From how many seconds on a difference of the clocks is a warning: the records of two machines are
/// then out of order.
const CLOCK_WARNING: f64 = 5.0;

/// From how many seconds on it is wrong: `max_age` allows for this much.
const CLOCK_WRONG: f64 = 60.0;

/// From which time on a reply is slow: a decision may take 3 seconds in all.
const SLOW: Duration = Duration::from_millis(1_500);

/// What the examination of one account needs.
pub(crate) struct AccountExamination {
    pub(crate) name: String,
    pub(crate) kind: ProviderKind,
    pub(crate) check: Arc<dyn HumanCheck>,
    /// The same with the previous secret, if there is one.
    pub(crate) previous: Option<Arc<dyn HumanCheck>>,
    /// The script that pages load, if it is on another host.
    pub(crate) script: Option<Box<dyn ScriptProbe>>,
    /// The calls that all of them make.
    pub(crate) calls: Calls,
    pub(crate) has_proxy: bool,
}

impl AccountExamination {
    /// Examines the account: it sends a token that no provider has issued, and requests the script.
    pub(crate) async fn run(self) -> Vec<Finding> {
        let part = format!("providers.{}", self.name);
        if self.kind.is_self_hosted() {
            let text = "this program judges its tokens, so no provider is called";
            return vec![Finding::fine(&part, "reachable", text)];
        }
        let health = in_time(self.check.probe_health()).await;
        let calls = self.calls.all();
        let mut findings = Vec::new();
        let mut seen = Vec::new();
        for call in &calls {
            let goes_through_proxy = self.has_proxy && call.is_remote;
            if !call.is_address && !goes_through_proxy && !seen.contains(&&call.host) {
                seen.push(&call.host);
                findings.push(dns(&part, &call.host, call.port).await);
            }
        }
        findings.push(self.reachable(&part, &calls, health));
        let (secret, previous) = self.secrets(&part, health).await;
        findings.push(secret);
        findings.extend(previous);
        findings.push(Finding::unknown(
            &part,
            "site-key",
            "cannot be told from here; open a page with the widget",
        ));
        findings.extend(clock(&part, &calls));
        if let Some(script) = &self.script {
            let before = self.calls.all().len();
            let health = in_time(script.probe_script()).await;
            let of_script = self.calls.all().split_off(before);
            findings.push(script_finding(&part, &of_script, health));
        }
        findings
    }

    /// Returns whether the provider replied, and what prevents it.
    fn reachable(&self, part: &str, calls: &[Call], health: Health) -> Finding {
        let Some(call) = calls.last() else {
            let text = "it made no call, so nothing is known of its provider";
            return Finding::unknown(part, "reachable", text);
        };
        let (host, is_proxied) = (&call.shown, self.has_proxy && call.is_remote);
        let wrong = |text: String, remedy: &str| Finding::wrong(part, "reachable", text, remedy);
        match &call.ended {
            None => wrong(
                format!("{host} did not reply in time"),
                "allow this machine to open connections to it, and look at the provider's status page",
            ),
            Some(Err(failed)) => {
                let (text, remedy) = unsent(failed.kind, is_proxied);
                wrong(format!("{host}: {text} ({})", failed.cause), remedy)
            }
            Some(Ok(reply)) => self.replied(part, call, *reply, health),
        }
    }

    /// Returns what a reply says about the connection.
    fn replied(&self, part: &str, call: &Call, reply: Replied, health: Health) -> Finding {
        let (host, took) = (&call.shown, reply.took.as_millis());
        let way = match (self.has_proxy && call.is_remote, call.is_tls) {
            (true, true) => "through the proxy, encrypted",
            (true, false) => "through the proxy, not encrypted",
            (false, true) => "encrypted",
            (false, false) => "not encrypted",
        };
        let status = reply.status;
        let text = format!("{host} replied with status {status} after {took} ms ({way})");
        let wrong = |why: &str, remedy: &str| {
            Finding::wrong(part, "reachable", format!("{text}{why}"), remedy)
        };
        let warning = |why: &str, remedy: &str| {
            Finding::warning(part, "reachable", format!("{text}{why}"), remedy)
        };
        let look = "look at the provider's status page; a fallback bridges the outage";
        match health {
            Health::Down(reason) => wrong(&format!(": an outage ({reason})"), look),
            Health::Misconfigured(reason) if !is_about_secret(reason) => wrong(
                &format!(" and rejects the request ({reason})"),
                "look at base_url and at the keys of the account's table; a firewall may reply in its place",
            ),
            Health::Inconclusive("rate-limited") => wrong(
                ": too many requests (rate-limited)",
                "look for a flood, and limit clients in front of the program",
            ),
            Health::Inconclusive(reason) if is_limit(reason) => wrong(
                &format!(" and did not judge ({reason})"),
                "look at the quota of the account with the provider",
            ),
            Health::Inconclusive(reason) => wrong(
                &format!(" and gave no verdict ({reason})"),
                "look at base_url, and at what may reply in the provider's place, such as a proxy",
            ),
            _ if !call.is_tls && call.is_remote => warning(
                "",
                "write a base_url with https, because the secret is sent",
            ),
            _ if reply.took >= SLOW => warning(
                "",
                "the visitor waits this long; look at the network of this machine",
            ),
            _ => Finding::fine(part, "reachable", text),
        }
    }

    /// Returns whether the provider accepts the secret, and the previous one.
    async fn secrets(&self, part: &str, health: Health) -> (Finding, Option<Finding>) {
        let secret = self.secret(part, "secret", health);
        let Some(previous) = &self.previous else {
            return (secret, None);
        };
        let health = in_time(previous.probe_health()).await;
        let previous = self.secret(part, "previous-secret", health);
        match (health.is_up(), secret.level) {
            (true, super::Level::Wrong) => {
                let text = format!("{}; visitors pass by the previous one", secret.text);
                let secret = Finding::warning(part, "secret", text, secret.remedy);
                (secret, Some(previous))
            }
            _ => (secret, Some(previous)),
        }
    }

    fn secret(&self, part: &str, check: &'static str, health: Health) -> Finding {
        let unknown = |text: &str| Finding::unknown(part, check, text);
        match health {
            Health::AcceptsJunk => Finding::wrong(
                part,
                check,
                "the provider accepts a token that it has not issued, so every bot passes",
                "look at base_url, and take no testing keys into production",
            ),
            Health::Misconfigured(reason) if is_about_secret(reason) => Finding::wrong(
                part,
                check,
                format!("the provider refuses it ({reason})"),
                "copy it from the provider's dashboard once more",
            ),
            Health::Up if self.kind.junk_token_tells_wrong_secret() => {
                Finding::fine(part, check, "the provider accepts it")
            }
            Health::UpUnexplained => unknown(
                "cannot be told: the provider refuses a token for a reason that this version does not know",
            ),
            Health::Up => unknown(
                "cannot be told by a token that was not issued; solve one challenge to find out",
            ),
            _ => unknown("cannot be told without a verdict"),
        }
    }
}

/// Returns what a probe finds out, or that it took too long.
async fn in_time(probe: impl Future<Output = Health>) -> Health {
    let health = tokio::time::timeout(TIMEOUT, probe).await;
    health.unwrap_or(Health::Down("timeout"))
}

/// Returns whether a provider that rejects our settings means the secret.
fn is_about_secret(reason: &str) -> bool {
    matches!(reason, "secret" | "api-key" | "credentials" | "sign-in")
}

/// Returns whether a provider did not judge because of a limit.
fn is_limit(reason: &str) -> bool {
    matches!(reason, "quota" | "too-many-in-flight" | "degraded")
}

/// Returns whether the name of a host leads to an address.
async fn dns(part: &str, host: &str, port: u16) -> Finding {
    let start = Instant::now();
    let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host, port))).await;
    let took = start.elapsed().as_millis();
    let remedy = "look at the name server of this machine, and at base_url if it is set";
    let wrong = |text: String| Finding::wrong(part, "dns", text, remedy);
    match found {
        Ok(Ok(addresses)) => {
            let addresses = match addresses.count() {
                1 => "1 address".to_owned(),
                many => format!("{many} addresses"),
            };
            let text = format!("{host} has {addresses}, found in {took} ms");
            Finding::fine(part, "dns", text)
        }
        Ok(Err(error)) => wrong(format!("{host}: {error}")),
        Err(_) => wrong(format!("{host}: the name server did not reply in time")),
    }
}

/// Returns what prevented a request, and what to do.
fn unsent(kind: SendErrorKind, is_proxied: bool) -> (&'static str, &'static str) {
    match kind {
        SendErrorKind::CertificateRejected => (
            "the certificate is not trusted",
            "update the certificate authorities of this machine; if they are up to date, another server poses as the provider",
        ),
        SendErrorKind::ProxyRefused => (
            "the proxy refuses our credentials",
            "correct the user and the password in check.proxy",
        ),
        SendErrorKind::LocalTrouble => (
            "this machine has no socket or memory left",
            "look at the number of open files of the program",
        ),
        SendErrorKind::NotSent if is_proxied => (
            "no connection through the proxy",
            "look at check.proxy, and whether the proxy allows this host",
        ),
        SendErrorKind::NotSent => (
            "no connection",
            "allow this machine to open connections to it, or name a proxy with check.proxy",
        ),
        _ => (
            "the connection ended before the reply",
            "try again; if it stays so, look at what is between this machine and the provider",
        ),
    }
}

/// Returns how far the clocks differ, by the last reply that states the time.
fn clock(part: &str, calls: &[Call]) -> Option<Finding> {
    let replies = calls
        .iter()
        .filter_map(|call| call.ended.as_ref()?.as_ref().ok());
    let ahead = replies.rev().find_map(|reply| reply.ahead)?;
    let text = match ahead {
        little if little.abs() < 0.5 => "it agrees with the provider's".to_owned(),
        ahead if ahead > 0.0 => format!("it is {ahead:.0} s ahead of the provider's"),
        behind => format!("it is {:.0} s behind the provider's", -behind),
    };
    let remedy = "let this machine follow a time server";
    Some(match ahead.abs() {
        difference if difference >= CLOCK_WRONG => Finding::wrong(part, "clock", text, remedy),
        difference if difference >= CLOCK_WARNING => Finding::warning(part, "clock", text, remedy),
        _ => Finding::fine(part, "clock", text),
    })
}

/// Returns whether the script that pages load is to be had. Only browsers need it, so its absence here
/// is a warning.
fn script_finding(part: &str, calls: &[Call], health: Health) -> Finding {
    let host = calls.last().map_or("its host", |call| call.shown.as_str());
    match health {
        up if up.is_up() => Finding::fine(part, "script", format!("{host} delivers it")),
        Health::Down(reason) | Health::Inconclusive(reason) => Finding::warning(
            part,
            "script",
            format!("{host} does not deliver it to this machine ({reason})"),
            "load it in a browser; without it, visitors see no widget",
        ),
        _ => Finding::unknown(part, "script", format!("{host} says nothing about it")),
    }
}
