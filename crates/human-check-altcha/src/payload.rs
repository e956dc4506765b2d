use altcha::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_core::{Reason, Refusal};
use serde::Deserialize;
use serde_json::Value;

/// Reads the form field (section 3): base64 of JSON, straight into the protocol's own types, since a
/// detour over a generic value would keep the last of two members of one name and hide the first.
///
/// # Errors
///
/// [`Reason::Malformed`], with a code where it can be told what arrived instead.
pub(crate) fn read(field: &str) -> Result<Payload, Refusal> {
    let malformed = || Refusal::new(Reason::Malformed);
    let json = STANDARD.decode(field).map_err(|_| malformed())?;
    if is_stuffed(&json) {
        return Err(malformed());
    }
    serde_json::from_slice(&json).map_err(|_| match other(&json) {
        Some(code) => malformed().with_codes(vec![code.to_owned()]),
        None => malformed(),
    })
}

/// More than any widget sends: it has about eighty of these signs. Every member costs an allocation or
/// more before the signature can be looked at, and whoever stuffs a payload pays nothing for them.
fn is_stuffed(json: &[u8]) -> bool {
    let signs = json
        .iter()
        .filter(|b| matches!(b, b'"' | b',' | b'[' | b'{'));
    signs.count() > 160
}

/// What else it is, for whoever wonders why nobody gets in.
fn other(json: &[u8]) -> Option<&'static str> {
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
        // Section 8: another secret, another meaning. Never judged here.
        Some("sentinel-payload")
    } else if shape.challenge.is_string() && shape.number.is_number() {
        // Section 7.
        Some("pow-v1-payload")
    } else if shape.test == Value::Bool(true) {
        // The widget's own setting for pages under test.
        Some("widget-test-payload")
    } else {
        None
    }
}
