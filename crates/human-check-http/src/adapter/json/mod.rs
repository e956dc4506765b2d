//! Strict readers for the JSON of providers.
//!
//! A reply must be exactly one JSON object in UTF-8 in which no member occurs twice, at any depth.
//! Two parsers may read `{"success":false,"success":true}` differently, so [`object`] refuses it.
//!
//! A member may have another type than its provider documents. The effect of the member decides how
//! it is read:
//!
//! - A member that speaks for the visitor, or only informs, counts as absent ([`Text`], [`Number`],
//!   [`Flag`], [`Object::or_absent`]). A host name that is a number is no host name.
//! - A member that speaks against the token counts whatever its type ([`Mark`], [`Codes`],
//!   [`Text::is_stated`]).
//! - A member that holds the verdict, or that could hide one of the latter, makes the reply
//!   unreadable (`Option<bool>`, [`Object::or_malformed`]).
//!
//! ```
//! use human_check_http::adapter::json::{self, Codes, Text};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct SiteverifyReply<'a> {
//!     success: Option<bool>,
//!     #[serde(rename = "error-codes", default)]
//!     codes: Codes,
//!     #[serde(borrow, default)]
//!     hostname: Text<'a>,
//! }
//!
//! let body = br#"{"success":false,"error-codes":["invalid-input-response"],"hostname":7}"#;
//! let reply: SiteverifyReply<'_> = json::object(body)?;
//! assert_eq!(reply.success, Some(false));
//! assert_eq!(reply.codes.as_slice(), ["invalid-input-response"]);
//! assert_eq!(reply.hostname.get(), None);
//! # Ok::<(), json::Malformed>(())
//! ```

#[macro_use]
mod scalars;
mod members;
mod strict;
mod unrepeating;

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
