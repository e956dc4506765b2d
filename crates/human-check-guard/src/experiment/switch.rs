use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The switch that stops an experiment. Clones share it.
///
/// After a stop every visitor meets the primary account again, and nothing starts the experiment anew:
/// only an experiment with another name does. Offers that visitors hold already still count.
///
/// ```
/// use human_check_guard::ExperimentSwitch;
///
/// let switch = ExperimentSwitch::default();
/// switch.stop();
/// assert!(switch.is_stopped());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExperimentSwitch(Arc<AtomicBool>);

impl ExperimentSwitch {
    /// Stops the experiment.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the experiment has stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
