use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Solves a challenge of ALTCHA as the widget in a visitor's browser does.
///
/// `challenge` is the JSON text of the challenge. Returns the token that the widget posts in the
/// form field `altcha`. Returns `None` when the text is not a challenge, or when no solution was
/// found within 90 seconds.
///
/// The function blocks the calling thread while it works. The time depends on the difficulty of the
/// challenge, so use a low difficulty in tests. See docs/providers/altcha.md#difficulty.
///
/// ```
/// assert_eq!(human_check_testkit::solve("not a challenge"), None);
/// ```
pub fn solve(challenge: &str) -> Option<String> {
    let challenge = serde_json::from_str(challenge).ok()?;
    let options = altcha::SolveChallengeOptions::new(&challenge);
    let solution = altcha::solve_challenge(options).ok()??;
    let payload = altcha::Payload {
        challenge,
        solution,
    };
    let json = serde_json::to_vec(&payload).ok()?;
    Some(STANDARD.encode(json))
}
