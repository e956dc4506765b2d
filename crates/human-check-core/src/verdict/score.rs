use std::fmt;

use crate::ConfigError;

/// How human a visitor looked, on one scale for all providers: 0 is surely a machine, 1 surely a human.
///
/// Providers disagree about the direction (a reCAPTCHA 0.9 is good, an hCaptcha 0.9 is bad) and the
/// range, so a bare number is never accepted where a score is meant: every score says which way
/// it counts when it is made, and keeps the provider's own number.
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
    /// A number that grows with trust, from 0 to 1.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is outside 0 to 1 or not a number.
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

    /// A number that grows with suspicion, from 0 to `out_of`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is outside that range or not a number.
    pub fn risk(raw: f64, out_of: f64) -> Result<Self, ConfigError> {
        // Of an endless scale every number would be nothing.
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

    /// The score on the common scale, 0 (machine) to 1 (human).
    pub fn human(self) -> f64 {
        self.human
    }

    /// The provider's own number, on the provider's own scale.
    pub fn raw(self) -> f64 {
        self.raw
    }

    /// Whether this is as good as `floor`, or better.
    ///
    /// Differences under a millionth count as equal: providers compute in 32 bits, and 0.9 arrives
    /// as 0.8999999761581421 where a client widened it.
    pub fn at_least(self, floor: Self) -> bool {
        self.human >= floor.human - 1e-6
    }
}

impl fmt::Debug for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Score({:.3} human, raw {})", self.human, self.raw)
    }
}
