use std::sync::Arc;
use std::time::Duration;

use human_check_altcha::{Altcha, Difficulty, Keys};
use human_check_core::{ConfigError, Secret, SpentTokens};

/// What altcha needs besides a secret, and nobody else.
#[derive(Debug, Default)]
pub struct ProofOfWork {
    /// The name of the site, which is signed into challenges.
    pub site: Option<String>,
    /// The secret before the present one, whose challenges still pass.
    pub previous_secret: Option<Secret>,
    /// How much work it asks for, if not [standard](Difficulty::standard).
    pub difficulty: Option<Difficulty>,
    /// How long challenges live, if not five minutes.
    pub challenge_life: Option<Duration>,
    /// Where answers are remembered.
    pub spent: Option<Arc<dyn SpentTokens>>,
}

/// Where pages fetch challenges if nothing else is said.
pub(crate) const CHALLENGES: &str = "/human-check-altcha/challenge";

impl ProofOfWork {
    pub(crate) fn build(self, secret: Secret) -> Result<Altcha<Arc<dyn SpentTokens>>, ConfigError> {
        let missing = |field, remedy| ConfigError::new(field, "is missing", remedy);
        let site = self
            .site
            .ok_or_else(|| missing("site", "name the site, such as www.example.com"))?;
        let spent = self
            .spent
            .ok_or_else(|| missing("spent", "give altcha a store of spent tokens"))?;
        let mut keys = Keys::new(secret)?;
        if let Some(previous) = self.previous_secret {
            let previous = Keys::new(previous).map_err(|error| {
                let (problem, remedy) = (error.problem().to_owned(), error.remedy().to_owned());
                ConfigError::new("previous_secret", problem, remedy)
            })?;
            keys = keys.or(previous);
        }
        let mut altcha = Altcha::new(keys, site, spent)?;
        if let Some(life) = self.challenge_life {
            altcha = altcha.with_life(life)?;
        }
        Ok(altcha.with_difficulty(self.difficulty.unwrap_or_default()))
    }
}
