//! Strict reading of providers' JSON.
//!
//! A reply counts only as one UTF-8 JSON object in which no member repeats, at any depth: two
//! readers of `{"success":false,"success":true}` may disagree, so we side with neither.
//!
//! Members of another type than their provider documents are read by what they can do:
//! - what only informs, or vouches for the visitor, is absent then ([`Text`], [`Number`],
//!   [`Object::or_absent`]): a hostname that is a number is no hostname;
//! - what holds something against the answer counts against it ([`Mark`], [`Codes`], `is_stated`);
//! - what holds the verdict, or might hide one of the above, makes the reply unreadable
//!   ([`Object::or_malformed`]).

#[macro_use]
mod scalars;
mod members;
mod strict;

pub use members::{Codes, Flag, Lenient, Mark, Number, Object, Objects, Text};
pub use strict::{Malformed, object};

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Probe<'a> {
        success: Option<bool>,
        #[serde(borrow, default)]
        text: Text<'a>,
        #[serde(default)]
        number: Number,
        #[serde(default)]
        mark: Mark,
        #[serde(default)]
        codes: Codes,
    }

    fn probe(text: &str) -> Result<Probe<'_>, Malformed> {
        object(text.as_bytes())
    }

    #[test]
    fn repeated_members_are_refused_at_any_depth() {
        for bad in [
            r#"{"success":false,"success":true}"#,
            r#"{"success":true,"success":true}"#,
            r#"{"success":true,"\u0073uccess":false}"#,
            r#"{"success":true,"x":{"a":1,"a":2}}"#,
            r#"{"success":true,"x":[{"a":[{"b":1,"b":1}]}]}"#,
        ] {
            assert!(probe(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..40).map(|i| format!(r#""k{i}":{i}"#)).collect();
        assert!(probe(&format!("{{{}}}", many.join(","))).is_ok());
        assert!(probe(&format!("{{{},\"k39\":1}}", many.join(","))).is_err());
    }

    #[test]
    fn only_one_whole_utf8_object_counts() {
        for bad in [
            "",
            " ",
            "ok",
            "[]",
            "[true]",
            "true",
            "null",
            "{",
            r#"{"success":true"#,
            r#"{"success":true}{"success":false}"#,
            r#"{"success":true} x"#,
            r#"{"success":"true"}"#,
            r#"{"success":1}"#,
            "\u{feff}{}",
        ] {
            assert!(probe(bad).is_err(), "{bad:?}");
        }
        assert!(object::<Probe<'_>>(b"{\"x\":\"\xff\"}").is_err());
        let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
        assert!(
            probe(&format!("{{\"x\":{deep}}}")).is_err(),
            "depth is bounded"
        );
        assert_eq!(
            probe(" \n{\"success\":true}\n").unwrap().success,
            Some(true)
        );
    }

    #[test]
    fn members_of_another_type_are_absent() {
        let odd = probe(r#"{"text":5,"number":[1],"mark":null,"codes":null}"#).unwrap();
        assert!(odd.text.get().is_none() && odd.number.get().is_none());
        assert!(!odd.mark.is_raised() && odd.codes.as_slice().is_empty() && odd.success.is_none());
        let good =
            probe(r#"{"text":"a\/b","number":"0.7","mark":"yes","codes":["x",1,"y"]}"#).unwrap();
        assert_eq!(good.text.get(), Some("a/b"));
        assert_eq!(good.number.get(), Some(0.7));
        assert!(good.mark.is_raised());
        assert_eq!(good.codes.as_slice(), ["x", Codes::UNREADABLE, "y"]);
        for odd in [r#"{"codes":{}}"#, r#"{"codes":true}"#, r#"{"codes":5}"#] {
            assert_eq!(
                probe(odd).unwrap().codes.as_slice(),
                [Codes::UNREADABLE],
                "{odd}"
            );
        }
        assert!(probe(r#"{"number":"NaN"}"#).unwrap().number.get().is_none());
    }

    #[test]
    fn an_error_does_not_repeat_the_text() {
        let error = probe(r#"{"success":"token-canary"}"#).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
