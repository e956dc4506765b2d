//! A deserializer around another one that refuses an object with a member that occurs twice.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Wraps a deserializer, and everything that it passes on.
pub(super) struct Unrepeating<D>(pub(super) D);

/// Passes a call on to the inner deserializer, with the visitor wrapped.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $kind,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Unrepeating(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Unrepeating<D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        // The raw text of a value, in which no member would be looked at.
        if name == "$serde_json::private::RawValue" {
            return Err(de::Error::custom("a raw value in a reply"));
        }
        self.0
            .deserialize_newtype_struct(name, Unrepeating(visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        // A deserializer may skip the value without a look at its members.
        Unrepeated::deserialize(self.0)?;
        visitor.visit_unit()
    }
}

/// Passes a value on to the inner visitor.
macro_rules! pass_on_value {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: de::Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Unrepeating<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    pass_on_value! {
        visit_bool(bool)
        visit_i64(i64)
        visit_i128(i128)
        visit_u64(u64)
        visit_u128(u128)
        visit_f64(f64)
        visit_str(&str)
        visit_borrowed_str(&'de str)
        visit_string(String)
        visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Unrepeating(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Unrepeating(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Unrepeating(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Members {
            map,
            names: MemberNames::default(),
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Unrepeating(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Unrepeating<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Unrepeating(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Unrepeating<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Unrepeating(seed))
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Unrepeating<A> {
    type Error = A::Error;
    type Variant = Unrepeating<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (variant, content) = self.0.variant_seed(seed)?;
        Ok((variant, Unrepeating(content)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Unrepeating<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Unrepeating(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Unrepeating(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Unrepeating(visitor))
    }
}

/// The members of an object, whose names are remembered.
struct Members<'de, A> {
    map: A,
    names: MemberNames<'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let Some(name) = self.map.next_key::<Name<'de>>()? else {
            return Ok(None);
        };
        self.names.insert(name.clone())?;
        match name.0 {
            Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            Cow::Owned(name) => seed.deserialize(StringDeserializer::new(name)),
        }
        .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(Unrepeating(seed))
    }
}

/// A JSON value that is read only to find a member that occurs twice.
pub(super) struct Unrepeated;

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;

        impl<'de> Visitor<'de> for Walk {
            type Value = Unrepeated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            scalars_are!(Unrepeated, Unrepeated);

            fn visit_str<E>(self, _: &str) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }

            fn visit_unit<E>(self) -> Result<Unrepeated, E> {
                Ok(Unrepeated)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unrepeated, A::Error> {
                while seq.next_element::<Unrepeated>()?.is_some() {}
                Ok(Unrepeated)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unrepeated, A::Error> {
                let mut names = MemberNames::default();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    names.insert(name)?;
                    map.next_value::<Unrepeated>()?;
                }
                Ok(Unrepeated)
            }
        }

        deserializer.deserialize_any(Walk)
    }
}

/// The member names of one object. Most objects have few members, so the first names are in a short
/// list and only the others are hashed.
#[derive(Default)]
pub(super) struct MemberNames<'a> {
    few: [Option<Cow<'a, str>>; 16],
    many: HashSet<Cow<'a, str>>,
}

impl<'a> MemberNames<'a> {
    /// Adds a name.
    ///
    /// # Errors
    ///
    /// If the object has had a member of this name.
    pub(super) fn insert<E: de::Error>(&mut self, name: Name<'a>) -> Result<(), E> {
        let repeated = || Err(E::custom("repeated member"));
        for slot in &mut self.few {
            match slot {
                None => {
                    *slot = Some(name.0);
                    return Ok(());
                }
                Some(known) if *known == name.0 => return repeated(),
                Some(_) => {}
            }
        }
        match self.many.insert(name.0) {
            true => Ok(()),
            false => repeated(),
        }
    }
}

/// A member name, which is borrowed unless it contains an escape.
#[derive(Clone)]
pub(super) struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadName;

        impl<'de> Visitor<'de> for ReadName {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(ReadName)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use crate::adapter::json::{Codes, Number, Object, Objects, Text, object};

    use super::*;

    /// Has a member of every form that a reader can have.
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read is of interest")]
    struct Everything<'a> {
        a: Option<bool>,
        #[serde(borrow, default)]
        b: Text<'a>,
        #[serde(default)]
        c: Number,
        #[serde(default)]
        d: Codes,
        #[serde(borrow, default)]
        e: Object<Inner<'a>>,
        #[serde(borrow, default)]
        f: Objects<Inner<'a>>,
        g: Option<Choice>,
        h: Option<HashMap<String, u8>>,
        i: Option<(u8, String)>,
        j: Option<Value>,
    }

    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read is of interest")]
    struct Inner<'a> {
        #[serde(borrow, default)]
        a: Text<'a>,
    }

    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only whether it can be read is of interest")]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        A,
        B(Option<Value>),
        C { a: Option<u8> },
    }

    /// Writes a value with members that may repeat.
    fn write(random: &mut fastrand::Rng, depth: u8, text: &mut String) {
        let names = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "\\u0061",
        ];
        let scalars = [
            "null", "true", "1", "-0.5", r#""a""#, r#""b\n""#, "[]", "{}",
        ];
        match random.u8(..10) {
            0..4 if depth > 0 => {
                text.push('{');
                for n in 0..random.u8(..4) {
                    text.push_str(if n > 0 { "," } else { "" });
                    let name = names[random.usize(..names.len())];
                    text.push_str(&format!("\"{name}\":"));
                    write(random, depth - 1, text);
                }
                text.push('}');
            }
            4..6 if depth > 0 => {
                text.push('[');
                for n in 0..random.u8(..3) {
                    text.push_str(if n > 0 { "," } else { "" });
                    write(random, depth - 1, text);
                }
                text.push(']');
            }
            _ => text.push_str(scalars[random.usize(..scalars.len())]),
        }
    }

    #[test]
    fn one_reading_refuses_what_two_readings_refuse() {
        let mut outcomes = [0, 0, 0];
        for seed in 0..40_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut text = String::new();
            while !text.starts_with('{') {
                text.clear();
                write(&mut random, 4, &mut text);
            }
            let unrepeated = serde_json::from_str::<Unrepeated>(&text).is_ok();
            let fits = serde_json::from_str::<Everything<'_>>(&text).is_ok();
            let read = object::<Everything<'_>>(text.as_bytes());
            assert_eq!(read.is_ok(), unrepeated && fits, "{text}");
            if let Err(error) = read {
                let repeated = error.to_string().starts_with("a repeated member");
                assert_eq!(repeated, !unrepeated, "{text}: {error}");
            }
            let outcome = [unrepeated && fits, unrepeated, true];
            outcomes[outcome.iter().position(|it| *it).unwrap()] += 1;
        }
        assert!(outcomes.iter().all(|count| *count > 300), "{outcomes:?}");
    }
}
