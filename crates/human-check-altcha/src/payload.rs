use altcha::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_core::{Reason, Refusal};
use serde::Deserialize;
use serde_json::Value;

/// Reads the form field: base64 of JSON.
///
/// The JSON is read into the protocol's own types and not into a generic value first. A generic
/// value would keep only the last of two members of one name.
///
/// See docs/providers/altcha.md#error-codes.
///
/// # Errors
///
/// [`Reason::Malformed`], with a code when the field holds a known payload of another kind.
pub(crate) fn read(field: &str) -> Result<Payload, Refusal> {
    let malformed = || Refusal::new(Reason::Malformed);
    let json = STANDARD.decode(field).map_err(|_| malformed())?;
    if has_too_many_members(&json) {
        return Err(malformed());
    }
    serde_json::from_slice(&json).map_err(|_| match other_kind_of_payload(&json) {
        Some(code) => malformed().with_codes(vec![code.to_owned()]),
        None => malformed(),
    })
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
