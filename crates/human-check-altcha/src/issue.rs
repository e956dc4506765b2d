use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use human_check_core::{
    Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind, Provider, ReplayStore,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::altcha_check::derivation_error;
use crate::altcha_token::{ACTION, BINDING, SITE};
use crate::difficulty::{DerivationFailed, derive};
use crate::keys::Key;
use crate::{ALTCHA, Altcha, Difficulty};

/// Issues challenges, each tied to the site, and to the action and binding of the request.
///
/// Every visitor can read action and binding in the challenge. Characters that the widget would
/// change are percent-encoded, and the encoded text may have 1,024 bytes.
///
/// `issue` fails with `Declined` when too many derivations are waiting, and with `Misconfigured`
/// when the action or the binding is too long. Dropping its future is safe: a derivation that has
/// begun runs to its end, and its challenge is lost.
///
/// See docs/providers/altcha.md#challenge-endpoint.
#[async_trait]
impl<S: ReplayStore> ChallengeIssuer for Altcha<S> {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        let mut data = BTreeMap::new();
        for (name, text) in [
            (SITE, Some(self.site.as_str())),
            (ACTION, request.action()),
            (BINDING, request.binding()),
        ] {
            if let Some(text) = text {
                data.insert(name.to_owned(), encode_signed_text(text)?);
            }
        }
        let expires_at = self.clock.now() + self.ttl;
        let expires_at = expires_at.duration_since(SystemTime::UNIX_EPOCH);
        let expires_at = expires_at.map_err(|_| not_made())?.as_secs();
        let expires_at = i64::try_from(expires_at).map_err(|_| not_made())?;
        let difficulty = (self.difficulty)(request);
        let key = Arc::clone(self.keys.current());
        let made = self
            .derivations
            .run(move || make(difficulty, &key, data, expires_at))
            .await
            .map_err(derivation_error)?;
        let json = made.map_err(|DerivationFailed| not_made())?;
        Ok(Challenge::new(json).with_ttl(self.ttl))
    }
}

/// Makes a signed challenge, as JSON. Derives one key.
fn make(
    difficulty: Difficulty,
    key: &Key,
    data: BTreeMap<String, Value>,
    expires_at: i64,
) -> Result<String, DerivationFailed> {
    let (mut parameters, counter) = difficulty.draw()?;
    parameters.data = Some(data);
    parameters.expires_at = Some(expires_at);
    let solution = derive(&parameters, counter)?;
    // The browser gets the first half of the key. The other half cannot be guessed from it.
    parameters.key_prefix = hex::encode(&solution[..solution.len() / 2]);
    let challenge = key.sign(parameters, &solution).ok_or(DerivationFailed)?;
    serde_json::to_string(&challenge).map_err(|_| DerivationFailed)
}

/// The characters that are percent-encoded besides those outside ASCII: control characters and
/// spaces, `%` itself, and characters of JSON syntax, of which a token may hold only a limited
/// number.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'%')
    .add(b'"')
    .add(b',')
    .add(b'[')
    .add(b'{')
    .add(b'\\');

/// Encodes a text for the signed data of a challenge.
///
/// # Errors
///
/// [`CheckError`] when the encoded text is longer than 1,024 bytes.
fn encode_signed_text(text: &str) -> Result<Value, CheckError> {
    let encoded = utf8_percent_encode(text, ENCODED).to_string();
    if encoded.len() > 1_024 {
        return Err(CheckError::new(
            ErrorKind::Misconfigured,
            &ALTCHA,
            "bound-text-too-long",
        ));
    }
    Ok(encoded.into())
}

/// Returns the error for a challenge that could not be made, such as for a clock before 1970.
fn not_made() -> CheckError {
    CheckError::new(ErrorKind::Misconfigured, &ALTCHA, "challenge-not-made")
}
