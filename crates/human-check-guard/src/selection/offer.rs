//! The text form of an offer, and its verification.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::offer_keys::{OfferKeys, fill_random, is_equal, sign};
use super::signed_text::{part, seconds};
use super::why::Why;

/// The form field and JSON member of an offer.
pub(crate) const OFFER_FIELD: &str = "human-check-offer";

/// The header of an offer.
pub(crate) const OFFER_HEADER: &str = "x-captcha-offer";

/// The length of an offer's text.
const TEXT_BYTES: usize = 88;

/// A longer text is not looked at.
pub(crate) const MAX_TEXT_BYTES: usize = 200;

/// The length of an offer before it is written as text.
const BYTES: usize = 66;

const VERSION: u8 = 1;

/// How far the clocks of two machines may differ.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// How long an offer holds that a change of health, a score or a failed widget led to.
const TTL: Duration = Duration::from_secs(600);

/// How long an offer holds that no state led to.
const LONG_TTL: Duration = Duration::from_secs(86_400);

/// How long the store of single-use offers must remember one.
pub(crate) const SINGLE_USE_TTL: Duration = Duration::from_secs(600 + 3 * 60);

/// A digest of a name in an offer.
pub(crate) type NameDigest = [u8; 8];

/// A signed statement that an account judges a request of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Offer {
    pub(crate) why: Why,
    /// Tells two offers apart, for those that count once.
    pub(crate) nonce: [u8; 16],
    pub(crate) route: NameDigest,
    pub(crate) account: NameDigest,
    /// The arm of an experiment. Zero if there is none.
    pub(crate) arm: NameDigest,
}

/// Why an offer counts as none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OfferFault {
    /// Two offers that differ.
    Contradictory,
    Expired,
    Forged,
    Malformed,
    Oversized,
    /// It ends later than an offer can end.
    TooFarAhead,
    UnknownKey,
    /// Its account is not, or no longer, in the list of the request.
    WrongAccount,
    WrongRoute,
}

impl OfferFault {
    /// Returns the name for metric labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Contradictory => "contradictory",
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::TooFarAhead => "too-far-ahead",
            Self::UnknownKey => "unknown-key",
            Self::WrongAccount => "wrong-account",
            Self::WrongRoute => "wrong-route",
        }
    }
}

impl Why {
    /// Returns how long an offer for this reason holds.
    fn ttl(self) -> Duration {
        match self {
            Self::Arm | Self::Primary => LONG_TTL,
            Self::Fallback | Self::StepUp | Self::WidgetFailure => TTL,
        }
    }
}

impl Offer {
    /// Returns the offer for a visitor of an experiment: the nonce is the receipt.
    pub(crate) fn with_arm(self, nonce: [u8; 16], arm: NameDigest) -> Self {
        Self { nonce, arm, ..self }
    }

    /// Creates an offer with a new nonce, which holds from now on.
    pub(crate) fn new(why: Why, route: NameDigest, account: NameDigest) -> Self {
        let mut nonce = [0; 16];
        fill_random(&mut nonce);
        Self {
            why,
            nonce,
            route,
            account,
            arm: NameDigest::default(),
        }
    }

    /// Signs the offer at the time `now` and returns its text.
    pub(crate) fn sign(&self, keys: &OfferKeys, now: SystemTime) -> String {
        let key = keys.signing();
        let not_after = u32::try_from(seconds(now) + self.why.ttl().as_secs()).unwrap_or(u32::MAX);
        let mut bytes = [0; BYTES];
        let mut rest = &mut bytes[..];
        let mut put = |part: &[u8]| {
            let (place, after) = std::mem::take(&mut rest).split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        };
        put(&[VERSION]);
        put(&key.id);
        put(&[self.why.to_byte()]);
        put(&not_after.to_be_bytes());
        put(&self.nonce);
        put(&self.route);
        put(&self.account);
        put(&self.arm);
        let mac = sign(&key.offers, &bytes[..BYTES - 16]);
        bytes[BYTES - 16..].copy_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns what tells a valid offer apart from all others: its signature. A visitor of an experiment
    /// has the same nonce in several offers.
    pub(crate) fn id_of(text: &str) -> [u8; 16] {
        let mut bytes = [0; BYTES];
        // A valid offer has this length.
        let _ = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        part(&bytes, BYTES - 16)
    }

    /// Reads and verifies an offer for the route, at the time `now`.
    ///
    /// # Errors
    ///
    /// [`OfferFault`], with which the offer counts as none.
    pub(crate) fn verify(
        text: &[u8],
        keys: &OfferKeys,
        route: &NameDigest,
        now: SystemTime,
    ) -> Result<Self, OfferFault> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(OfferFault::Oversized);
        }
        if text.len() != TEXT_BYTES {
            return Err(OfferFault::Malformed);
        }
        let mut bytes = [0; BYTES];
        if URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(BYTES) || bytes[0] != VERSION {
            return Err(OfferFault::Malformed);
        }
        let key = keys.find(&bytes[1..5]).ok_or(OfferFault::UnknownKey)?;
        let (signed, mac) = bytes
            .split_last_chunk::<16>()
            .ok_or(OfferFault::Malformed)?;
        if !is_equal(mac, &sign(&key.offers, signed)) {
            return Err(OfferFault::Forged);
        }
        // The key has signed all of it, so each part is as this or another machine wrote it.
        let why = Why::from_byte(bytes[5]).ok_or(OfferFault::Malformed)?;
        let not_after = u64::from(u32::from_be_bytes(part(&bytes, 6)));
        let (now, tolerance) = (seconds(now), CLOCK_TOLERANCE.as_secs());
        if now >= not_after + tolerance {
            return Err(OfferFault::Expired);
        }
        if not_after > now + why.ttl().as_secs() + tolerance {
            return Err(OfferFault::TooFarAhead);
        }
        let offer = Self {
            why,
            nonce: part(&bytes, 10),
            route: part(&bytes, 26),
            account: part(&bytes, 34),
            arm: part(&bytes, 42),
        };
        match offer.route == *route {
            true => Ok(offer),
            false => Err(OfferFault::WrongRoute),
        }
    }
}

#[cfg(test)]
mod tests {
    use human_check_core::Secret;

    use super::*;
    use crate::selection::offer_keys::name_digest;

    fn keys(names: &[&str]) -> OfferKeys {
        let secret = |name: &&str| Secret::new(format!("{name}-0123456789abcdef0123456789abcdef"));
        OfferKeys::new(names.iter().map(|name| secret(name).unwrap())).unwrap()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn route() -> NameDigest {
        name_digest(&["signup"])
    }

    fn offer(why: Why) -> Offer {
        Offer::new(why, route(), name_digest(&["b"]))
    }

    fn fault(text: &str, at: SystemTime) -> OfferFault {
        Offer::verify(text.as_bytes(), &keys(&["one"]), &route(), at).unwrap_err()
    }

    #[test]
    fn an_offer_has_88_characters_and_is_read_as_it_was_made() {
        for why in [
            Why::Arm,
            Why::Fallback,
            Why::Primary,
            Why::StepUp,
            Why::WidgetFailure,
        ] {
            let made = offer(why);
            let text = made.sign(&keys(&["one"]), now());
            assert_eq!(text.len(), 88);
            let read = Offer::verify(text.as_bytes(), &keys(&["one"]), &route(), now());
            assert_eq!(read, Ok(made));
        }
    }

    #[test]
    fn a_change_of_any_character_makes_it_none() {
        let text = offer(Why::Fallback).sign(&keys(&["one"]), now());
        for at in 0..text.len() {
            for other in [b'A', b'B', b'_', b'!', b' '] {
                let mut bytes = text.clone().into_bytes();
                if bytes[at] == other {
                    continue;
                }
                bytes[at] = other;
                let read = Offer::verify(&bytes, &keys(&["one"]), &route(), now());
                assert!(read.is_err(), "{at}");
            }
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        let one = keys(&["one"]);
        let text = offer(Why::Fallback).sign(&one, now());
        let seconds = Duration::from_secs;
        assert_eq!(fault("", now()), OfferFault::Malformed);
        assert_eq!(fault(&text[..87], now()), OfferFault::Malformed);
        assert_eq!(fault(&"a".repeat(200), now()), OfferFault::Malformed);
        assert_eq!(fault(&"a".repeat(201), now()), OfferFault::Oversized);
        assert_eq!(
            fault(&offer(Why::Fallback).sign(&keys(&["two"]), now()), now()),
            OfferFault::UnknownKey
        );
        let elsewhere = Offer {
            route: name_digest(&["login"]),
            ..offer(Why::Fallback)
        };
        assert_eq!(
            fault(&elsewhere.sign(&one, now()), now()),
            OfferFault::WrongRoute
        );
        // Ten minutes, and a minute for clocks that differ, on both sides.
        let holds = |at| Offer::verify(text.as_bytes(), &one, &route(), at).is_ok();
        assert!(holds(now() + seconds(659)) && holds(now() - seconds(60)));
        assert_eq!(fault(&text, now() + seconds(660)), OfferFault::Expired);
        assert_eq!(fault(&text, now() - seconds(61)), OfferFault::TooFarAhead);
        let long = offer(Why::Primary).sign(&one, now());
        assert!(Offer::verify(long.as_bytes(), &one, &route(), now() + seconds(86_400)).is_ok());
    }

    #[test]
    fn while_keys_are_changed_every_machine_reads_every_offer() {
        let steps = [&["old"][..], &["old", "new"], &["new", "old"], &["new"]];
        for pair in steps.windows(2) {
            for (from, to) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                let text = offer(Why::Fallback).sign(&keys(from), now());
                let read = Offer::verify(text.as_bytes(), &keys(to), &route(), now());
                let first_is_known = to.contains(&from[0]);
                assert_eq!(read.is_ok(), first_is_known, "{from:?} {to:?}");
                assert!(first_is_known, "{from:?} {to:?}");
            }
        }
    }
}
