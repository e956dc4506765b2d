//! A past human verdict that still counts on other routes, as a signed cookie.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::selection::{NameDigest, OfferKeys, fill_random, is_equal, part, seconds, sign};

const VERSION: u8 = 1;

/// The length of a clearance before it is written as text.
const BYTES: usize = 57;

/// The length of a clearance's text.
const TEXT_BYTES: usize = 76;

/// How far the clocks of two machines may differ.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// A signed statement that a route returned a human verdict for a visitor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clearance {
    /// When it was issued, in seconds since 1970.
    issued: u32,
    /// Tells two clearances apart, so that their requests can be counted.
    pub(crate) nonce: [u8; 16],
    route: NameDigest,
    /// The session that it is bound to. Zero if there is none.
    session: NameDigest,
}

impl Clearance {
    /// Creates a clearance that `route` issues at the time `now`.
    pub(crate) fn new(route: NameDigest, session: NameDigest, now: SystemTime) -> Self {
        let mut nonce = [0; 16];
        fill_random(&mut nonce);
        Self {
            issued: u32::try_from(seconds(now)).unwrap_or(u32::MAX),
            nonce,
            route,
            session,
        }
    }

    /// Signs the clearance and returns its text.
    pub(crate) fn sign(&self, keys: &OfferKeys) -> String {
        let key = keys.signing();
        let parts = [
            &[VERSION][..],
            &key.id,
            &self.issued.to_be_bytes(),
            &self.nonce,
            &self.route,
            &self.session,
        ];
        let mut bytes = parts.concat();
        bytes.extend(sign(&key.clearances, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a clearance of `route` for `session` that is younger than `ttl`. `None` if the text is no
    /// such clearance.
    pub(crate) fn verify(
        text: &[u8],
        keys: &OfferKeys,
        route: NameDigest,
        session: NameDigest,
        ttl: Duration,
        now: SystemTime,
    ) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut bytes = [0; BYTES];
        if URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(BYTES) || bytes[0] != VERSION {
            return None;
        }
        let key = keys.find(&bytes[1..5])?;
        let (signed, mac) = bytes.split_last_chunk::<16>()?;
        if !is_equal(mac, &sign(&key.clearances, signed)) {
            return None;
        }
        let clearance = Self {
            issued: u32::from_be_bytes(part(&bytes, 5)),
            nonce: part(&bytes, 9),
            route: part(&bytes, 25),
            session: part(&bytes, 33),
        };
        let (issued, now) = (u64::from(clearance.issued), seconds(now));
        let is_fresh = issued <= now + CLOCK_TOLERANCE.as_secs() && now < issued + ttl.as_secs();
        let is_own = clearance.route == route && clearance.session == session;
        (is_fresh && is_own).then_some(clearance)
    }
}

/// Returns the name of the cookie with the clearance of a route.
///
/// The prefix makes browsers accept it only over HTTPS, from this host, for all of its paths.
pub(crate) fn cookie_name(route: &NameDigest) -> String {
    let digits: String = route.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("__Host-human-check-{digits}")
}

/// Returns the value of `Set-Cookie` for a clearance of a route.
pub(crate) fn set_cookie(route: &NameDigest, text: &str, ttl: Duration) -> String {
    format!(
        "{}={text}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Lax",
        cookie_name(route),
        ttl.as_secs()
    )
}

/// Calls `found` with the values of the cookies called `name` in a line of the header `Cookie`.
pub(crate) fn read_cookie(line: &[u8], name: &str, found: &mut dyn FnMut(&[u8])) {
    for pair in line.split(|byte| *byte == b';') {
        let pair = pair.trim_ascii();
        if let Some(value) = pair.strip_prefix(name.as_bytes())
            && let Some(value) = value.strip_prefix(b"=")
        {
            found(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::{Offer, Why, name_digest};

    #[test]
    fn it_holds_for_its_route_its_session_and_its_time_and_is_no_offer() {
        let keys = OfferKeys::random();
        let [signup, login, ada, eve] =
            ["signup", "login", "ada", "eve"].map(|name| name_digest(&[name]));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let ttl = Duration::from_secs(600);
        let made = Clearance::new(signup, ada, now);
        let text = made.sign(&keys);
        assert_eq!(text.len(), TEXT_BYTES);
        let read =
            |route, session, at| Clearance::verify(text.as_bytes(), &keys, route, session, ttl, at);
        assert_eq!(read(signup, ada, now), Some(made));
        assert_eq!(
            read(signup, ada, now + ttl - Duration::from_secs(1)),
            Some(made)
        );
        assert_eq!(read(signup, ada, now + ttl), None);
        assert_eq!(read(signup, ada, now - Duration::from_secs(61)), None);
        assert_eq!(read(login, ada, now), None);
        assert_eq!(read(signup, eve, now), None);
        assert!(Offer::verify(text.as_bytes(), &keys, &signup, now).is_err());
        let offer = Offer::new(Why::Fallback, signup, ada).sign(&keys, now);
        let read = Clearance::verify(offer.as_bytes(), &keys, signup, ada, ttl, now);
        assert_eq!(read, None);
    }

    #[test]
    fn a_change_of_any_character_makes_it_none() {
        let keys = OfferKeys::random();
        let (route, session) = (name_digest(&["signup"]), NameDigest::default());
        let now = SystemTime::now();
        let text = Clearance::new(route, session, now).sign(&keys);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let ttl = Duration::from_secs(600);
            let read = Clearance::verify(&bytes, &keys, route, session, ttl, now);
            assert_eq!(read, None, "{at}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let found = |line: &[u8]| {
            let mut all = Vec::new();
            read_cookie(line, "b", &mut |value| all.push(value.to_vec()));
            all
        };
        assert_eq!(
            found(b"a=1; b=2;b=3; bb=4; b"),
            [b"2".to_vec(), b"3".to_vec()]
        );
    }
}
