//! What both sides of the benchmarks agree on.

/// The widget's secret.
pub const SECRET: &str = "0x4AAAAAAABenchSecret00000000000001";

/// The page that shows the widget.
pub const HOST: &str = "www.example.com";

/// What Turnstile says to a good token.
pub fn reply() -> String {
    format!(
        r#"{{"success":true,"error-codes":[],"challenge_ts":"2026-01-01T00:00:00.000Z","hostname":"{HOST}","action":"login","cdata":"session-0123456789","metadata":{{"interactive":false,"ephemeral_id":"x:9f78e0ed210960d7693b167e"}}}}"#
    )
}

/// A token of usual length: 1,024 bytes of a base64url alphabet.
pub fn token() -> String {
    "0.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789"
        .chars()
        .cycle()
        .take(1_024)
        .collect()
}

/// One of many tokens that all differ, of at least 16 bytes.
pub fn token_number(number: usize, length: usize) -> String {
    let mut token = format!("{number:016x}");
    let rest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789";
    while token.len() < length {
        token.push_str(&rest[..rest.len().min(length - token.len())]);
    }
    token
}

/// The one in the middle.
pub fn median(figures: Vec<f64>) -> f64 {
    percentile(figures, 0.5)
}

/// The one that this share of them does not exceed.
pub fn percentile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * share) as usize]
}
