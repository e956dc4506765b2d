//! Removes tokens from a body while serde builds the application's type from it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::tokens::fields::Place;
use crate::tokens::pairs::PairsWithoutTokens;
use crate::tokens::token_copy::CopyingSeed;
use crate::tokens::token_value::TokenValue;
use crate::tokens::withheld::{missing_member, report_withheld};
use crate::tokens::{FieldId, SubmittedTokens, TokenFields};

thread_local! {
    static FIELDS: RefCell<Option<Arc<TokenFields>>> = const { RefCell::new(None) };
}

pin_project! {
    /// A future that has certain [`TokenFields`] in scope while it is polled. [`extracting`]
    /// creates it.
    ///
    /// A framework's extractor cannot pass a value to the type that it builds, and it builds it
    /// within one poll. So the fields are in a thread-local variable during each poll.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct FieldsScope<F> {
        fields: Arc<TokenFields>,
        #[pin]
        future: F,
    }
}

/// Calls `extract`, and polls the future that it returns, with `fields` in scope for
/// [`WithToken`].
///
/// Dropping the returned future drops the future of `extract`. There is no other effect.
///
/// ```
/// use std::sync::Arc;
///
/// use human_check_guard::integration::{WithToken, extracting};
/// use human_check_guard::{Guard, RoutePolicy};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Signup {
///     email: String,
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let check = human_check_testkit::Scripted::human();
/// // `check` accepts tokens in the field `scripted-response`.
/// let guard = Guard::new(check, RoutePolicy::fail_closed("signup"))?;
/// let body = r#"{"email":"ada@example.com","scripted-response":"t"}"#;
/// let parse = || async { serde_json::from_str::<WithToken<Signup>>(body) };
/// let parsed = extracting(Arc::clone(guard.fields()), parse).await.unwrap();
/// assert_eq!(parsed.inner.email, "ada@example.com");
/// assert!(!parsed.tokens.is_empty());
/// # Ok::<(), human_check_core::ConfigError>(())
/// # }).unwrap();
/// ```
pub fn extracting<F>(fields: Arc<TokenFields>, extract: impl FnOnce() -> F) -> FieldsScope<F> {
    let future = {
        let _restore = Restore::after(&fields);
        extract()
    };
    FieldsScope { fields, future }
}

/// Restores the fields that were in scope before, also after a panic.
struct Restore(Option<Arc<TokenFields>>);

impl Restore {
    /// Puts `fields` in scope, until the result is dropped.
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

/// Returns the fields that are in scope, see [`extracting`]. `None` outside of such a scope.
pub fn current_fields() -> Option<Arc<TokenFields>> {
    FIELDS.with(|fields| fields.borrow().clone())
}

/// The application's type `T`, and the tokens that were beside its members.
///
/// Let a framework's extractor build a `WithToken<T>` inside of [`extracting`]. The tokens are
/// removed before `T` sees the members, so `T` needs no field for them and may refuse unknown
/// fields. Outside of [`extracting`] no token is found, so the guard refuses the request.
///
/// - A `T` that is built from a list, a number or a text has no members, so a token can only arrive
///   in the header. A request without one then logs an error that names `T`, once for each type.
///   For a form that `T` reads as a list of pairs, use [`FormWithToken`].
/// - Maps whose keys are not text are not supported.
/// - A struct that has a member with the name of a token's field gets the token, too. One that has it
///   in a flattened struct or in an enum does not: an error is logged, once for each type.
#[derive(Debug)]
pub struct WithToken<T> {
    /// The application's value.
    pub inner: T,
    /// The tokens that were beside its members.
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
        let (inner, tokens) = extract(&fields, Shape::Members, PhantomData, deserializer)?;
        Ok(Self { inner, tokens })
    }
}

/// A [`WithToken`] of a urlencoded form, whose `T` may also be a list of pairs, such as
/// `Vec<(String, String)>`. The pairs of tokens are removed, too.
#[derive(Debug)]
pub struct FormWithToken<T> {
    /// The application's value.
    pub inner: T,
    /// The tokens that were beside its members.
    pub tokens: SubmittedTokens,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for FormWithToken<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(fields) = current_fields() else {
            return Ok(Self {
                inner: T::deserialize(deserializer)?,
                tokens: SubmittedTokens::none(),
            });
        };
        let (inner, tokens) = extract(&fields, Shape::Pairs, PhantomData, deserializer)?;
        Ok(Self { inner, tokens })
    }
}

/// Deserializes the value of `seed`, and returns the tokens beside its members.
pub(crate) fn extract<'de, S: DeserializeSeed<'de>, D: Deserializer<'de>>(
    fields: &TokenFields,
    shape: Shape,
    seed: S,
    deserializer: D,
) -> Result<(S::Value, SubmittedTokens), D::Error> {
    let tokens = RefCell::new(SubmittedTokens::none());
    let has_no_place = Cell::new(false);
    let scope = Extraction {
        fields,
        shape,
        path: &[],
        tokens: &tokens,
        has_no_place: &has_no_place,
    };
    let inner = seed.deserialize(ScopedDeserializer {
        scope,
        deserializer,
    });
    let mut tokens = tokens.into_inner();
    let inner = inner.inspect_err(|error| {
        if let Some(name) = missing_member(&error.to_string()) {
            report_withheld::<S::Value>(fields, &tokens, name);
        }
    })?;
    if has_no_place.get() {
        tokens.set_type_without_place(std::any::type_name::<S::Value>());
    }
    Ok((inner, tokens))
}

/// What a list at the top of a body is.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Shape {
    /// The application's value, which has no members.
    Members,
    /// The members of a form, as pairs of name and value.
    Pairs,
}

/// The fields of the tokens, the path of the current value, and the tokens found so far.
#[derive(Clone, Copy)]
struct Extraction<'t> {
    fields: &'t TokenFields,
    shape: Shape,
    path: &'t [String],
    tokens: &'t RefCell<SubmittedTokens>,
    /// Whether the application's type has no members that a token could stand beside.
    has_no_place: &'t Cell<bool>,
}

impl Extraction<'_> {
    /// Records that the value at this path has no members.
    fn without_members(&self) {
        if self.path.is_empty() {
            self.has_no_place.set(true);
        }
    }

    /// Returns whether a list at this path holds the members of a form.
    fn reads_pairs(&self) -> bool {
        self.shape == Shape::Pairs && self.path.is_empty()
    }
}

/// A deserializer that passes every map through [`ScopedMap`].
struct ScopedDeserializer<'t, D> {
    scope: Extraction<'t>,
    deserializer: D,
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = ScopedVisitor { scope: self.scope, kept: &[], visitor };
            self.deserializer.$method($($argument,)* visitor)
        }
    )*};
}

macro_rules! forward_without_members {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.scope.without_members();
            let visitor = ScopedVisitor { scope: self.scope, kept: &[], visitor };
            self.deserializer.$method($($argument,)* visitor)
        }
    )*};
}

macro_rules! forward_list {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            if !self.scope.reads_pairs() {
                self.scope.without_members();
            }
            let visitor = ScopedVisitor { scope: self.scope, kept: &[], visitor };
            self.deserializer.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ScopedDeserializer<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_option() deserialize_map() deserialize_identifier()
        deserialize_newtype_struct(name: &'static str)
    }

    forward_without_members! {
        deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    forward_list! {
        deserialize_seq()
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
    }

    /// A struct that names the field of a token among its members wants the token, too.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = ScopedVisitor {
            scope: self.scope,
            kept: fields,
            visitor,
        };
        self.deserializer.deserialize_struct(name, fields, visitor)
    }

    /// Formats usually skip an ignored value without visiting it. It is visited here, because a
    /// token may be inside of it.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.deserializer.is_human_readable()
    }
}

/// A visitor that passes every map through [`ScopedMap`].
struct ScopedVisitor<'t, V> {
    scope: Extraction<'t>,
    /// The members of the application's struct.
    kept: &'static [&'static str],
    visitor: V,
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ScopedVisitor<'_, V> {
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
        self.visitor.visit_some(ScopedDeserializer {
            scope: self.scope,
            deserializer,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(ScopedDeserializer {
            scope: self.scope,
            deserializer,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        if !self.scope.reads_pairs() {
            return self.visitor.visit_seq(seq);
        }
        self.visitor.visit_seq(PairsWithoutTokens {
            fields: self.scope.fields,
            tokens: self.scope.tokens,
            pairs: seq,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(ScopedMap {
            scope: self.scope,
            kept: self.kept,
            map,
            next: NextValue::Application,
        })
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(data)
    }
}

/// The members of a map without those that hold tokens.
struct ScopedMap<'t, A> {
    scope: Extraction<'t>,
    kept: &'static [&'static str],
    map: A,
    next: NextValue,
}

/// What the value of the member is whose name was read last.
#[derive(Default)]
enum NextValue {
    /// The application's.
    #[default]
    Application,
    /// The application's, with tokens inside of the member of this name.
    Branch(String),
    /// A token that the application's struct keeps.
    Kept(FieldId),
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for ScopedMap<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        self.next = NextValue::Application;
        loop {
            let key_seed = KeySeed {
                scope: self.scope,
                kept: self.kept,
                seed: &mut seed,
                next: &mut self.next,
            };
            match self.map.next_key_seed(key_seed)? {
                None => return Ok(None),
                Some(Key::Application(key)) => return Ok(Some(key)),
                Some(Key::Token(field)) => {
                    let tokens = self.scope.tokens;
                    self.map.next_value_seed(TokenValue { field, tokens })?;
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let name = match std::mem::take(&mut self.next) {
            NextValue::Application => return self.map.next_value_seed(seed),
            NextValue::Kept(field) => {
                let tokens = self.scope.tokens;
                return self.map.next_value_seed(CopyingSeed {
                    field,
                    tokens,
                    seed,
                });
            }
            NextValue::Branch(name) => name,
        };
        let mut path = self.scope.path.to_vec();
        path.push(name);
        let scope = Extraction {
            path: &path,
            ..self.scope
        };
        self.map.next_value_seed(ScopedSeed { scope, seed })
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}

/// The name of a member: of a token's field, or of the application.
enum Key<K> {
    Token(FieldId),
    Application(K),
}

/// Reads the name of a member, and passes it to the application's seed unless it is a token's
/// field.
struct KeySeed<'m, 't, K> {
    scope: Extraction<'t>,
    kept: &'static [&'static str],
    seed: &'m mut Option<K>,
    next: &'m mut NextValue,
}

impl<K> KeySeed<'_, '_, K> {
    fn classify<'de, D: Deserializer<'de>>(
        self,
        name: &str,
        deserializer: D,
    ) -> Result<Key<K::Value>, D::Error>
    where
        K: DeserializeSeed<'de>,
    {
        match self.scope.fields.at(self.scope.path, name) {
            Place::Token(field) if self.kept.contains(&name) => {
                *self.next = NextValue::Kept(field);
            }
            Place::Token(field) => return Ok(Key::Token(field)),
            Place::Branch => *self.next = NextValue::Branch(name.to_owned()),
            Place::Other => {}
        }
        let seed = self.seed.take();
        let seed = seed.ok_or_else(|| D::Error::custom("a member's name was read twice"))?;
        seed.deserialize(deserializer).map(Key::Application)
    }
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<'_, '_, K> {
    type Value = Key<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for KeySeed<'_, '_, K> {
    type Value = Key<K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        self.classify(name, BorrowedStrDeserializer::new(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        self.classify(name, StrDeserializer::new(name))
    }
}

/// The seed of a value that may have tokens inside.
struct ScopedSeed<'t, S> {
    scope: Extraction<'t>,
    seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for ScopedSeed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(ScopedDeserializer {
            scope: self.scope,
            deserializer,
        })
    }
}
