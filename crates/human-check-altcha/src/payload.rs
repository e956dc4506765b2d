use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_core::{Reason, Refusal};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// What a widget sends, with the members of the protocol. Others are skipped. The texts are those of
/// the JSON, without copies.
#[derive(Deserialize)]
pub(crate) struct Payload<'a> {
    #[serde(borrow)]
    pub(crate) challenge: Challenge<'a>,
    #[serde(borrow)]
    pub(crate) solution: Solution<'a>,
}

#[derive(Deserialize)]
pub(crate) struct Challenge<'a> {
    #[serde(borrow)]
    pub(crate) parameters: Parameters<'a>,
    #[serde(borrow)]
    pub(crate) signature: Option<Text<'a>>,
}

/// The parameters of a challenge. Its members are in alphabetical order, the order in which they are
/// signed.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters<'a> {
    #[serde(borrow)]
    pub(crate) algorithm: Text<'a>,
    cost: u32,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<i64>,
    key_length: usize,
    #[serde(borrow)]
    key_prefix: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) key_signature: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_cost: Option<u32>,
    #[serde(borrow)]
    nonce: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallelism: Option<u32>,
    #[serde(borrow)]
    salt: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Solution<'a> {
    #[allow(dead_code, reason = "a payload without it is malformed")]
    counter: u32,
    #[serde(borrow)]
    pub(crate) derived_key: Text<'a>,
    #[allow(dead_code, reason = "a payload in which it is no number is malformed")]
    time: Option<f64>,
}

/// A text of the JSON, which is borrowed unless it contains an escape. `Option<Cow>` would copy it.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The signed data of a challenge: its members in order. Of several with one name the last counts.
pub(crate) struct Data<'a>(Vec<(Text<'a>, Member<'a>)>);

enum Member<'a> {
    Text(Text<'a>),
    Other(Value),
}

impl Data<'_> {
    /// Returns a member that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(other, _)| other.as_str() == name);
        match named.next()? {
            (_, Member::Text(text)) => Some(text.as_str()),
            (_, Member::Other(_)) => None,
        }
    }
}

/// Decodes the form field, which is base64 of JSON.
///
/// # Errors
///
/// [`Reason::Malformed`].
pub(crate) fn decode(field: &str) -> Result<Vec<u8>, Refusal> {
    let malformed = || Refusal::new(Reason::Malformed);
    let json = STANDARD.decode(field).map_err(|_| malformed())?;
    if has_too_many_members(&json) {
        return Err(malformed());
    }
    Ok(json)
}

/// Reads the JSON of a form field.
///
/// It is read into types of its own and not into a generic value first. A generic value would keep
/// only the last of two members of one name.
///
/// See docs/providers/altcha.md#error-codes.
///
/// # Errors
///
/// [`Reason::Malformed`], with a code when the field holds a known payload of another kind.
pub(crate) fn read(json: &[u8]) -> Result<Payload<'_>, Refusal> {
    // A text is read faster than bytes, of which each string would be tested for UTF-8.
    let text = std::str::from_utf8(json).map_err(|_| Refusal::new(Reason::Malformed))?;
    serde_json::from_str(text).map_err(|_| {
        let malformed = Refusal::new(Reason::Malformed);
        match other_kind_of_payload(json) {
            Some(code) => malformed.with_codes(vec![code.to_owned()]),
            None => malformed,
        }
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadText;

        impl<'de> Visitor<'de> for ReadText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(ReadText)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadData;

        impl<'de> Visitor<'de> for ReadData {
            type Value = Data<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data<'de>, A::Error> {
                let mut members: Vec<(Text<'de>, Member<'de>)> = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                // A stable sort, so that of one name the last comes first and is kept.
                members.reverse();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                members.dedup_by(|(later, _), (first, _)| later == first);
                Ok(Data(members))
            }
        }

        deserializer.deserialize_map(ReadData)
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, member)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadMember;

        impl<'de> Visitor<'de> for ReadMember {
            type Value = Member<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Member<'de>, E> {
                Ok(Member::Text(Text(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Member<'de>, E> {
                Ok(Member::Text(Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E>(self) -> Result<Member<'de>, E> {
                Ok(Member::Other(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Member<'de>, E> {
                Ok(Member::Other(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Member<'de>, E> {
                Ok(Member::Other(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Member<'de>, E> {
                Ok(Member::Other(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Member<'de>, E> {
                Ok(Member::Other(value.into()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                seq: A,
            ) -> Result<Member<'de>, A::Error> {
                let seq = serde::de::value::SeqAccessDeserializer::new(seq);
                Value::deserialize(seq).map(Member::sorted)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Member<'de>, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                Value::deserialize(map).map(Member::sorted)
            }
        }

        deserializer.deserialize_any(ReadMember)
    }
}

impl Member<'_> {
    fn sorted(mut value: Value) -> Self {
        sort(&mut value);
        Self::Other(value)
    }
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

/// Sorts the members of objects, at every depth. They are in another order where a program turns on
/// the feature `preserve_order` of `serde_json`.
fn sort(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(sort),
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = std::mem::take(members).into_iter().collect();
            *members = sorted.into_iter().collect();
            members.values_mut().for_each(sort);
        }
        _ => {}
    }
}

/// Returns whether the JSON has more members than a widget sends. A widget's payload has about
/// eighty of the counted characters.
///
/// Reading a member allocates memory before the signature can be verified, so a client could
/// otherwise make the server allocate at no cost.
fn has_too_many_members(json: &[u8]) -> bool {
    let is_counted = |byte: &u8| u8::from(matches!(byte, b'"' | b',' | b'[' | b'{'));
    // The sum of so many fits into a byte, so that the compiler can add many at a time.
    let counted = |part: &[u8]| usize::from(part.iter().map(is_counted).sum::<u8>());
    json.chunks(255).map(counted).sum::<usize>() > 160
}

/// Returns the code of a known payload of another kind. It helps an operator whose page uses
/// another widget or setting.
fn other_kind_of_payload(json: &[u8]) -> Option<&'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        #[serde(default)]
        challenge: Value,
        #[serde(default)]
        number: Value,
        #[serde(default)]
        test: Value,
        #[serde(default)]
        verification_data: Value,
    }
    let shape: Shape = serde_json::from_slice(json).ok()?;
    if shape.verification_data.is_string() {
        // ALTCHA Sentinel, a service with a secret of its own. This crate does not verify its
        // payloads.
        Some("sentinel-payload")
    } else if shape.challenge.is_string() && shape.number.is_number() {
        // Version 1 of the protocol.
        Some("pow-v1-payload")
    } else if shape.test == Value::Bool(true) {
        // The test mode of the widget.
        Some("widget-test-payload")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the JSON of a payload whose parameters have these members as well.
    fn json(members: &str) -> String {
        format!(
            r#"{{"challenge":{{"parameters":{{"algorithm":"a","cost":1,"keyLength":1,"keyPrefix":"",
                "nonce":"","salt":""{members}}},"signature":"s"}},
                "solution":{{"counter":1,"derivedKey":"00"}}}}"#
        )
    }

    #[test]
    fn every_payload_is_read_as_the_official_library_reads_it() {
        let deep = |depth| {
            format!(
                r#","data":{{"a":{}1{}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            )
        };
        for members in [
            "",
            r#","expiresAt":null,"data":null,"keySignature":null,"memoryCost":null"#,
            r#","expiresAt":5.0"#,
            r#","expiresAt":"5""#,
            r#","expiresAt":-1,"\u0065xpiresAt":2"#,
            r#","expiresAt":null,"expiresAt":2"#,
            r#","unknown":1,"unknown":"\ud800","also":1e999"#,
            r#","data":[]"#,
            r#","data":"x""#,
            r#","data":{"a":1,"a":"2","\u0061":null}"#,
            r#","data":{"site":["x"],"action":{"a":1},"binding":true}"#,
            r#","data":{"a":1e400}"#,
            r#","data":{"a":"\ud800"}"#,
            r#","parallelism":-0,"memoryCost":4294967295"#,
            r#","memoryCost":4294967296"#,
            &deep(100),
            &deep(122),
            &deep(130),
        ] {
            let json = json(members);
            let official: Result<altcha::Payload, _> = serde_json::from_slice(json.as_bytes());
            match (read(json.as_bytes()), official) {
                (Ok(ours), Ok(official)) => {
                    let [ours, official] = [
                        serde_json::to_string(&ours.challenge.parameters).unwrap(),
                        serde_json::to_string(&official.challenge.parameters).unwrap(),
                    ];
                    assert_eq!(ours, official, "{members}");
                }
                (ours, official) => assert_eq!(ours.is_ok(), official.is_ok(), "{members}"),
            }
        }
        assert!(read(b"{\"unknown\":\"\xff\"}").is_err());
        for whole in [
            json("") + " \n",
            json("") + "x",
            format!("\u{feff}{}", json("")),
            json("").replace(r#""signature":"s""#, r#""signature":7"#),
            json("").replace(r#""counter":1"#, r#""counter":1,"time":"x""#),
            json("").replace(r#""counter":1"#, r#""counter":1,"time":1e999"#),
            json("").replace(r#""counter":1"#, r#""counter":1,"time":null"#),
            json("").replace(r#""counter":1,"#, ""),
            json("").replace(r#"{"counter":1,"derivedKey":"00"}"#, r#"[1,"00",null]"#),
        ] {
            let official: Result<altcha::Payload, _> = serde_json::from_str(&whole);
            assert_eq!(read(whole.as_bytes()).is_ok(), official.is_ok(), "{whole}");
        }
    }

    #[test]
    fn the_last_of_several_members_of_the_data_counts_and_texts_only_are_texts() {
        let json = json(r#","data":{"site":"a","site":"b","action":7,"b\u0061":"\u00e9"}"#);
        let payload = read(json.as_bytes()).unwrap();
        let data = payload.challenge.parameters.data.unwrap();
        assert_eq!(data.text("site"), Some("b"));
        assert_eq!(data.text("ba"), Some("é"));
        assert_eq!((data.text("action"), data.text("binding")), (None, None));
    }

    #[test]
    fn members_of_nested_values_are_sorted_whatever_order_they_have() {
        let mut value = Value::Array(vec![serde_json::json!({"b": {"d": 1, "c": 2}, "a": 3})]);
        sort(&mut value);
        assert_eq!(value.to_string(), r#"[{"a":3,"b":{"c":2,"d":1}}]"#);
    }

    #[test]
    fn every_counted_character_counts_wherever_it_is() {
        let padded = |at: usize, count: usize| {
            let mut json = vec![b'x'; 8_000];
            json[at..at + count].fill(b',');
            json
        };
        for at in [0, 200, 254, 255, 7_800] {
            assert!(!has_too_many_members(&padded(at, 160)));
            assert!(has_too_many_members(&padded(at, 161)));
        }
        assert!(has_too_many_members(&[b'{'; 8_000]));
    }
}
