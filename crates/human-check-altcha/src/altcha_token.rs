use std::time::{Duration, SystemTime};

use altcha::Payload;
use human_check_core::{
    DetailValue, EvidenceKind, Facts, Provider, Reason, Refusal, ReportedAction,
};
use percent_encoding::percent_decode_str;

use crate::difficulty::{Failed, derive};
use crate::keys::{Key, Keys, same};
use crate::payload;

/// An answer to a challenge that we signed and that has not ended. Whether it is right is still open.
#[derive(Debug)]
pub(crate) struct AltchaToken {
    payload: Payload,
    key: Key,
    ends: SystemTime,
}

impl AltchaToken {
    /// Reads a field and asks for nothing that costs a derivation (section 4, steps 1 to 3).
    pub(crate) fn open(field: &str, keys: &Keys, now: SystemTime) -> Result<Self, Refusal> {
        let payload = payload::read(field)?;
        // Zero and absent both mean never.
        let ends = payload.challenge.parameters.expires_at;
        let ends = ends.filter(|seconds| *seconds != 0).map(|seconds| {
            let after = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SystemTime::UNIX_EPOCH + after.min(FAR)
        });
        if ends.is_some_and(|ends| ends < now) {
            return Err(Refusal::new(Reason::Expired));
        }
        let invalid = |code: &str| Refusal::new(Reason::Invalid).with_codes(vec![code.to_owned()]);
        let key = keys.signer(&payload.challenge);
        let key = key.ok_or_else(|| invalid("signature"))?.clone();
        // Signed with our secret and not by us: what lives for ever can be used for ever.
        let ends = ends.ok_or_else(|| invalid("no-expiry"))?;
        Ok(Self { payload, key, ends })
    }

    /// Whether the work was done (step 4). `None` for a challenge that does not hold the signed key,
    /// which takes a derivation to find out and is none that we make.
    pub(crate) fn is_right(&self) -> Option<bool> {
        let parameters = &self.payload.challenge.parameters;
        let signature = parameters.key_signature.as_deref()?;
        let key = hex::decode(&self.payload.solution.derived_key);
        Some(key.is_ok_and(|key| self.key.signed(&key, signature)))
    }

    /// The same for a challenge without.
    fn is_right_by_derivation(&self) -> Result<bool, Failed> {
        let (parameters, solution) = (&self.payload.challenge.parameters, &self.payload.solution);
        let key = hex::encode(derive(parameters, solution.counter)?);
        // A key that fits its counter proves nothing; that it begins as asked for is the work.
        Ok(same(&key, &solution.derived_key) && key.starts_with(&parameters.key_prefix))
    }

    /// The only part with one accepted spelling (section 4), so what the answer is remembered by.
    pub(crate) fn signature(&self) -> &[u8] {
        let signature = self.payload.challenge.signature.as_deref();
        signature.unwrap_or_default().as_bytes()
    }

    /// When the challenge ends.
    pub(crate) fn ends(&self) -> SystemTime {
        self.ends
    }

    /// The site it was made for.
    pub(crate) fn site(&self) -> Option<String> {
        self.bound(SITE)
    }

    /// What the signed data says.
    pub(crate) fn facts(&self, provider: &Provider) -> Facts {
        let mut facts = Facts::new(provider);
        facts.evidence = EvidenceKind::ProofOfWork;
        facts.action = self.bound(ACTION).map(ReportedAction::exact);
        facts.binding = self.bound(BINDING);
        let algorithm = self.payload.challenge.parameters.algorithm.clone();
        facts.details = vec![("algorithm", DetailValue::Text(algorithm))];
        facts
    }

    fn bound(&self, name: &str) -> Option<String> {
        let data = self.payload.challenge.parameters.data.as_ref()?;
        let text = data.get(name)?.as_str()?;
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.ok().map(std::borrow::Cow::into_owned)
    }
}

/// Members of the signed data.
pub(crate) const ACTION: &str = "action";
pub(crate) const BINDING: &str = "binding";
pub(crate) const SITE: &str = "site";

/// No clock shows a later time, and adding it to one overflows nothing.
const FAR: Duration = Duration::from_secs(253_402_300_799);

/// Judges a field without a store: whether it answers a challenge of ours rightly and in time.
///
/// `None` when it does. For looking into a payload that puzzles you and for tests. ChallengeEndpoint of other
/// software with the same secret, which a check refuses, are judged too; those without a signed key cost
/// a derivation on the calling thread. It looks at no action and no site and lets the same answer
/// pass again and again, so no route may rest on it.
pub fn inspect(field: &str, keys: &Keys, now: SystemTime) -> Option<Refusal> {
    let token = match AltchaToken::open(field, keys, now) {
        Ok(answer) => answer,
        Err(refusal) => return Some(refusal),
    };
    let right = match token.is_right() {
        Some(right) => right,
        None => token.is_right_by_derivation().unwrap_or(false),
    };
    (!right).then(|| Refusal::new(Reason::Invalid))
}
