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
