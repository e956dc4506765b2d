use human_check_core::Score;

/// What kind of key made the tokens, which decides what makes a valid one a human (section 3.8).
///
/// It comes from configuration and never from the request.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum KeyKind {
    /// Policy-based or invisible challenge: a challenge must be passed or not have been needed.
    Challenge,
    /// A checkbox: a valid token was solved.
    Checkbox,
    /// Score only: the score must reach this one, from 0 (machine) to 1 (human).
    Score(Score),
}
