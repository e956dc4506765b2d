use std::time::Duration;

use crate::Deployment;

/// Reloads a deployment whenever its file changes, as long as this value lives.
#[derive(Debug)]
#[must_use = "changes are noticed only while it lives"]
pub struct Watch {
    _stop: std::sync::mpsc::Sender<()>,
}

impl Watch {
    pub(crate) fn start(deployment: Deployment, interval: Duration) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let mut complaint = String::new();
        let look = move || {
            use std::sync::mpsc::RecvTimeoutError::Timeout;
            while stopped.recv_timeout(interval) == Err(Timeout) {
                // What an application does to its guards may panic; the next edit is to be noticed all the
                // same. Nothing is changed before everything is built.
                let reload = std::panic::AssertUnwindSafe(|| deployment.reload());
                let message = match std::panic::catch_unwind(reload) {
                    Ok(Ok(_)) => String::new(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "setting up a guard panicked".to_owned(),
                };
                if !message.is_empty() && message != complaint {
                    tracing::error!(
                        target: "human_check_config",
                        error = message,
                        "the new configuration is wrong; the old one stays in force"
                    );
                }
                complaint = message;
            }
        };
        let thread = std::thread::Builder::new().name("human-check watch".to_owned());
        if let Err(error) = thread.spawn(look) {
            tracing::error!(
                target: "human_check_config",
                error = &error as &dyn std::error::Error,
                "changes of the configuration will not be noticed"
            );
        }
        Self { _stop: stop }
    }
}

impl Deployment {
    /// Reloads whenever the file has changed, until the watch is dropped. It looks once a second, in a
    /// thread of its own; a configuration that is wrong is logged once and changes nothing.
    pub fn watch(&self) -> Watch {
        self.watch_every(Duration::from_secs(1))
    }

    /// Watches as [`watch`](Self::watch) does, at another interval.
    pub fn watch_every(&self, interval: Duration) -> Watch {
        Watch::start(self.clone(), interval)
    }
}
