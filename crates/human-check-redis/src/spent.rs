use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{Claim, ClaimError, Claimed, DigestKey, Secret, SpentTokens};
use redis::{Cmd, Value};

use crate::key::key;
use crate::{LONGEST, RedisServer, Trouble};

/// Spent tokens remembered in Redis, so that each passes once over all processes.
///
/// A claim is one `SET key 1 NX PX life`: look and write are one operation of the server, and one
/// round trip. The key is the prefix with a keyed digest, the token itself is never sent.
///
/// When no reply arrives, the server may have remembered the token or not. The claim is then an
/// error, so the visitor is not let in, and it is never sent again: a second try could not tell
/// its own first from somebody else's.
#[derive(Clone)]
pub struct RedisSpent {
    server: RedisServer,
    digest: DigestKey,
    prefix: String,
}

impl RedisSpent {
    /// Remembers on `server`. `secret` must be the same in every process that shares it, and
    /// different wherever a token may pass once more; it keeps those who read the server's memory
    /// from testing it for tokens.
    pub fn new(server: &RedisServer, secret: &Secret) -> Self {
        Self {
            server: server.clone(),
            digest: DigestKey::from_secret(secret),
            prefix: "human-check:spent:".to_owned(),
        }
    }

    /// Begins keys with this instead of `human-check:spent:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    async fn set(&self, digest: [u8; 16], life: Duration) -> Result<Claimed, Trouble> {
        let mut set = Cmd::new();
        set.arg("SET").arg(key(&self.prefix, digest)).arg("1");
        set.arg("NX").arg("PX").arg(millis(life));
        match self.server.ask(&set).await? {
            Value::Okay => Ok(Claimed::First),
            Value::Nil => Ok(Claimed::Before),
            _ => Err(self.server.mistrust()),
        }
    }
}

/// Rounded up, so that a token is never forgotten early.
pub(crate) fn millis(life: Duration) -> u64 {
    let millis = life.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[async_trait]
impl SpentTokens for RedisSpent {
    fn longest_life(&self) -> Duration {
        LONGEST
    }

    async fn claim(&self, claim: Claim<'_>, life: Duration) -> Result<Claimed, ClaimError> {
        if life > LONGEST {
            return Err(ClaimError::new("life-too-long"));
        }
        self.set(claim.digest(&self.digest), life)
            .await
            .map_err(|trouble| ClaimError::new(trouble.reason()).with_source(trouble))
    }
}

impl fmt::Debug for RedisSpent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSpent")
            .field("server", &self.server)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_rounded_up() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::from_micros(7_001)), 8);
    }
}
