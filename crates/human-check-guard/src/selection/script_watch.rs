use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::Health;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::health::AccountHealth;

/// How long the pause between two requests is, before a tenth more or less.
const PAUSE: Duration = Duration::from_secs(30);

const TIMEOUT: Duration = Duration::from_secs(5);

/// After how many failures in a row the script is down.
const FAILURES: u32 = 3;

/// After how many successes in a row it is up again.
const SUCCESSES: u32 = 2;

/// Finds out whether the script of a widget can be loaded.
///
/// [`Account::with_script_probe`](crate::Account::with_script_probe) takes one.
#[async_trait]
pub trait ScriptProbe: fmt::Debug + Send + Sync + 'static {
    /// Requests the script once. `Down` for a failed connection, a timeout or a 5xx, and `Up` for a
    /// 2xx or 3xx. Dropping the future drops the request.
    async fn probe_script(&self) -> Health;
}

/// Watches whether the script of a widget can be loaded.
#[derive(Debug)]
pub(super) struct ScriptWatch {
    probe: Arc<dyn ScriptProbe>,
    is_watching: Arc<AtomicBool>,
}

/// Clears the flag when the task ends, also if its runtime stops.
struct Watching(Arc<AtomicBool>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl ScriptWatch {
    pub(super) fn new(probe: Arc<dyn ScriptProbe>) -> Self {
        Self {
            probe,
            is_watching: Arc::default(),
        }
    }

    /// Starts the task that watches the script, unless it runs. It ends with the account.
    pub(super) fn keep_watching(&self, health: &Arc<AccountHealth>) {
        if self.is_watching.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.is_watching.swap(true, Ordering::Acquire) {
            return;
        }
        let watching = Watching(Arc::clone(&self.is_watching));
        let probe = Arc::clone(&self.probe);
        let health = Arc::downgrade(health);
        runtime.spawn(async move {
            let _watching = watching;
            let mut script = match health.upgrade() {
                Some(health) => Script {
                    is_down: health.is_script_down(),
                    against: 0,
                },
                None => return,
            };
            loop {
                let probed = timeout(TIMEOUT, probe.probe_script()).await;
                script.record(probed.unwrap_or(Health::Down("timeout")));
                let Some(health) = health.upgrade() else {
                    return;
                };
                health.set_script_down(script.is_down);
                drop(health);
                sleep(PAUSE.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
            }
        });
    }
}

/// What the last probes say.
#[derive(Debug, Default)]
struct Script {
    is_down: bool,
    /// How many results in a row speak against the present state.
    against: u32,
}

impl Script {
    fn record(&mut self, probed: Health) {
        let speaks_against = match probed {
            up if up.is_up() => self.is_down,
            Health::Down(_) => !self.is_down,
            _ => return,
        };
        self.against = match speaks_against {
            true => self.against + 1,
            false => 0,
        };
        let needed = match self.is_down {
            true => SUCCESSES,
            false => FAILURES,
        };
        if self.against == needed {
            self.is_down = !self.is_down;
            self.against = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_are_down_and_two_successes_up() {
        let mut script = Script::default();
        let down = Health::Down("timeout");
        let mut after = |probed| {
            script.record(probed);
            script.is_down
        };
        let seen = [
            (down, false),
            (down, false),
            (Health::Up, false),
            (down, false),
            (Health::Inconclusive("forbidden"), false),
            (down, false),
            (down, true),
            (Health::Up, true),
            (down, true),
            (Health::Up, true),
            (Health::Up, false),
        ];
        for (at, (probed, is_down)) in seen.into_iter().enumerate() {
            assert_eq!(after(probed), is_down, "{at}");
        }
    }
}
