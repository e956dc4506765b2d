use altcha::{ChallengeParameters, CreateChallengeOptions, SolveChallengeOptions};
use human_check_core::ConfigError;

/// How much work a challenge takes: the key derivation, its cost, and the maximum number of tries.
///
/// Visitors' machines differ by a factor of ten and more, and attackers use fast ones. So a
/// difficulty sets a price for sending many requests. It does not tell humans from bots.
///
/// | preset | one derivation | tries | in Chromium |
/// | --- | --- | --- | --- |
#[doc = include_str!("difficulty_times.md")]
///
/// Times are medians of ten runs on two shared cores, from the click to the tick, without the
/// widget's own minimum duration of half a second. docs/benchmarks.md has the command.
///
/// ```
/// use human_check_altcha::Difficulty;
///
/// let double = Difficulty::standard().multiplied_by(2);
/// let for_tests = Difficulty::light().with_tries(9)?;
/// # let _ = (double, for_tests);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/altcha.md#difficulty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Difficulty {
    algorithm: Algorithm,
    cost: u32,
    memory: Option<u32>,
    /// The server draws the counter from 0 to this number and derives its key when it issues the
    /// challenge (the protocol's deterministic mode). So no visitor needs more tries, and verifying
    /// a token takes no derivation.
    tries: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    #[cfg(feature = "memory-hard")]
    Argon2id,
    Pbkdf2,
    #[cfg(feature = "memory-hard")]
    Scrypt,
    Sha,
}

/// The maximum number of tries. It limits what a mistake in a configuration can cost a visitor.
const MAX_TRIES: u32 = 1_000_000;

impl Difficulty {
    /// Returns the preset `light`: PBKDF2 with 1,000 rounds, up to 1,000 tries. For tests,
    /// demonstrations, and forms that are rarely attacked.
    pub const fn light() -> Self {
        Self::pbkdf2(1_000, 1_000)
    }

    /// Returns the preset `standard`, the default: PBKDF2 with 5,000 rounds, up to 3,000 tries. For
    /// sign-up forms.
    pub const fn standard() -> Self {
        Self::pbkdf2(5_000, 3_000)
    }

    /// Returns the preset `sha`: SHA-256 with 10 rounds, up to 8,000 tries. For browsers that can
    /// run no other algorithm.
    ///
    /// It is the cheapest preset for an attacker: a graphics card computes SHA-256 far faster than
    /// a browser.
    pub const fn sha() -> Self {
        Self {
            algorithm: Algorithm::Sha,
            cost: 10,
            memory: None,
            tries: 8_000,
        }
    }

    /// Returns the preset `scrypt`: scrypt with 16 MiB (N = 16,384, r = 8), up to 24 tries. Needs
    /// the feature `memory-hard`.
    ///
    /// Memory limits how many derivations a graphics card runs at the same time (inferred). Issuing
    /// a challenge takes the server one such derivation. The page loads a WebAssembly worker; see
    /// [`WidgetFile::policy`](crate::WidgetFile::policy).
    #[cfg(feature = "memory-hard")]
    pub const fn scrypt() -> Self {
        Self {
            algorithm: Algorithm::Scrypt,
            cost: 16_384,
            memory: None,
            tries: 24,
        }
    }

    /// Returns the preset `argon2id`: Argon2id with 19 MiB and two passes, up to 24 tries. Needs
    /// the feature `memory-hard`. For the same purpose as [`scrypt`](Self::scrypt).
    #[cfg(feature = "memory-hard")]
    pub const fn argon2id() -> Self {
        Self {
            algorithm: Algorithm::Argon2id,
            cost: 2,
            memory: Some(19_456),
            tries: 24,
        }
    }

    const fn pbkdf2(cost: u32, tries: u32) -> Self {
        Self {
            algorithm: Algorithm::Pbkdf2,
            cost,
            memory: None,
            tries,
        }
    }

    /// Returns the preset of this name, or `None` for an unknown name: `light`, `standard`, `sha`,
    /// and with the feature `memory-hard` also `scrypt` and `argon2id`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "light" => Some(Self::light()),
            "standard" => Some(Self::standard()),
            "sha" => Some(Self::sha()),
            #[cfg(feature = "memory-hard")]
            "scrypt" => Some(Self::scrypt()),
            #[cfg(feature = "memory-hard")]
            "argon2id" => Some(Self::argon2id()),
            _ => None,
        }
    }

    /// Sets the maximum number of tries, from 1 to 1,000,000. A visitor needs half of them on
    /// average.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `tries` is out of range.
    pub fn with_tries(mut self, tries: u32) -> Result<Self, ConfigError> {
        if tries == 0 || tries > MAX_TRIES {
            return Err(ConfigError::new(
                "tries",
                format!("is {tries}"),
                "write 1 to 1000000; the presets have 24 to 8000",
            ));
        }
        self.tries = tries;
        Ok(self)
    }

    /// Multiplies the maximum number of tries, for visitors who fetch many challenges. The result
    /// is 1,000,000 at most. A factor of 0 counts as 1.
    #[must_use]
    pub fn multiplied_by(mut self, factor: u32) -> Self {
        self.tries = self.tries.saturating_mul(factor.max(1)).min(MAX_TRIES);
        self
    }

    /// Creates unsigned parameters with a new nonce and salt, and draws the counter that solves
    /// them.
    pub(crate) fn draw(self) -> Result<(ChallengeParameters, u32), DerivationFailed> {
        let challenge = altcha::create_challenge(CreateChallengeOptions {
            algorithm: self.algorithm.name().to_owned(),
            cost: self.cost,
            memory_cost: self.memory,
            // Set later, when the key is known.
            key_prefix: String::new(),
            ..CreateChallengeOptions::default()
        });
        let parameters = challenge.map_err(|_| DerivationFailed)?.parameters;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| DerivationFailed)?;
        // The modulo has a bias of tries / 2^64, which is of no use to an attacker.
        let drawn = u64::from_le_bytes(random) % (u64::from(self.tries) + 1);
        Ok((parameters, drawn as u32))
    }
}

impl Default for Difficulty {
    fn default() -> Self {
        Self::standard()
    }
}

impl Algorithm {
    /// Returns the name of the algorithm in the protocol.
    fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "memory-hard")]
            Self::Argon2id => "ARGON2ID",
            Self::Pbkdf2 => "PBKDF2/SHA-256",
            #[cfg(feature = "memory-hard")]
            Self::Scrypt => "SCRYPT",
            Self::Sha => "SHA-256",
        }
    }
}

/// A key could not be derived. No input of a visitor causes this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DerivationFailed;

/// Derives the key of one counter.
///
/// The official crate derives keys only while it solves a challenge. So this function lets it solve
/// a challenge with an empty prefix, which the first counter solves.
pub(crate) fn derive(
    parameters: &ChallengeParameters,
    counter: u32,
) -> Result<Vec<u8>, DerivationFailed> {
    let without_prefix = altcha::Challenge {
        parameters: ChallengeParameters {
            key_prefix: String::new(),
            ..parameters.clone()
        },
        signature: None,
    };
    let solved = altcha::solve_challenge(SolveChallengeOptions {
        counter_start: counter,
        timeout_ms: 0,
        ..SolveChallengeOptions::new(&without_prefix)
    });
    let key = solved.ok().flatten().ok_or(DerivationFailed)?.derived_key;
    hex::decode(key).map_err(|_| DerivationFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difficulty_without_work_is_refused() {
        let any = Difficulty::light();
        assert!(any.with_tries(0).is_err() && any.with_tries(MAX_TRIES + 1).is_err());
        assert_eq!(any.multiplied_by(0), any, "a factor of 0 counts as 1");
    }

    #[test]
    fn more_work_grows_and_ends() {
        let light = Difficulty::light();
        assert_eq!(light.multiplied_by(4), light.with_tries(4_000).unwrap());
        assert_eq!(
            light.multiplied_by(u32::MAX),
            light.with_tries(MAX_TRIES).unwrap()
        );
    }

    #[test]
    fn counters_are_drawn_from_the_whole_range() {
        let two = Difficulty::sha().with_tries(1).unwrap();
        let drawn: std::collections::HashSet<_> = (0..200).map(|_| two.draw().unwrap().1).collect();
        assert_eq!(drawn.len(), 2, "both 0 and 1 are drawn");
    }

    #[test]
    fn the_names_are_those_of_the_presets() {
        assert_eq!(
            Difficulty::from_name("standard"),
            Some(Difficulty::default())
        );
        assert_eq!(Difficulty::from_name("hard"), None);
    }
}
