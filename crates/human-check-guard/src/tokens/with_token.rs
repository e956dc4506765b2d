//! Lifts tokens out of a body while the application's own type is built from it.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::tokens::fields::Place;
use crate::tokens::{FieldId, SubmittedTokens, TokenFields};

thread_local! {
    static FIELDS: RefCell<Option<Arc<TokenFields>>> = const { RefCell::new(None) };
}

pin_project! {
    /// A future during whose polls bodies are tapped for certain [`Fields`].
    ///
    /// A framework's extractor offers no way to hand anything to the type it builds, and it builds
    /// it inside one poll. So the fields are laid down beside that poll.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct FieldsScope<F> {
        fields: Arc<TokenFields>,
        #[pin]
        future: F,
    }
}

/// Taps whatever `extract` parses into [`WithToken`], at once or in the future it returns.
///
/// Dropping that future drops what `extract` returned and nothing else.
pub fn extracting<F>(fields: Arc<TokenFields>, extract: impl FnOnce() -> F) -> FieldsScope<F> {
    let future = {
        let _restore = Restore::after(&fields);
        extract()
    };
    FieldsScope { fields, future }
}

/// Puts back what was there before, also after a panic.
struct Restore(Option<Arc<TokenFields>>);

impl Restore {
    /// Lays down `fields` until it is dropped.
    fn after(fields: &Arc<TokenFields>) -> Self {
        Self(FIELDS.with(|before| before.replace(Some(Arc::clone(fields)))))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        FIELDS.with(|fields| fields.replace(before));
    }
}

impl<F: Future> Future for FieldsScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _restore = Restore::after(this.fields);
        this.future.poll(cx)
    }
}

/// The fields that bodies are tapped for at this moment, see [`extracting`].
pub fn current_fields() -> Option<Arc<TokenFields>> {
    FIELDS.with(|fields| fields.borrow().clone())
}

/// The application's `T`, and the tokens that stood beside its members.
///
/// `T` needs no field for them and may refuse unknown ones. Outside of [`extracting`] nothing is
/// lifted and the tokens are none, which refuses.
///
/// A `T` that reads a sequence or a number instead of a map has no members and so no tokens.
/// Maps whose keys are not text are not supported. A member of `T` that bears the name of an
/// answer never gets it.
#[derive(Debug)]
pub struct WithToken<T> {
    /// What the application asked for.
    pub inner: T,
    /// What stood beside it.
    pub tokens: SubmittedTokens,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WithToken<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(fields) = current_fields() else {
            return Ok(Self {
                inner: T::deserialize(deserializer)?,
                tokens: SubmittedTokens::none(),
            });
        };
        let (inner, tokens) = lift(&fields, PhantomData, deserializer)?;
        Ok(Self { inner, tokens })
    }
}

/// Deserializes by `seed` and lifts the tokens out.
pub(crate) fn lift<'de, S: DeserializeSeed<'de>, D: Deserializer<'de>>(
    fields: &TokenFields,
    seed: S,
    deserializer: D,
) -> Result<(S::Value, SubmittedTokens), D::Error> {
    let tokens = RefCell::new(SubmittedTokens::none());
    let scope = Extraction {
        fields,
        path: &[],
        tokens: &tokens,
    };
    let inner = seed.deserialize(Through {
        scope,
        deserializer,
    })?;
    Ok((inner, tokens.into_inner()))
}

/// What is lifted, where we are, and where it goes.
#[derive(Clone, Copy)]
struct Extraction<'t> {
    fields: &'t TokenFields,
    path: &'t [String],
    tokens: &'t RefCell<SubmittedTokens>,
}

/// A deserializer, visitor, seed or map inspected through the scope.
struct Through<'t, D> {
    scope: Extraction<'t>,
    deserializer: D,
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.deserializer.$method($($argument,)* Watching { scope: self.scope, visitor })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Through<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_identifier()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    /// What nobody wants is usually skipped unseen. Here an answer may stand in it.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.deserializer.is_human_readable()
    }
}

struct Watching<'t, V> {
    scope: Extraction<'t>,
    visitor: V,
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watching<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool(bool)
        visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
        visit_f32(f32) visit_f64(f64) visit_char(char)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Through {
            scope: self.scope,
            deserializer,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Through {
            scope: self.scope,
            deserializer,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Members {
            scope: self.scope,
            map,
            branch: None,
        })
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(data)
    }
}

/// The members of a map without those that carry tokens.
struct Members<'t, A> {
    scope: Extraction<'t>,
    map: A,
    /// The name of the member to come, if tokens are somewhere inside it.
    branch: Option<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        self.branch = None;
        loop {
            let member = Member {
                scope: self.scope,
                seed: &mut seed,
                branch: &mut self.branch,
            };
            match self.map.next_key_seed(member)? {
                None => return Ok(None),
                Some(Key::Theirs(key)) => return Ok(Some(key)),
                Some(Key::Token(field)) => {
                    let tokens = self.scope.tokens;
                    self.map.next_value_seed(TokenValue { field, tokens })?;
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Some(name) = self.branch.take() else {
            return self.map.next_value_seed(seed);
        };
        let mut path = self.scope.path.to_vec();
        path.push(name);
        let scope = Extraction {
            path: &path,
            ..self.scope
        };
        self.map.next_value_seed(Inside { scope, seed })
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}

enum Key<K> {
    Token(FieldId),
    Theirs(K),
}

/// Looks at a name before it reaches the application's type.
struct Member<'m, 't, K> {
    scope: Extraction<'t>,
    seed: &'m mut Option<K>,
    branch: &'m mut Option<String>,
}

impl<K> Member<'_, '_, K> {
    fn hand_on<'de, D: Deserializer<'de>>(
        self,
        name: &str,
        deserializer: D,
    ) -> Result<Key<K::Value>, D::Error>
    where
        K: DeserializeSeed<'de>,
    {
        match self.scope.fields.at(self.scope.path, name) {
            Place::Token(field) => return Ok(Key::Token(field)),
            Place::Branch => *self.branch = Some(name.to_owned()),
            Place::Other => {}
        }
        let seed = self.seed.take();
        let seed = seed.ok_or_else(|| D::Error::custom("a name was asked for twice"))?;
        seed.deserialize(deserializer).map(Key::Theirs)
    }
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Member<'_, '_, K> {
    type Value = Key<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Member<'_, '_, K> {
    type Value = Key<K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        self.hand_on(name, BorrowedStrDeserializer::new(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        self.hand_on(name, StrDeserializer::new(name))
    }
}

/// A value inside which tokens may stand.
struct Inside<'t, S> {
    scope: Extraction<'t>,
    seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Inside<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Through {
            scope: self.scope,
            deserializer,
        })
    }
}

/// The value of a member that carries an answer, whatever it turns out to be.
struct TokenValue<'t> {
    field: FieldId,
    tokens: &'t RefCell<SubmittedTokens>,
}

impl TokenValue<'_> {
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

    /// A widget that was not solved is `null` in a script, as it is empty in a form.
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
