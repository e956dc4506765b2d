use std::time::Duration;

use crate::Deployment;

/// Reloads a deployment whenever its file or a file of its secrets changes, until this value is
/// dropped.
///
/// [`Deployment::watch`] creates it. Keep it as long as the program is to follow edits, for example
/// in a variable of `main`.
///
/// ```no_run
/// use human_check_config::Deployment;
///
/// let deployment = Deployment::from_env()?;
/// let _watch = deployment.watch(); // `let _ = …` would drop it at once
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use = "changes are noticed only until it is dropped"]
pub struct Watch {
    _stop: std::sync::mpsc::Sender<()>,
}

impl Watch {
    /// Starts the thread, which ends when the value is dropped.
    pub(crate) fn start(deployment: Deployment, interval: Duration) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let mut logged = String::new();
        let mut last = None;
        let follow = move || {
            use std::sync::mpsc::RecvTimeoutError::Timeout;
            while stopped.recv_timeout(interval) == Err(Timeout) {
                // The application's guard setup may panic, and the next edit is to be noticed all
                // the same. A reload changes nothing before everything is built, so nothing is left
                // half changed.
                let reload = || deployment.reload_if_settled(&mut last);
                let reload = std::panic::AssertUnwindSafe(reload);
                let message = match std::panic::catch_unwind(reload) {
                    Ok(Ok(_)) => String::new(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "setting up a guard panicked".to_owned(),
                };
                if !message.is_empty() && message != logged {
                    tracing::error!(
                        target: "human_check_config",
                        error = message,
                        "the new configuration is wrong; the old one stays in force"
                    );
                }
                logged = message;
            }
        };
        let thread = std::thread::Builder::new().name("human-check watch".to_owned());
        if let Err(error) = thread.spawn(follow) {
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
    /// Starts to [reload](Self::reload) the configuration whenever its file or a file of its
    /// secrets has changed, until the returned value is dropped.
    ///
    /// It compares the contents once a second, in a thread of its own. A change takes effect when two
    /// looks in a row have found the same contents, so a file that is written slowly does not take
    /// effect half written. A wrong configuration
    /// changes nothing; the error is logged once, as an `ERROR` event of the target
    /// `human_check_config`.
    pub fn watch(&self) -> Watch {
        self.watch_every(Duration::from_secs(1))
    }

    /// Starts to follow changes as [`watch`](Self::watch) does, and compares the contents every
    /// `interval` instead of once a second.
    pub fn watch_every(&self, interval: Duration) -> Watch {
        Watch::start(self.clone(), interval)
    }
}
