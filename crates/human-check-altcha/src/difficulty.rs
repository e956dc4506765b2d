use altcha::{ChallengeParameters, CreateChallengeOptions, SolveChallengeOptions};
use human_check::ConfigError;

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
    search: Search,
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

/// How the counter is to be found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Search {
    /// It was drawn from 0 up to here when the challenge was made. Nobody waits longer than that, and
    /// answers are verified without a derivation. (The protocol's deterministic mode, section 2.)
    Drawn(u32),
    /// The key has to begin with so many hexadecimal zeros. Challenges are made without a derivation;
    /// answers need one, and one visitor in a hundred waits five times the mean. (Probabilistic mode.)
    Chance(u8),
}

/// The most tries and the highest cost that a mistake in a configuration can ask for.
const MOST: u32 = 1_000_000;

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
            search: Search::Drawn(8_000),
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
            search: Search::Drawn(24),
        }
    }

    /// Argon2id with 19 MiB and two passes, for the same reasons as [`scrypt`](Self::scrypt).
    #[cfg(feature = "memory-hard")]
    pub const fn argon2id() -> Self {
        Self {
            algorithm: Algorithm::Argon2id,
            cost: 2,
            memory: Some(19_456),
            search: Search::Drawn(24),
        }
    }

    const fn pbkdf2(cost: u32, tries: u32) -> Self {
        Self {
            algorithm: Algorithm::Pbkdf2,
            cost,
            memory: None,
            search: Search::Drawn(tries),
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
        if tries == 0 || tries > MOST {
            return Err(ConfigError::new(
                "tries",
                format!("is {tries}"),
                "write 1 to 1000000; the presets have 24 to 8000",
            ));
        }
        self.search = Search::Drawn(tries);
        Ok(self)
    }

    /// The same derivation, until the key begins with so many hexadecimal zeros, each of which makes
    /// sixteen times the work. Challenges then cost nothing to make and answers a derivation to verify,
    /// so this suits pages that are shown far more often than they are sent. The wait has no end.
    ///
    /// Wrong answers to one challenge cost the server a derivation each, and under a deadline waiting for
    /// a turn looks like an outage: keep it off routes that open on one, and limit rates before them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is zero, which asks for no work, or above five.
    pub fn with_zeros(mut self, zeros: u8) -> Result<Self, ConfigError> {
        if !(1..=5).contains(&zeros) {
            return Err(ConfigError::new(
                "zeros",
                format!("is {zeros}"),
                "write 1 to 5; 2 is 256 tries in the mean",
            ));
        }
        self.search = Search::Chance(zeros);
        Ok(self)
    }

    /// So many times the work, for visitors who come again and again. Grows in steps of sixteen where
    /// [chance](Self::with_zeros) decides; never beyond a million tries.
    #[must_use]
    pub fn times(mut self, factor: u32) -> Self {
        self.search = match self.search {
            Search::Drawn(tries) => Search::Drawn(tries.saturating_mul(factor.max(1)).min(MOST)),
            Search::Chance(zeros) => {
                let more = (1..=5).find(|more| 16_u32.pow(*more) > factor.max(1));
                let more = more.map_or(5, |more| more as u8 - 1);
                Search::Chance((zeros + more).min(5))
            }
        };
        self
    }

    /// Unsigned parameters with a nonce and a salt of their own, and the counter that solves them
    /// where one was drawn.
    pub(crate) fn draw(self) -> Result<(ChallengeParameters, Option<u32>), Failed> {
        let challenge = altcha::create_challenge(CreateChallengeOptions {
            algorithm: self.algorithm.name().to_owned(),
            cost: self.cost,
            memory_cost: self.memory,
            key_prefix: match self.search {
                Search::Drawn(_) => String::new(),
                Search::Chance(zeros) => "0".repeat(zeros.into()),
            },
            ..CreateChallengeOptions::default()
        });
        let parameters = challenge.map_err(|_| Failed)?.parameters;
        let counter = match self.search {
            Search::Chance(_) => None,
            Search::Drawn(tries) => {
                let mut random = [0; 8];
                getrandom::fill(&mut random).map_err(|_| Failed)?;
                // A bias of tries / 2^64 gains nobody anything.
                let drawn = u64::from_le_bytes(random) % (u64::from(tries) + 1);
                Some(drawn as u32)
            }
        };
        Ok((parameters, counter))
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
    fn a_difficulty_without_work_cannot_be_asked_for() {
        let any = Difficulty::light();
        assert!(any.with_tries(0).is_err() && any.with_tries(MOST + 1).is_err());
        assert!(any.with_zeros(0).is_err() && any.with_zeros(6).is_err());
        assert_eq!(any.times(0), any, "never less");
    }

    #[test]
    fn more_work_grows_and_ends() {
        let light = Difficulty::light();
        assert_eq!(light.times(4), light.with_tries(4_000).unwrap());
        assert_eq!(light.times(u32::MAX), light.with_tries(MOST).unwrap());
        let chance = light.with_zeros(2).unwrap();
        for (factor, zeros) in [(1, 2), (15, 2), (16, 3), (256, 4), (u32::MAX, 5)] {
            assert_eq!(
                chance.times(factor),
                light.with_zeros(zeros).unwrap(),
                "{factor}"
            );
        }
    }

    #[test]
    fn counters_are_drawn_from_the_whole_range() {
        let two = Difficulty::sha().with_tries(1).unwrap();
        let drawn: std::collections::HashSet<_> =
            (0..200).map(|_| two.draw().unwrap().1.unwrap()).collect();
        assert_eq!(drawn.len(), 2, "0 and 1: an attacker gains by neither end");
    }

    #[test]
    fn the_names_are_those_of_the_presets() {
        assert_eq!(Difficulty::named("standard"), Some(Difficulty::default()));
        assert_eq!(Difficulty::named("hard"), None);
    }
}
