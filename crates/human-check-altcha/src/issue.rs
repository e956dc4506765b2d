use std::collections::BTreeMap;
use std::time::SystemTime;

use async_trait::async_trait;
use human_check_core::{
    Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ErrorKind, Provider, ReplayStore,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::altcha_check::not_run;
use crate::altcha_token::{ACTION, BINDING, SITE};
use crate::difficulty::{Failed, derive};
use crate::keys::Key;
use crate::{ALTCHA, Altcha, Difficulty};

/// Makes challenges (section 2), each tied to the site, and to the action and binding asked for.
///
/// Everybody who loads the page can read those two. What is neither printable ASCII nor short travels
/// percent-encoded, up to 1,024 bytes: browsers garble everything else in the signed data (section 3),
/// and numbers, of which there are none in it.
#[async_trait]
impl<S: ReplayStore> ChallengeIssuer for Altcha<S> {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    /// # Errors
    ///
    /// `Declined` when too many are being made, `Misconfigured` when the action or the binding is too
    /// long.
    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        let mut data = BTreeMap::new();
        for (name, text) in [
            (SITE, Some(self.site.as_str())),
            (ACTION, request.action()),
            (BINDING, request.binding()),
        ] {
            if let Some(text) = text {
                data.insert(name.to_owned(), bound(text)?);
            }
        }
        let ends = self.clock.now() + self.ttl;
        let ends = ends.duration_since(SystemTime::UNIX_EPOCH);
        let ends = ends.map_err(|_| failed())?.as_secs();
        let ends = i64::try_from(ends).map_err(|_| failed())?;
        let difficulty = (self.difficulty)(request);
        let key = self.keys.current().clone();
        let made = self
            .derivations
            .run(move || make(difficulty, &key, data, ends))
            .await
            .map_err(not_run)?;
        let json = made.map_err(|Failed| failed())?;
        Ok(Challenge::new(json).with_ttl(self.ttl))
    }
}

fn make(
    difficulty: Difficulty,
    key: &Key,
    data: BTreeMap<String, Value>,
    ends: i64,
) -> Result<String, Failed> {
    let (mut parameters, counter) = difficulty.draw()?;
    parameters.data = Some(data);
    parameters.expires_at = Some(ends);
    let solution = derive(&parameters, counter)?;
    // The half that is told; the other half cannot be guessed from it (section 2).
    parameters.key_prefix = hex::encode(&solution[..solution.len() / 2]);
    let challenge = key.sign(parameters, Some(&solution)).ok_or(Failed)?;
    serde_json::to_string(&challenge).map_err(|_| Failed)
}

/// Everything but printable ASCII, the sign that marks it, and those that JSON is made of, of which
/// an answer may hold few.
const GARBLED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'%')
    .add(b'"')
    .add(b',')
    .add(b'[')
    .add(b'{')
    .add(b'\\');

fn bound(text: &str) -> Result<Value, CheckError> {
    let encoded = utf8_percent_encode(text, GARBLED).to_string();
    if encoded.len() > 1_024 {
        return Err(CheckError::new(
            ErrorKind::Misconfigured,
            &ALTCHA,
            "bound-text-too-long",
        ));
    }
    Ok(encoded.into())
}

fn failed() -> CheckError {
    CheckError::new(ErrorKind::Misconfigured, &ALTCHA, "challenge-not-made")
}
