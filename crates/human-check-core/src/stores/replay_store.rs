use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use crate::random::random;
use crate::{Provider, Secret, Submission};

/// Remembers which tokens were accepted, so that each passes once.
///
/// # Contract
///
/// - Of all callers that claim the same token within its ttl, at whatever time and on whatever
///   machine the store serves, at most one is told [`Claimed::First`]. Look and write are one
///   operation.
/// - A store that cannot tell, or has no room, says so; it never forgets a claim to make room.
/// - It waits no longer than a visitor would, whatever its server does.
///
/// # Cancellation
///
/// Dropping the future of [`claim`](Self::claim) leaves the token claimed or not. It never takes a
/// claim back.
#[async_trait]
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// The longest ttl it can remember a token for.
    fn max_ttl(&self) -> Duration;

    /// Claims a token as used, for at least `ttl` from now.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] when nobody can say whether it was used before.
    async fn claim(&self, claim: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError>;
}

/// What a store was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a claim that nobody looks at lets replays in"]
pub enum Claimed {
    /// The token was claimed before.
    Duplicate,
    /// This is the first use.
    First,
}

/// A token to be claimed. A store sees its keyed digest and nothing else of it.
#[derive(Clone, Copy)]
pub struct TokenId<'a>(What<'a>);

#[derive(Clone, Copy)]
enum What<'a> {
    Submitted(&'a Submission, &'a Provider),
    Named(&'a Provider, &'a [u8]),
}

impl<'a> TokenId<'a> {
    /// Whatever arrived for `provider` in `submission`. The field it came in makes no difference.
    pub fn of_submission(submission: &'a Submission, provider: &'a Provider) -> Self {
        Self(What::Submitted(submission, provider))
    }

    /// A token known by something else than its text, for adapters whose tokens can be written in
    /// more than one way. `id` must be the same for all of them.
    pub fn from_bytes(provider: &'a Provider, id: &'a [u8]) -> Self {
        Self(What::Named(provider, id))
    }

    /// Whose token it is.
    pub fn provider(&self) -> &'a Provider {
        match self.0 {
            What::Submitted(_, provider) | What::Named(provider, _) => provider,
        }
    }

    /// The digest that stands for the token under `key`.
    pub fn digest(&self, key: &DigestKey) -> [u8; 16] {
        let whose = self.provider().name().as_bytes();
        let (submission, provider) = match self.0 {
            What::Named(_, id) => return key.digest(&[whose, id]),
            What::Submitted(submission, provider) => (submission, provider),
        };
        // Nearly everybody sends one value, or the same twice, and that needs no list.
        let mut values = submission.values(provider);
        if let Some((name, text)) = values.next()
            && values.all(|other| other == (name, text))
        {
            return key.digest(&[whose, name.as_bytes(), text.as_bytes()]);
        }
        let mut values: Vec<_> = submission.values(provider).collect();
        // In one order and without copies, however the visitor arranged them.
        values.sort_unstable();
        values.dedup();
        let mut parts = vec![whose];
        let values = values.into_iter();
        parts.extend(values.flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]));
        key.digest(&parts)
    }
}

impl fmt::Debug for TokenId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({}, [redacted])", self.provider())
    }
}

/// The key of the digests that stand for tokens in a store.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// A key that only this process has, for a store that only this process has.
    pub fn random() -> Self {
        let mut key = [0; 32];
        for part in key.chunks_exact_mut(8) {
            part.copy_from_slice(&random().to_le_bytes());
        }
        Self(key)
    }

    /// The key that every process makes of the same secret, for a store that they share.
    pub fn from_secret(secret: &Secret) -> Self {
        let context = "human-check 2026-11-24 digests of spent tokens";
        Self(blake3::derive_key(context, secret.expose().as_bytes()))
    }

    /// The first 128 bits of the keyed BLAKE3 hash of `parts`. No two lists of parts look alike.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        digest
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey([redacted])")
    }
}

/// Nobody can say whether a token was used before.
#[derive(Debug)]
pub struct ClaimError {
    reason: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ClaimError {
    /// `reason` is a short name of a fixed set in the style of `store-full`; it may become a metric
    /// label.
    pub fn new(reason: &'static str) -> Self {
        Self {
            reason,
            source: None,
        }
    }

    /// The same with what caused it. The cause must not show an address with a password, a key or a
    /// token.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What happened, as a short name of a fixed set.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store of spent tokens failed ({})", self.reason)
    }
}

impl Error for ClaimError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl<S: ReplayStore + ?Sized> ReplayStore for std::sync::Arc<S> {
    fn max_ttl(&self) -> Duration {
        (**self).max_ttl()
    }

    // Written as the attribute would expand it, but handing on the inner future instead of boxing it
    // once more.
    fn claim<'store, 'claim, 'future>(
        &'store self,
        claim: TokenId<'claim>,
        ttl: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Claimed, ClaimError>> + Send + 'future>>
    where
        'store: 'future,
        'claim: 'future,
        Self: 'future,
    {
        (**self).claim(claim, ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: Provider = Provider::new("acme", &["acme-response", "acme-copy"]);
    static OTHER: Provider = Provider::new("other", &["other-response"]);

    fn digest(submission: &Submission, provider: &Provider) -> [u8; 16] {
        let key = DigestKey::from_secret(&Secret::new("k").unwrap());
        TokenId::of_submission(submission, provider).digest(&key)
    }

    #[test]
    fn the_same_token_is_the_same_key_however_it_arrived() {
        let once = Submission::new().with_token(&ACME, "token");
        let twice = once.clone().with_token(&ACME, "token");
        let more = Submission::new()
            .with_token(&OTHER, "x")
            .with_token(&ACME, "token")
            .with_client_ip("203.0.113.7".parse().unwrap());
        assert_eq!(digest(&once, &ACME), digest(&twice, &ACME));
        assert_eq!(digest(&once, &ACME), digest(&more, &ACME));
    }

    #[test]
    fn values_are_told_apart_by_provider_name_and_text() {
        let token = |text: &str| Submission::new().with_token(&ACME, text);
        let of_other = Submission::new().with_token(&OTHER, "token");
        assert_ne!(digest(&token("token"), &ACME), digest(&of_other, &OTHER));
        assert_ne!(
            digest(&token("token"), &ACME),
            digest(&token("tokem"), &ACME)
        );
        let pair = |a: &str, b: &str| {
            let submission = Submission::new().with_token_part(&ACME, "lot", a.to_owned());
            digest(
                &submission.with_token_part(&ACME, "pass", b.to_owned()),
                &ACME,
            )
        };
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
        let swapped = Submission::new()
            .with_token_part(&ACME, "pass", "c")
            .with_token_part(&ACME, "lot", "ab");
        assert_eq!(pair("ab", "c"), digest(&swapped, &ACME));
    }

    #[test]
    fn the_key_is_part_of_the_digest_and_never_shown() {
        let token = Submission::new().with_token(&ACME, "token");
        let claim = TokenId::of_submission(&token, &ACME);
        let (one, two) = (DigestKey::random(), DigestKey::random());
        assert_ne!(claim.digest(&one), claim.digest(&two));
        let printed = format!("{claim:?} {one:?}");
        assert_eq!(printed, "TokenId(acme, [redacted]) DigestKey([redacted])");
    }
}
