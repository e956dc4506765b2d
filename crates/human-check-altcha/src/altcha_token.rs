use std::time::{Duration, SystemTime};

use altcha::Payload;
use human_check_core::{
    DetailValue, EvidenceKind, Facts, Provider, Reason, Refusal, ReportedAction,
};
use percent_encoding::percent_decode_str;

use crate::difficulty::{DerivationFailed, derive};
use crate::keys::{Key, Keys, constant_time_eq};
use crate::payload;

/// A token for a challenge that carries a valid signature and has not ended. Whether the challenge
/// is solved is not known yet.
#[derive(Debug)]
pub(crate) struct AltchaToken {
    payload: Payload,
    key: Key,
    expires_at: SystemTime,
}

impl AltchaToken {
    /// Reads the form field, and verifies the end and the signature of the challenge. Derives no
    /// key.
    ///
    /// # Errors
    ///
    /// A refusal when the field holds no token, or when the challenge has ended, is not signed with
    /// one of `keys`, or has no end.
    pub(crate) fn open(field: &str, keys: &Keys, now: SystemTime) -> Result<Self, Refusal> {
        let payload = payload::read(field)?;
        // In the protocol, zero and a missing member both mean that the challenge never ends.
        let seconds = payload.challenge.parameters.expires_at;
        let expires_at = seconds.filter(|seconds| *seconds != 0).map(|seconds| {
            let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SystemTime::UNIX_EPOCH + since_epoch.min(MAX_UNIX_TIME)
        });
        if expires_at.is_some_and(|expires_at| expires_at < now) {
            return Err(Refusal::new(Reason::Expired));
        }
        let invalid = |code: &str| Refusal::new(Reason::Invalid).with_codes(vec![code.to_owned()]);
        let key = keys.signer(&payload.challenge);
        let key = key.ok_or_else(|| invalid("signature"))?.clone();
        // Other software signed it with the same secret. Without an end it could be used for ever.
        let expires_at = expires_at.ok_or_else(|| invalid("no-expiry"))?;
        Ok(Self {
            payload,
            key,
            expires_at,
        })
    }

    /// Returns whether the token solves its challenge, or `None` for a challenge that does not hold
    /// a signed key. [`Altcha`](crate::Altcha) issues none of those, and verifying one takes a
    /// derivation.
    pub(crate) fn is_solved(&self) -> Option<bool> {
        let parameters = &self.payload.challenge.parameters;
        let signature = parameters.key_signature.as_deref()?;
        let key = hex::decode(&self.payload.solution.derived_key);
        Some(key.is_ok_and(|key| self.key.signed(&key, signature)))
    }

    /// Returns whether the token solves a challenge without a signed key. Derives a key.
    fn is_solved_by_derivation(&self) -> Result<bool, DerivationFailed> {
        let (parameters, solution) = (&self.payload.challenge.parameters, &self.payload.solution);
        let key = hex::encode(derive(parameters, solution.counter)?);
        // A key of any counter proves no work. The work is to find one that begins with the prefix.
        Ok(
            constant_time_eq(&key, &solution.derived_key)
                && key.starts_with(&parameters.key_prefix),
        )
    }

    /// Returns the signature of the challenge, which identifies the token in the replay store. It
    /// is the only part of a token with exactly one accepted spelling.
    pub(crate) fn signature(&self) -> &[u8] {
        let signature = self.payload.challenge.signature.as_deref();
        signature.unwrap_or_default().as_bytes()
    }

    /// Returns when the challenge ends.
    pub(crate) fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Returns the site that the challenge was issued for.
    pub(crate) fn site(&self) -> Option<String> {
        self.signed_text(SITE)
    }

    /// Returns the facts that the signed data of the challenge states.
    pub(crate) fn facts(&self, provider: &Provider) -> Facts {
        let mut facts = Facts::new(provider);
        facts.evidence = EvidenceKind::ProofOfWork;
        facts.action = self.signed_text(ACTION).map(ReportedAction::exact);
        facts.binding = self.signed_text(BINDING);
        let algorithm = self.payload.challenge.parameters.algorithm.clone();
        facts.details = vec![("algorithm", DetailValue::Text(algorithm))];
        facts
    }

    /// Returns a text of the signed data, decoded.
    fn signed_text(&self, name: &str) -> Option<String> {
        let data = self.payload.challenge.parameters.data.as_ref()?;
        let text = data.get(name)?.as_str()?;
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.ok().map(std::borrow::Cow::into_owned)
    }
}

/// The name of the signed data's member for the action.
pub(crate) const ACTION: &str = "action";
/// The name of the signed data's member for the binding.
pub(crate) const BINDING: &str = "binding";
/// The name of the signed data's member for the site.
pub(crate) const SITE: &str = "site";

/// The end of the year 9999 after the Unix epoch. A later end is cut to it, so that no sum
/// overflows.
const MAX_UNIX_TIME: Duration = Duration::from_secs(253_402_300_799);

/// Judges a token without a replay store, for debugging and tests only. Returns the refusal, or
/// `None` when the token solves a challenge that was signed with `keys` and has not ended.
///
/// Do not protect a route with this function: it ignores action, binding and site, and accepts the
/// same token again and again. Use [`Altcha`](crate::Altcha).
///
/// Unlike [`Altcha`](crate::Altcha), it also accepts challenges that other software issued with the
/// same secret and without a signed key. Those cost a derivation on the calling thread.
///
/// ```
/// use std::time::SystemTime;
///
/// use human_check_altcha::{Keys, inspect};
/// use human_check_core::{Reason, Secret};
///
/// let keys = Keys::new(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?)?;
/// let refusal = inspect("not a token", &keys, SystemTime::now()).expect("it is refused");
/// assert_eq!(refusal.reason(), Reason::Malformed);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn inspect(field: &str, keys: &Keys, now: SystemTime) -> Option<Refusal> {
    let token = match AltchaToken::open(field, keys, now) {
        Ok(token) => token,
        Err(refusal) => return Some(refusal),
    };
    let solved = match token.is_solved() {
        Some(solved) => solved,
        None => token.is_solved_by_derivation().unwrap_or(false),
    };
    (!solved).then(|| Refusal::new(Reason::Invalid))
}
