//! Removes tokens from a form that the application reads as a list of pairs.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};

use crate::tokens::fields::Place;
use crate::tokens::token_value::TokenValue;
use crate::tokens::{SubmittedTokens, TokenFields};

/// The pairs of a form without those of tokens.
pub(super) struct PairsWithoutTokens<'t, A> {
    pub(super) fields: &'t TokenFields,
    pub(super) tokens: &'t RefCell<SubmittedTokens>,
    pub(super) pairs: A,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for PairsWithoutTokens<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            let pair = PairSeed {
                fields: self.fields,
                tokens: self.tokens,
                seed: &mut seed,
            };
            match self.pairs.next_element_seed(pair)? {
                None => return Ok(None),
                Some(Pair::Application(value)) => return Ok(Some(value)),
                Some(Pair::Token) => {}
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.pairs.size_hint()
    }
}

/// One pair: of a token, or of the application.
enum Pair<T> {
    Token,
    Application(T),
}

/// Reads the name of a pair, and passes the pair to the application's seed unless it is a token's.
struct PairSeed<'m, 't, S> {
    fields: &'t TokenFields,
    tokens: &'t RefCell<SubmittedTokens>,
    seed: &'m mut Option<S>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for PairSeed<'_, '_, S> {
    type Value = Pair<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for PairSeed<'_, '_, S> {
    type Value = Pair<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
        let missing = || A::Error::custom("a pair has no name");
        let name: String = pair.next_element()?.ok_or_else(missing)?;
        if let Place::Token(field) = self.fields.at(&[], &name) {
            let tokens = self.tokens;
            pair.next_element_seed(TokenValue { field, tokens })?;
            return Ok(Pair::Token);
        }
        let seed = self.seed.take();
        let seed = seed.ok_or_else(|| A::Error::custom("a pair was read twice"))?;
        let rest = Rest {
            name: Some(name),
            value: pair,
        };
        seed.deserialize(rest).map(Pair::Application)
    }
}

/// A pair whose name was read.
struct Rest<A> {
    name: Option<String>,
    value: A,
}

impl<'de, A: SeqAccess<'de>> Deserializer<'de> for Rest<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_seq(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        match self.name.take() {
            Some(name) => seed.deserialize(name.into_deserializer()).map(Some),
            None => self.value.next_element_seed(seed),
        }
    }
}
