use std::sync::Arc;
use std::time::Duration;

use human_check_altcha::{Altcha, Difficulty, Keys};
use human_check_core::{ConfigError, ReplayStore, Secret};

/// What altcha needs besides a secret, and no other kind does.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AltchaConfig {
    /// The name of the site, which is signed into challenges.
    pub site: Option<String>,
    /// The secret before the present one, whose challenges still pass.
    pub previous_secret: Option<Secret>,
    /// How much work a challenge is, if not [standard](Difficulty::standard).
    pub difficulty: Option<Difficulty>,
    /// How long a challenge can be solved, if not five minutes.
    pub challenge_ttl: Option<Duration>,
    /// Where tokens are claimed.
    pub replay_store: Option<Arc<dyn ReplayStore>>,
}

impl AltchaConfig {
    pub(crate) fn build(self, secret: Secret) -> Result<Altcha<Arc<dyn ReplayStore>>, ConfigError> {
        let missing = |field, remedy| ConfigError::new(field, "is missing", remedy);
        let site = self
            .site
            .ok_or_else(|| missing("site", "name the site, such as www.example.com"))?;
        let store = self
            .replay_store
            .ok_or_else(|| missing("replay_store", "give altcha a replay store"))?;
        let mut keys = Keys::new(secret)?;
        if let Some(previous) = self.previous_secret {
            let previous = Keys::new(previous);
            keys = keys.with_previous(previous.map_err(|e| e.with_field("previous_secret"))?);
        }
        let mut altcha = Altcha::new(keys, site, store)?;
        if let Some(ttl) = self.challenge_ttl {
            altcha = altcha.with_ttl(ttl)?;
        }
        Ok(altcha.with_difficulty(self.difficulty.unwrap_or_default()))
    }
}
