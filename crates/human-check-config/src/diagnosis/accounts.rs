use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_core::{Health, HumanCheck};
use human_check_guard::ScriptProbe;
use human_check_http::SendErrorKind;

use super::Finding;
use super::calls::{Call, Calls, Replied};
use crate::ProviderKind;

/// How long one part of an examination may take.
const TIMEOUT: Duration = Duration::from_secs(5);

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
    /// The script that pages load, if it is on another host.
    pub(crate) script: Option<Box<dyn ScriptProbe>>,
    /// The calls that both make.
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
        let health = tokio::time::timeout(TIMEOUT, self.check.probe_health()).await;
        let health = health.unwrap_or(Health::Down("timeout"));
        let calls = self.calls.all();
        let mut findings = Vec::new();
        if let (false, Some(call)) = (self.has_proxy, calls.first()) {
            findings.push(dns(&part, &call.host, call.port).await);
        }
        findings.push(self.reachable(&part, &calls, health));
        findings.push(self.secret(&part, health));
        findings.extend(clock(&part, &calls));
        if let Some(script) = &self.script {
            let health = tokio::time::timeout(TIMEOUT, script.probe_script()).await;
            let health = health.unwrap_or(Health::Down("timeout"));
            let of_script = self.calls.all().split_off(calls.len());
            findings.push(script_finding(&part, &of_script, health));
        }
        findings
    }

    /// Returns whether the provider replied, and what prevents it.
    fn reachable(&self, part: &str, calls: &[Call], health: Health) -> Finding {
        let wrong = |text: String, remedy: &str| Finding::wrong(part, "reachable", text, remedy);
        let Some(call) = calls.last() else {
            let text = match health {
                Health::Down(reason) => format!("no reply arrived ({reason})"),
                _ => "no call was made".to_owned(),
            };
            return wrong(
                text,
                "allow this machine to open connections to the provider, and look at its status page",
            );
        };
        let host = &call.host;
        match &call.ended {
            Err(failed) => {
                let (text, remedy) = unsent(failed.kind, self.has_proxy);
                wrong(format!("{host}: {text} ({})", failed.cause), remedy)
            }
            Ok(reply) if reply.status >= 500 => wrong(
                format!("{host} replied with status {}", reply.status),
                "look at the provider's status page; a fallback bridges the outage",
            ),
            Ok(reply) => self.replied(part, call, *reply, health),
        }
    }

    /// Returns what a reply says about the connection.
    fn replied(&self, part: &str, call: &Call, reply: Replied, health: Health) -> Finding {
        let (host, took) = (&call.host, milliseconds(reply.took));
        let way = match (self.has_proxy, call.is_tls) {
            (true, true) => "through the proxy, encrypted",
            (true, false) => "through the proxy, not encrypted",
            (false, true) => "encrypted",
            (false, false) => "not encrypted",
        };
        let text = format!("{host} replied after {took} ms ({way})");
        let warning =
            |text: String, remedy: &str| Finding::warning(part, "reachable", text, remedy);
        let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        match health {
            Health::Inconclusive(reason) => warning(
                format!("{text} and did not judge ({reason})"),
                "look at the quota and the settings of the account with the provider",
            ),
            Health::Down(reason) => Finding::wrong(
                part,
                "reachable",
                format!("{text} with an outage ({reason})"),
                "look at the provider's status page; a fallback bridges the outage",
            ),
            _ if !call.is_tls && !is_loopback => warning(
                text,
                "write a base_url with https, because the secret is sent",
            ),
            _ if reply.took >= SLOW => warning(
                text,
                "the visitor waits this long; look at the network of this machine",
            ),
            _ => Finding::fine(part, "reachable", text),
        }
    }

    /// Returns whether the provider accepts the secret.
    fn secret(&self, part: &str, health: Health) -> Finding {
        match health {
            Health::Misconfigured(reason) => Finding::wrong(
                part,
                "secret",
                format!("the provider refuses our settings ({reason})"),
                "compare secret and site key with those in the provider's dashboard",
            ),
            Health::Up if self.kind.junk_token_tells_wrong_secret() => {
                Finding::fine(part, "secret", "the provider accepts it")
            }
            Health::Up => Finding::unknown(
                part,
                "secret",
                "cannot be told by a token that was not issued; solve one challenge to find out",
            ),
            _ => Finding::unknown(part, "secret", "cannot be told without a judgement"),
        }
    }
}

/// Returns whether the name of a host leads to an address.
async fn dns(part: &str, host: &str, port: u16) -> Finding {
    let start = Instant::now();
    let bare = host.trim_matches(['[', ']']);
    let found = tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((bare, port))).await;
    let took = milliseconds(start.elapsed());
    let remedy = "look at the name server of this machine, and at base_url if it is set";
    match found {
        Ok(Ok(addresses)) => {
            let addresses = match addresses.count() {
                1 => "1 address".to_owned(),
                many => format!("{many} addresses"),
            };
            Finding::fine(
                part,
                "dns",
                format!("{host} has {addresses}, found in {took} ms"),
            )
        }
        Ok(Err(error)) => Finding::wrong(part, "dns", format!("{host}: {error}"), remedy),
        Err(_) => Finding::wrong(
            part,
            "dns",
            format!("{host}: the name server did not reply within 5 s"),
            remedy,
        ),
    }
}

/// Returns what prevented a request, and what to do.
fn unsent(kind: SendErrorKind, has_proxy: bool) -> (&'static str, &'static str) {
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
        SendErrorKind::NotSent if has_proxy => (
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

/// Returns how far the clocks differ, by the first reply that states the time.
fn clock(part: &str, calls: &[Call]) -> Option<Finding> {
    let replies = calls.iter().filter_map(|call| call.ended.as_ref().ok());
    let ahead = replies.rev().find_map(|reply| reply.ahead)?;
    let text = match ahead {
        0.0 => "it agrees with the provider's".to_owned(),
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
    let host = calls.last().map_or("its host", |call| call.host.as_str());
    match health {
        Health::Up => Finding::fine(part, "script", format!("{host} delivers it")),
        Health::Down(reason) | Health::Inconclusive(reason) => Finding::warning(
            part,
            "script",
            format!("{host} does not deliver it to this machine ({reason})"),
            "load it in a browser; without it, visitors see no widget",
        ),
        _ => Finding::unknown(part, "script", format!("{host} says nothing about it")),
    }
}

fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis()
}
