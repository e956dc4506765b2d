use std::time::{Duration, SystemTime};

use human_check_core::{
    DetailValue, EvidenceKind, Facts, Provider, Reason, Refusal, ReportedAction,
};
use percent_encoding::percent_decode_str;

use crate::difficulty::{DerivationFailed, derive};
use crate::keys::{Keys, constant_time_eq};
use crate::payload::{self, Text};

/// A token for a challenge that carries a valid signature and has not ended.
#[derive(Debug)]
pub(crate) struct AltchaToken {
    signature: String,
    expires_at: SystemTime,
    is_solved: Option<bool>,
    algorithm: String,
    site: Option<String>,
    action: Option<String>,
    binding: Option<String>,
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
        let json = payload::decode(field)?;
        let payload = payload::read(&json)?;
        let parameters = &payload.challenge.parameters;
        // In the protocol, zero and a missing member both mean that the challenge never ends.
        let seconds = parameters.expires_at.filter(|seconds| *seconds != 0);
        let expires_at = seconds.map(|seconds| {
            let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SystemTime::UNIX_EPOCH + since_epoch.min(MAX_UNIX_TIME)
        });
        if expires_at.is_some_and(|expires_at| expires_at < now) {
            return Err(Refusal::new(Reason::Expired));
        }
        let invalid = |code: &str| Refusal::new(Reason::Invalid).with_codes(vec![code.to_owned()]);
        let signature = payload.challenge.signature.as_ref().map(Text::as_str);
        let signature = signature.ok_or_else(|| invalid("signature"))?;
        let key = keys.signer(parameters, signature);
        let key = key.ok_or_else(|| invalid("signature"))?;
        // Other software signed it with the same secret. Without an end it could be used for ever.
        let expires_at = expires_at.ok_or_else(|| invalid("no-expiry"))?;
        let is_solved = parameters.key_signature.as_ref().map(|signature| {
            let solution = payload.solution.derived_key.as_str();
            // Most keys are short enough for a buffer on the stack.
            let mut short = [0; 64];
            let bytes = short.get_mut(..solution.len() / 2);
            let is_signed = |bytes: &[u8]| key.signed(bytes, signature.as_str());
            match bytes {
                Some(bytes) => {
                    let decoded = hex::decode_to_slice(solution, bytes);
                    decoded.is_ok() && is_signed(bytes)
                }
                None => hex::decode(solution).is_ok_and(|bytes| is_signed(&bytes)),
            }
        });
        let text = |name| {
            let text = parameters.data.as_ref()?.text(name)?;
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.ok().map(std::borrow::Cow::into_owned)
        };
        Ok(Self {
            signature: signature.to_owned(),
            expires_at,
            is_solved,
            algorithm: parameters.algorithm.as_str().to_owned(),
            site: text(SITE),
            action: text(ACTION),
            binding: text(BINDING),
        })
    }

    /// Returns whether the token solves its challenge, or `None` for a challenge that does not hold
    /// a signed key. [`Altcha`](crate::Altcha) issues none of those, and verifying one takes a
    /// derivation.
    pub(crate) fn is_solved(&self) -> Option<bool> {
        self.is_solved
    }

    /// Returns the signature of the challenge, which identifies the token in the replay store. It
    /// is the only part of a token with exactly one accepted spelling.
    pub(crate) fn signature(&self) -> &[u8] {
        self.signature.as_bytes()
    }

    /// Returns when the challenge ends.
    pub(crate) fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Takes the site that the challenge was issued for.
    pub(crate) fn take_site(&mut self) -> Option<String> {
        self.site.take()
    }

    /// Takes the facts that the signed data of the challenge states.
    pub(crate) fn take_facts(&mut self, provider: &Provider) -> Facts {
        let mut facts = Facts::new(provider);
        facts.evidence = EvidenceKind::ProofOfWork;
        facts.action = self.action.take().map(ReportedAction::exact);
        facts.binding = self.binding.take();
        let algorithm = std::mem::take(&mut self.algorithm);
        facts.details = Vec::with_capacity(2);
        facts
            .details
            .push(("algorithm", DetailValue::Text(algorithm)));
        facts
    }
}

/// Returns whether a token solves a challenge without a signed key. Derives a key.
fn is_solved_by_derivation(field: &str) -> Result<bool, DerivationFailed> {
    let json = payload::decode(field).map_err(|_| DerivationFailed)?;
    let payload: altcha::Payload = serde_json::from_slice(&json).map_err(|_| DerivationFailed)?;
    let (parameters, solution) = (&payload.challenge.parameters, &payload.solution);
    let key = hex::encode(derive(parameters, solution.counter)?);
    // A key of any counter proves no work. The work is to find one that begins with the prefix.
    Ok(constant_time_eq(&key, &solution.derived_key) && key.starts_with(&parameters.key_prefix))
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
        None => is_solved_by_derivation(field).unwrap_or(false),
    };
    (!solved).then(|| Refusal::new(Reason::Invalid))
}
