//! The metrics of this process.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Returns the metrics recorder of this process, and installs it at the first call.
///
/// A process can have one recorder only, so all demos in a process share it.
pub(crate) fn recorder() -> io::Result<PrometheusHandle> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*recorder {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_quantiles(&[0.5, 0.95, 0.99])
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(io::Error::other)?;
    Ok(recorder.insert(handle).clone())
}

/// Aggregates the recorded values every five seconds, without end.
///
/// Without this, the values would need more and more memory until the metrics are read.
pub(crate) async fn upkeep(recorder: PrometheusHandle) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        recorder.run_upkeep();
    }
}
