//! Reads the value of a token's member.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::tokens::{FieldId, SubmittedTokens};

/// Reads the value of a member that holds a token. A value of any type is accepted; one that is not
/// text is recorded as unusable.
pub(super) struct TokenValue<'t> {
    pub(super) field: FieldId,
    pub(super) tokens: &'t RefCell<SubmittedTokens>,
}

impl TokenValue<'_> {
    /// Records that the value cannot be a token.
    fn unusable(self) {
        self.tokens.borrow_mut().push_unusable(self.field);
    }
}

impl<'de> DeserializeSeed<'de> for TokenValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! unusable {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, _: $type) -> Result<(), E> {
            self.unusable();
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for TokenValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.tokens.borrow_mut().push(self.field, text);
        Ok(())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<(), E> {
        self.tokens.borrow_mut().push(self.field, text);
        Ok(())
    }

    unusable! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128)
        visit_f64(f64) visit_bytes(&[u8])
    }

    /// A script sends `null` for a widget that is not solved, as a form sends an empty field.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.unusable();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.unusable();
        Ok(())
    }
}
