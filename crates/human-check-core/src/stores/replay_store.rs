use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;

use super::DigestKey;
use crate::{CheckError, ErrorKind, Provider, Submission};

/// A store that records which tokens were accepted, so that each token is accepted once.
///
/// [`MemoryReplayStore`](crate::MemoryReplayStore) serves one process. Several processes need a
/// store that they share, such as `RedisReplayStore` of the crate `human-check-redis`. A
/// [`ReplayGuard`](crate::ReplayGuard) claims the tokens.
///
/// # Contract
///
/// - Of all callers that claim the same token within its ttl, in all processes that the store
///   serves, at most one gets [`Claimed::First`]. The lookup and the write are one atomic
///   operation.
/// - A store that fails or is full returns an error. It never drops a claim to make room.
/// - A claim takes no longer than a visitor would wait, even if the store's server hangs.
///
/// # Cancellation
///
/// Dropping the future of [`claim`](Self::claim) leaves open whether the token is claimed. A claim
/// is never revoked.
#[async_trait]
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the longest ttl that a claim in this store can have.
    fn max_ttl(&self) -> Duration;

    /// Claims a token as used, for at least `ttl` from now.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] if the store cannot tell whether the token was claimed before, is full, or
    /// cannot keep a claim as long as `ttl`.
    async fn claim(&self, token: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError>;
}

/// Finds out whether a replay store works: it claims a token that no provider has issued, for ten
/// seconds, and claims it again, which must be a duplicate.
///
/// ```
/// use human_check_core::{MemoryReplayStore, probe_replay_store};
///
/// # async fn example() {
/// assert!(probe_replay_store(&MemoryReplayStore::new(100)).await.is_ok());
/// # }
/// ```
///
/// # Errors
///
/// [`ClaimError`] if a claim fails, or has the other result: `claimed-before` or `claims-twice`.
pub async fn probe_replay_store(store: &dyn ReplayStore) -> Result<(), ClaimError> {
    static PROBE: Provider = Provider::new("human-check-probe", &[]);
    let random = || crate::random::fraction().to_bits().to_le_bytes();
    let id = [random(), random()].concat();
    let claim = async || {
        let token = TokenId::from_bytes(&PROBE, &id);
        store.claim(token, Duration::from_secs(10)).await
    };
    match (claim().await?, claim().await?) {
        (Claimed::First, Claimed::Duplicate) => Ok(()),
        (Claimed::Duplicate, _) => Err(ClaimError::new("claimed-before")),
        (Claimed::First, Claimed::First) => Err(ClaimError::new("claims-twice")),
    }
}

/// The result of a claim: whether the token was claimed before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a claim whose result is ignored lets replays through"]
pub enum Claimed {
    /// The token was claimed before, within its ttl.
    Duplicate,
    /// The token was not claimed before, and is claimed now.
    First,
}

/// The identity of a token that is to be claimed.
///
/// A store sees a keyed [`digest`](Self::digest) of the token and never its text.
///
/// ```
/// use human_check_core::{DigestKey, Provider, Submission, TokenId};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let submission = Submission::new().with_token(&ACME, "token-from-the-form");
/// let token = TokenId::of_submission(&submission, &ACME);
/// let key = DigestKey::random();
/// assert_eq!(token.digest(&key), token.digest(&key));
/// ```
#[derive(Clone, Copy)]
pub struct TokenId<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Submission(&'a Submission, &'a Provider),
    Bytes(&'a Provider, &'a [u8]),
}

impl<'a> TokenId<'a> {
    /// Creates the identity of what arrived for `provider` in `submission`.
    ///
    /// The form field that it arrived in, repeated values and their order make no difference.
    pub fn of_submission(submission: &'a Submission, provider: &'a Provider) -> Self {
        Self(Source::Submission(submission, provider))
    }

    /// Creates the identity of a token from bytes that the adapter chooses.
    ///
    /// For an adapter whose tokens can be written in more than one way. `id` must be the same for
    /// all spellings of one token.
    pub fn from_bytes(provider: &'a Provider, id: &'a [u8]) -> Self {
        Self(Source::Bytes(provider, id))
    }

    /// Returns the provider whose token it is.
    pub fn provider(&self) -> &'a Provider {
        match self.0 {
            Source::Submission(_, provider) | Source::Bytes(provider, _) => provider,
        }
    }

    /// Returns the digest of the token under `key`. A store keeps the digest in place of the token.
    pub fn digest(&self, key: &DigestKey) -> [u8; 16] {
        let provider_name = self.provider().name().as_bytes();
        let (submission, provider) = match self.0 {
            Source::Bytes(_, id) => return key.digest(&[provider_name, id]),
            Source::Submission(submission, provider) => (submission, provider),
        };
        // Nearly every submission has one value, or the same value twice. That needs no list.
        let mut values = submission.values(provider);
        if let Some((name, text)) = values.next()
            && values.all(|other| other == (name, text))
        {
            return key.digest(&[provider_name, name.as_bytes(), text.as_bytes()]);
        }
        let mut values: Vec<_> = submission.values(provider).collect();
        // Sorted and without repetitions, so that the client cannot change the digest.
        values.sort_unstable();
        values.dedup();
        let mut parts = vec![provider_name];
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

/// The error of a replay store that cannot tell whether a token was claimed before.
///
/// ```
/// use human_check_core::ClaimError;
///
/// let error = ClaimError::new("store-full");
/// assert_eq!(error.to_string(), "the replay store failed (store-full)");
/// ```
#[derive(Debug)]
pub struct ClaimError {
    reason: &'static str,
    misconfigured: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ClaimError {
    /// Creates an error without a cause.
    ///
    /// `reason` is a short name from a fixed set, in the style of `store-full`. It may become a
    /// metric label.
    pub fn new(reason: &'static str) -> Self {
        Self {
            reason,
            misconfigured: false,
            source: None,
        }
    }

    /// Marks an error that lasts until the operator changes the configuration, such as a wrong password
    /// of the store. Default: not marked.
    ///
    /// No route fails open on such an error.
    #[must_use]
    pub fn with_misconfiguration(mut self) -> Self {
        self.misconfigured = true;
        self
    }

    /// Sets the cause. Its text must not contain a URL with a password, a key or a token. Default
    /// none.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the error of a check whose token could not be claimed, with this error as its source:
    /// [`ErrorKind::StoreUnavailable`], or [`ErrorKind::Misconfigured`] if this error is
    /// [marked](Self::with_misconfiguration).
    pub fn into_check_error(self, provider: &Provider) -> CheckError {
        let kind = match self.misconfigured {
            true => ErrorKind::Misconfigured,
            false => ErrorKind::StoreUnavailable,
        };
        CheckError::new(kind, provider, self.reason).with_source(self)
    }

    /// Returns what happened, as a short name from a fixed set, such as `store-timeout`.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the replay store failed ({})", self.reason)
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

    // The signature is what `async_trait` would generate. Written by hand, the method returns the
    // inner future instead of boxing it a second time.
    fn claim<'store, 'token, 'future>(
        &'store self,
        token: TokenId<'token>,
        ttl: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Claimed, ClaimError>> + Send + 'future>>
    where
        'store: 'future,
        'token: 'future,
        Self: 'future,
    {
        (**self).claim(token, ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: Provider = Provider::new("acme", &["acme-response", "acme-copy"]);
    static OTHER: Provider = Provider::new("other", &["other-response"]);

    /// Returns the digests under each kind of key.
    fn digest(submission: &Submission, provider: &Provider) -> Vec<[u8; 16]> {
        static RANDOM: std::sync::LazyLock<DigestKey> = std::sync::LazyLock::new(DigestKey::random);
        let token = TokenId::of_submission(submission, provider);
        vec![
            token.digest(&RANDOM),
            #[cfg(feature = "replay-shared")]
            token.digest(&DigestKey::from_secret(&crate::Secret::new("k").unwrap())),
        ]
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "the callers are shorter")]
    fn assert_differ(one: Vec<[u8; 16]>, other: Vec<[u8; 16]>) {
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
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
        assert_differ(digest(&token("token"), &ACME), digest(&of_other, &OTHER));
        assert_differ(
            digest(&token("token"), &ACME),
            digest(&token("tokem"), &ACME),
        );
        // Tokens of one provider share long beginnings.
        let long = "0.AAAA".repeat(300);
        assert_differ(
            digest(&token(&format!("{long}1")), &ACME),
            digest(&token(&format!("{long}2")), &ACME),
        );
        let pair = |a: &str, b: &str| {
            let submission = Submission::new().with_token_part(&ACME, "lot", a.to_owned());
            digest(
                &submission.with_token_part(&ACME, "pass", b.to_owned()),
                &ACME,
            )
        };
        assert_differ(pair("ab", "c"), pair("a", "bc"));
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
