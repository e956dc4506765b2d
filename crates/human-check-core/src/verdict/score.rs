use std::fmt;

use crate::ConfigError;

/// How human a visitor looked, on one scale for all providers: 0 is a machine, 1 a human.
///
/// Providers differ in direction and range: 0.9 is good with reCAPTCHA and bad with hCaptcha. So a
/// score is never a bare number. The constructor states the direction, and the score also keeps the
/// provider's own number.
///
/// ```
/// use human_check_core::Score;
///
/// let recaptcha = Score::humanity(0.9)?;
/// let hcaptcha = Score::risk(0.1, 1.0)?;
/// let captchala = Score::risk(12.0, 100.0)?;
/// assert!(recaptcha.at_least(Score::humanity(0.9)?));
/// assert!(hcaptcha.at_least(Score::risk(0.1, 1.0)?));
/// assert!((captchala.human() - 0.88).abs() < 1e-9);
/// assert_eq!(captchala.raw(), 12.0);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq)]
pub struct Score {
    human: f64,
    raw: f64,
}

impl Score {
    /// Creates a score from a number that grows with trust: 0 is a machine, 1 a human.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `raw` is outside 0 to 1, or NaN.
    pub fn humanity(raw: f64) -> Result<Self, ConfigError> {
        if (0.0..=1.0).contains(&raw) {
            Ok(Self { human: raw, raw })
        } else {
            Err(ConfigError::new(
                "score",
                format!("is {raw}, outside 0 to 1"),
                "write a number from 0 (machine) to 1 (human)",
            ))
        }
    }

    /// Creates a score from a number that grows with suspicion: 0 is a human, `out_of` a machine.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `raw` is outside 0 to `out_of` or NaN, or if `out_of` is not a finite
    /// number above 0.
    pub fn risk(raw: f64, out_of: f64) -> Result<Self, ConfigError> {
        // On a scale without an end, every finite risk would count as 0.
        if out_of > 0.0 && out_of.is_finite() && (0.0..=out_of).contains(&raw) {
            let human = 1.0 - raw / out_of;
            Ok(Self { human, raw })
        } else {
            Err(ConfigError::new(
                "score",
                format!("is a risk of {raw}, outside 0 to {out_of}"),
                format!("write a number from 0 (human) to {out_of} (machine)"),
            ))
        }
    }

    /// Returns the score on the common scale: 0 is a machine, 1 a human.
    pub fn human(self) -> f64 {
        self.human
    }

    /// Returns the provider's own number, on the provider's own scale.
    pub fn raw(self) -> f64 {
        self.raw
    }

    /// Returns whether this score is as human as `floor`, or more.
    ///
    /// Both are compared on the common scale. A difference of up to a millionth counts as equal:
    /// providers compute in 32 bits, so 0.9 may arrive as 0.8999999761581421.
    pub fn at_least(self, floor: Self) -> bool {
        self.human >= floor.human - 1e-6
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Score({:.3} human, raw {})", self.human, self.raw)
    }
}
