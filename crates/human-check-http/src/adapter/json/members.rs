//! Types for the members of a reply. They read a value of an unexpected type by the member's
//! effect.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Malformed;

/// An object inside a reply.
///
/// An array is not an object here, although serde's derived readers accept an array as the members
/// in order.
#[derive(Clone, Debug, Default)]
pub enum Object<T> {
    /// The member is absent or `null`.
    #[default]
    Absent,
    /// The member has another type.
    Odd,
    /// The member is an object.
    Stated(T),
}

impl<T> Object<T> {
    /// Returns the object. A member of another type counts as absent.
    ///
    /// For members that speak for the visitor or only inform.
    pub fn or_absent(self) -> Option<T> {
        match self {
            Self::Stated(object) => Some(object),
            Self::Absent | Self::Odd => None,
        }
    }

    /// Returns the object. A member of another type is an error.
    ///
    /// For members that may speak against the token.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the member is neither an object nor absent.
    pub fn or_malformed(self) -> Result<Option<T>, Malformed> {
        match self {
            Self::Absent => Ok(None),
            Self::Odd => Err(Malformed::whole("a member that is not an object")),
            Self::Stated(object) => Ok(Some(object)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadObject<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ReadObject<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object::Absent)
            }

            scalars_are!(Object<T>, Object::Odd);

            fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
                Ok(Object::Odd)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Object<T>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object::Odd)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Object::Stated)
            }
        }

        deserializer.deserialize_any(ReadObject(PhantomData))
    }
}

/// A list of objects that only inform. Entries of another type are left out, and so is a member
/// that is not a list.
#[derive(Clone, Debug)]
pub struct Objects<T>(pub Vec<T>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Objects<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadObjects<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ReadObjects<T> {
            type Value = Objects<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects")
            }

            fn visit_unit<E>(self) -> Result<Objects<T>, E> {
                Ok(Objects(Vec::new()))
            }

            scalars_are!(Objects<T>, Objects(Vec::new()));

            fn visit_str<E>(self, _: &str) -> Result<Objects<T>, E> {
                Ok(Objects(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Objects<T>, A::Error> {
                let mut objects = Vec::new();
                while let Some(object) = seq.next_element::<Object<T>>()? {
                    objects.extend(object.or_absent());
                }
                Ok(Objects(objects))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Objects<T>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Objects(Vec::new()))
            }
        }

        deserializer.deserialize_any(ReadObjects(PhantomData))
    }
}

/// A member that can be read from a value of any type.
///
/// A method that is not implemented reads the value as absent, which is the default of the type.
pub trait Lenient<'de>: Default {
    /// Reads a boolean.
    fn from_bool(_: bool) -> Self {
        Self::default()
    }
    /// Reads a number.
    fn from_number(_: f64) -> Self {
        Self::default()
    }
    /// Reads a text.
    fn from_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }
    /// Reads an array or an object.
    fn from_other() -> Self {
        Self::default()
    }
}

/// The serde visitor of a [`Lenient`] type.
struct ReadLenient<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for ReadLenient<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, value: bool) -> Result<T, E> {
        Ok(T::from_bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<T, E> {
        Ok(T::from_number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<T, E> {
        Ok(T::from_number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<T, E> {
        Ok(T::from_number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::from_text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::from_other())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(T::from_other())
    }
}

macro_rules! lenient {
    ($name:ident $(<$life:lifetime>)?) => {
        impl<'de $(: $life, $life)?> Deserialize<'de> for $name $(<$life>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ReadLenient(PhantomData))
            }
        }
    };
}

/// A text. A value of another type counts as absent.
///
/// An empty text counts as absent, too: providers send `""` for values that they do not have.
/// `Debug` shows the length only.
#[derive(Clone, Default)]
pub struct Text<'a> {
    text: Option<Cow<'a, str>>,
    stated: bool,
    odd: bool,
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Text({:?} bytes)",
            self.text.as_ref().map(|text| text.len())
        )
    }
}

impl<'a> Text<'a> {
    /// Returns the text, if it is not empty.
    pub fn get(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns the text as a `String`, if it is not empty.
    pub fn owned(self) -> Option<String> {
        self.text.map(Cow::into_owned)
    }

    /// Returns whether the member is present and not `null`, whatever its type.
    pub fn is_stated(&self) -> bool {
        self.stated
    }

    /// Returns whether the member is the empty text.
    pub fn is_empty(&self) -> bool {
        self.stated && self.text.is_none() && !self.odd
    }

    /// Creates the value for a member of another type.
    fn odd() -> Self {
        Self {
            text: None,
            stated: true,
            odd: true,
        }
    }
}

impl<'de: 'a, 'a> Lenient<'de> for Text<'a> {
    fn from_bool(_: bool) -> Self {
        Self::odd()
    }

    fn from_number(_: f64) -> Self {
        Self::odd()
    }

    fn from_text(text: Cow<'de, str>) -> Self {
        Self {
            text: Some(text).filter(|t| !t.is_empty()),
            stated: true,
            odd: false,
        }
    }

    fn from_other() -> Self {
        Self::odd()
    }
}

lenient!(Text<'a>);

/// A number, also if it is written as a text. Every other value counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number {
    number: Option<f64>,
    stated: bool,
}

impl Number {
    /// Returns the number, if the member is one.
    pub fn get(self) -> Option<f64> {
        self.number
    }

    /// Returns whether the member is present and not `null`, whatever its type.
    pub fn is_stated(self) -> bool {
        self.stated
    }

    /// Creates the value for a member that is present.
    fn stated(number: Option<f64>) -> Self {
        Self {
            number,
            stated: true,
        }
    }
}

impl Lenient<'_> for Number {
    fn from_bool(_: bool) -> Self {
        Self::stated(None)
    }

    fn from_number(value: f64) -> Self {
        Self::stated(Some(value))
    }

    fn from_text(text: Cow<'_, str>) -> Self {
        Self::stated(text.parse().ok().filter(|n: &f64| n.is_finite()))
    }

    fn from_other() -> Self {
        Self::stated(None)
    }
}

lenient!(Number);

/// A boolean. Every value but `true` and `false` counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flag(Option<bool>);

impl Flag {
    /// Returns the boolean, if the member is one.
    pub fn get(self) -> Option<bool> {
        self.0
    }
}

impl Lenient<'_> for Flag {
    fn from_bool(value: bool) -> Self {
        Self(Some(value))
    }
}

lenient!(Flag);

/// A mark against the token. Every value raises it but `false` and `null`.
///
/// For members such as "this is a test key", for which an unexpected value must not count as no.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(bool);

impl Mark {
    /// Returns whether the mark is raised.
    pub fn is_raised(self) -> bool {
        self.0
    }
}

impl Lenient<'_> for Mark {
    fn from_bool(value: bool) -> Self {
        Self(value)
    }

    fn from_number(_: f64) -> Self {
        Self(true)
    }

    fn from_text(_: Cow<'_, str>) -> Self {
        Self(true)
    }

    fn from_other() -> Self {
        Self(true)
    }
}

lenient!(Mark);

/// A list of codes: an array of texts, or a single text.
///
/// A value of another type becomes [`Codes::UNREADABLE`]: a code beside a success contradicts it,
/// and must not vanish because of its type. A code is cut at 200 characters, and control characters
/// are replaced. `Debug` shows the number of codes only.
#[derive(Clone, Default)]
pub struct Codes(Vec<String>);

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codes({})", self.0.len())
    }
}

impl Codes {
    /// The code that stands for an entry which is not a text.
    pub const UNREADABLE: &'static str = "(unreadable)";
    /// How many codes [`into_vec`](Self::into_vec) returns at most.
    pub const MAX: usize = 16;

    /// Returns all codes, in the provider's order.
    ///
    /// Use it to decide: the most severe code may be the last one.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Returns the first [`MAX`](Self::MAX) codes, in the provider's order, for verdicts and logs.
    pub fn into_vec(mut self) -> Vec<String> {
        self.0.truncate(Self::MAX);
        self.0
    }

    /// Appends a code.
    pub fn push(&mut self, code: &str) {
        self.0.push(readable(code));
    }
}

/// Returns the text cut at 200 characters, without control characters, so that it fits into a log
/// line.
fn readable(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadCodes;

        impl<'de> Visitor<'de> for ReadCodes {
            type Value = Codes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("codes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Codes, A::Error> {
                let mut codes = Codes::default();
                while let Some(Entry(text)) = seq.next_element()? {
                    codes.push(text.get().unwrap_or(Codes::UNREADABLE));
                }
                Ok(codes)
            }

            fn visit_str<E>(self, text: &str) -> Result<Codes, E> {
                let mut codes = Codes::default();
                if !text.is_empty() {
                    codes.push(text);
                }
                Ok(codes)
            }

            fn visit_unit<E>(self) -> Result<Codes, E> {
                Ok(Codes::default())
            }

            scalars_are!(Codes, unreadable());

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Codes, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(unreadable())
            }
        }

        fn unreadable() -> Codes {
            Codes(vec![Codes::UNREADABLE.to_owned()])
        }

        struct Entry<'a>(Text<'a>);

        impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Text::deserialize(deserializer).map(Entry)
            }
        }

        deserializer.deserialize_any(ReadCodes)
    }
}
