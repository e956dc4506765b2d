use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::selection::{NameDigest, OfferKeys, is_equal, part, seconds, sign};

const VERSION: u8 = 1;

/// The length of a cookie before it is written as text.
const BYTES: usize = 43;

/// The name of the cookie. The prefix makes browsers accept it only over HTTPS, from this host, for all
/// of its paths.
pub(super) const NAME: &str = "__Host-human-check-arm";

/// The signed cookie that keeps a visitor in one arm. It says nothing else about the visitor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ArmCookie {
    pub(super) experiment: NameDigest,
    pub(super) arm: NameDigest,
    /// The step of the ramp in which the visitor was assigned.
    pub(super) ramp_step: u8,
    /// A random group of visitors.
    pub(super) bucket: u8,
}

impl ArmCookie {
    /// Returns the value of `Set-Cookie`, which ends after `ttl`.
    pub(super) fn set(&self, keys: &OfferKeys, now: SystemTime, ttl: Duration) -> String {
        let key = keys.signing();
        let issued = u32::try_from(seconds(now)).unwrap_or(u32::MAX);
        let parts = [
            &[VERSION][..],
            &key.id,
            &self.experiment,
            &self.arm,
            &[self.ramp_step, self.bucket],
            &issued.to_be_bytes(),
        ];
        let mut bytes = parts.concat();
        bytes.extend(sign(&key.arms, &bytes));
        format!(
            "{NAME}={}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Lax",
            URL_SAFE_NO_PAD.encode(bytes),
            ttl.as_secs()
        )
    }

    /// Reads the value of a cookie of this experiment. `None` if it is none.
    pub(super) fn verify(text: &[u8], keys: &OfferKeys, experiment: &NameDigest) -> Option<Self> {
        let mut bytes = [0; BYTES];
        if URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(BYTES) || bytes[0] != VERSION {
            return None;
        }
        let key = keys.find(&bytes[1..5])?;
        let (signed, mac) = bytes.split_last_chunk::<16>()?;
        if !is_equal(mac, &sign(&key.arms, signed)) {
            return None;
        }
        let cookie = Self {
            experiment: part(&bytes, 5),
            arm: part(&bytes, 13),
            ramp_step: bytes[21],
            bucket: bytes[22],
        };
        (cookie.experiment == *experiment).then_some(cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::name_digest;

    #[test]
    fn a_cookie_holds_for_its_experiment_and_a_change_makes_it_none() {
        let keys = OfferKeys::random();
        let made = ArmCookie {
            experiment: name_digest(&["e"]),
            arm: name_digest(&["new"]),
            ramp_step: 2,
            bucket: 200,
        };
        let line = made.set(&keys, SystemTime::now(), Duration::from_secs(60));
        let text = line.split(['=', ';']).nth(1).unwrap();
        let read = |text: &[u8]| ArmCookie::verify(text, &keys, &made.experiment);
        assert_eq!(read(text.as_bytes()), Some(made));
        for at in 0..text.len() {
            let mut bytes = text.to_owned().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(&bytes), None, "{at}");
        }
        let other = name_digest(&["other"]);
        assert_eq!(ArmCookie::verify(text.as_bytes(), &keys, &other), None);
        let others = OfferKeys::random();
        assert_eq!(
            ArmCookie::verify(text.as_bytes(), &others, &made.experiment),
            None
        );
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=60"] {
            assert!(line.contains(attribute), "{attribute}");
        }
    }
}
