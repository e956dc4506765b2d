//! What is counted in this process.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// What is counted in this process. There is one recorder for it, as everything counts into that.
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

/// Moves what was measured into its summaries, for ever: without, it would pile up until somebody reads it.
pub(crate) async fn upkeep(recorder: PrometheusHandle) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        recorder.run_upkeep();
    }
}
