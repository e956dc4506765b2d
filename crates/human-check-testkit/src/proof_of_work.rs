use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Solves a proof of work as a visitor's browser would, on this thread.
///
/// `challenge` is the JSON text of a challenge; the outcome is what the form field `altcha` posts. How
/// long it takes is the challenge's own affair: keep difficulties light in tests.
///
/// `None` when it is no challenge, or is not solved within a minute and a half.
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
