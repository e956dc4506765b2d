//! Values and helpers that the benchmark programs share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Why a benchmark failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The secret of the benchmarked account.
pub const SECRET: &str = "0x4AAAAAAABenchSecret00000000000001";

/// The hostname in the provider's reply.
pub const HOST: &str = "www.example.com";

/// Returns Turnstile's reply to a valid token.
pub fn reply() -> String {
    format!(
        r#"{{"success":true,"error-codes":[],"challenge_ts":"2026-01-01T00:00:00.000Z","hostname":"{HOST}","action":"login","cdata":"session-0123456789","metadata":{{"interactive":false,"ephemeral_id":"x:9f78e0ed210960d7693b167e"}}}}"#
    )
}

/// Returns a token of usual length: 1,024 bytes of the base64url alphabet.
pub fn token() -> String {
    "0.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789"
        .chars()
        .cycle()
        .take(1_024)
        .collect()
}

/// Returns a token of `length` bytes, but at least 16, that is different for each number.
pub fn token_number(number: usize, length: usize) -> String {
    let mut token = format!("{number:016x}");
    let rest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789";
    while token.len() < length {
        token.push_str(&rest[..rest.len().min(length - token.len())]);
    }
    token
}

/// Returns the median. Panics if `figures` is empty.
pub fn median(figures: Vec<f64>) -> f64 {
    percentile(figures, 0.5)
}

/// Returns the figure at this share, from 0.0 to 1.0, of the sorted figures. Panics if `figures` is
/// empty.
pub fn percentile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * share) as usize]
}

/// Runs `once` for each number below `claims`, with `callers` at a time, and returns the duration.
pub async fn each<F: Future<Output = Result<(), Failure>>>(
    claims: usize,
    callers: usize,
    once: impl Fn(usize) -> F,
) -> Result<Duration, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let callers = (0..callers).map(|_| async {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= claims {
                return Ok::<(), Failure>(());
            }
            once(n).await?;
        }
    });
    futures_util::future::try_join_all(callers).await?;
    Ok(start.elapsed())
}
