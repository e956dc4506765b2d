use human_check_core::Score;

/// The kind of a reCAPTCHA Enterprise key. It decides which valid tokens count as human.
///
/// Take it from the configuration and never from the request: a visitor must not choose the rules.
/// A failed challenge is refused with every kind.
///
/// ```
/// use human_check_core::Score;
/// use human_check_recaptcha::KeyKind;
///
/// let kind = KeyKind::Score(Score::humanity(0.5)?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/recaptcha.md#enterprise.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum KeyKind {
    /// A policy-based challenge key, or an invisible one: human when the visitor passed a challenge.
    /// Where Google showed none, the score decides, which must be at least this one. A reply that
    /// states neither is refused, with an alert.
    ///
    /// The score is needed because the page names the action, and with it the visitor chooses the
    /// threshold below which Google shows a challenge.
    Challenge(Score),
    /// A checkbox key: human when the token is valid and its challenge was not failed.
    Checkbox,
    /// A score key: human when the score is at least this one, from 0 (bot) to 1 (human). A reply
    /// without a score is refused. Google suggests to start with 0.5.
    Score(Score),
}
