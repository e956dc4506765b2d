use std::sync::Arc;
use std::time::Duration;

use human_check_altcha::{Altcha, Difficulty, Keys};
use human_check_core::{ConfigError, ReplayStore, Secret};

/// The settings of the kind altcha that no other kind of provider has.
///
/// They are a part of [`ProviderConfig`](crate::ProviderConfig), in its field `altcha`. Altcha
/// needs `site` and `replay_store`.
///
/// ```
/// use human_check_config::{ProviderConfig, ProviderKind};
/// use human_check_core::{MemoryReplayStore, Secret};
/// use human_check_http::{MockTransport, ProviderClient};
/// use std::sync::Arc;
///
/// let mut config = ProviderConfig::new(ProviderKind::Altcha);
/// config.secret = Some(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?);
/// config.altcha.site = Some("www.example.com".to_owned());
/// config.altcha.replay_store = Some(Arc::new(MemoryReplayStore::new(100_000)));
/// # use human_check_http::{SendError, SendErrorKind};
/// # let transport = MockTransport::new(|_| Err(SendError::new(SendErrorKind::NotSent)));
/// let check = config.build(&ProviderClient::new(transport))?; // altcha makes no call
/// assert_eq!(check.providers()[0].name(), "altcha");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/altcha.md#set-up.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AltchaConfig {
    /// The name of the site, such as its host. It is signed into challenges, so that tokens of one
    /// site do not pass on another site with the same secret. Required.
    pub site: Option<String>,
    /// The secret that was in use before the present one. Tokens of its challenges still pass, so
    /// that a secret can be rotated.
    pub previous_secret: Option<Secret>,
    /// How much work a challenge takes. Default [standard](Difficulty::standard).
    pub difficulty: Option<Difficulty>,
    /// How long a challenge can be solved, 10 seconds to one day. Default five minutes.
    pub challenge_ttl: Option<Duration>,
    /// The store that claims tokens, so that each is accepted once. Required.
    pub replay_store: Option<Arc<dyn ReplayStore>>,
}

impl AltchaConfig {
    /// Builds the check of altcha, which also issues challenges.
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
