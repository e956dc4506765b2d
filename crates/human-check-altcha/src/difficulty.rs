use altcha::{ChallengeParameters, CreateChallengeOptions, SolveChallengeOptions};
use human_check_core::ConfigError;

/// How much work a challenge is: which key derivation, what one costs, and how many of them.
///
/// Visitors' machines differ by a factor of ten and more, and an attacker's are the fastest. So a
/// difficulty is a price for whoever sends many, never a line that tells people from programs.
///
/// | preset | one derivation | tries | in Chromium |
/// | --- | --- | --- | --- |
#[doc = include_str!("difficulty_times.md")]
///
/// Times are the medians of ten runs on two shared cores, from the click to the tick, with the widget's
/// own least duration of half a second switched off; docs/benchmarks.md has the command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Difficulty {
    algorithm: Algorithm,
    cost: u32,
    memory: Option<u32>,
    /// The counter is drawn from 0 up to here when the challenge is made, so nobody waits longer, and
    /// answers are judged without a derivation. (The protocol's deterministic mode, section 2.)
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

/// The most tries that a mistake can ask for.
const MAX_TRIES: u32 = 1_000_000;

impl Difficulty {
    /// Hardly noticeable, for tests, demonstrations and forms that are seldom attacked: PBKDF2.
    pub const fn light() -> Self {
        Self::pbkdf2(1_000, 1_000)
    }

    /// What a sign-up form can ask for: PBKDF2. The default.
    pub const fn standard() -> Self {
        Self::pbkdf2(5_000, 3_000)
    }

    /// Plain SHA-256, ten rounds. Browsers spend most of it on calling the function, an attacker's
    /// graphics card does not: the worst bargain of all, for browsers that can do nothing else.
    pub const fn sha() -> Self {
        Self {
            algorithm: Algorithm::Sha,
            cost: 10,
            memory: None,
            tries: 8_000,
        }
    }

    /// scrypt with 16 MiB (N = 16,384, r = 8): a graphics card runs out of memory before it runs out of
    /// cores. The page needs the widget's worker for it, and the server a derivation for each challenge.
    #[cfg(feature = "memory-hard")]
    pub const fn scrypt() -> Self {
        Self {
            algorithm: Algorithm::Scrypt,
            cost: 16_384,
            memory: None,
            tries: 24,
        }
    }

    /// Argon2id with 19 MiB and two passes, for the same reasons as [`scrypt`](Self::scrypt).
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

    /// The preset of that name: `light`, `standard`, `sha`, and with the feature `memory-hard` also
    /// `scrypt` and `argon2id`.
    pub fn named(name: &str) -> Option<Self> {
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

    /// The same derivation, tried up to so many times; half of that is the mean.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is zero or above a million.
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

    /// So many times the tries, for visitors who come again and again; never beyond a million.
    #[must_use]
    pub fn times(mut self, factor: u32) -> Self {
        self.tries = self.tries.saturating_mul(factor.max(1)).min(MAX_TRIES);
        self
    }

    /// Unsigned parameters with a nonce and a salt of their own, and the counter that solves them.
    pub(crate) fn draw(self) -> Result<(ChallengeParameters, u32), Failed> {
        let challenge = altcha::create_challenge(CreateChallengeOptions {
            algorithm: self.algorithm.name().to_owned(),
            cost: self.cost,
            memory_cost: self.memory,
            // Told once the key is known.
            key_prefix: String::new(),
            ..CreateChallengeOptions::default()
        });
        let parameters = challenge.map_err(|_| Failed)?.parameters;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| Failed)?;
        // A bias of tries / 2^64 gains nobody anything.
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
    /// Section 2.
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

/// The derivation could not be run. Nothing that a visitor sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failed;

/// The key of one counter.
///
/// The official crate derives keys only on the way to an answer, so it is asked for the first
/// counter from here on whose key begins with nothing in particular, which is this one.
pub(crate) fn derive(parameters: &ChallengeParameters, counter: u32) -> Result<Vec<u8>, Failed> {
    let any = altcha::Challenge {
        parameters: ChallengeParameters {
            key_prefix: String::new(),
            ..parameters.clone()
        },
        signature: None,
    };
    let solved = altcha::solve_challenge(SolveChallengeOptions {
        counter_start: counter,
        timeout_ms: 0,
        ..SolveChallengeOptions::new(&any)
    });
    let key = solved.ok().flatten().ok_or(Failed)?.derived_key;
    hex::decode(key).map_err(|_| Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difficulty_without_work_is_refused() {
        let any = Difficulty::light();
        assert!(any.with_tries(0).is_err() && any.with_tries(MAX_TRIES + 1).is_err());
        assert_eq!(any.times(0), any, "never less");
    }

    #[test]
    fn more_work_grows_and_ends() {
        let light = Difficulty::light();
        assert_eq!(light.times(4), light.with_tries(4_000).unwrap());
        assert_eq!(light.times(u32::MAX), light.with_tries(MAX_TRIES).unwrap());
    }

    #[test]
    fn counters_are_drawn_from_the_whole_range() {
        let two = Difficulty::sha().with_tries(1).unwrap();
        let drawn: std::collections::HashSet<_> = (0..200).map(|_| two.draw().unwrap().1).collect();
        assert_eq!(drawn.len(), 2, "0 and 1: an attacker gains by neither end");
    }

    #[test]
    fn the_names_are_those_of_the_presets() {
        assert_eq!(Difficulty::named("standard"), Some(Difficulty::default()));
        assert_eq!(Difficulty::named("hard"), None);
    }
}
