use std::fmt;
use std::str::FromStr;

/// The name of one showing of a challenge in an experiment: 128 random bits, derived from nothing.
///
/// It prints as 32 hexadecimal digits, and is read back from them. An application that stores it with
/// its account can report later what became of the account. Stored there, it is personal data.
///
/// ```
/// use human_check_core::Receipt;
///
/// let receipt: Receipt = "000102030405060708090a0b0c0d0e0f".parse()?;
/// assert_eq!(receipt.to_string(), "000102030405060708090a0b0c0d0e0f");
/// assert!("not a receipt".parse::<Receipt>().is_err());
/// # Ok::<(), human_check_core::ReceiptError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Receipt([u8; 16]);

impl Receipt {
    /// Creates a receipt from its bytes, which must be random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let (mut bytes, digits) = ([0; 16], text.as_bytes());
        if digits.len() != 32 {
            return Err(ReceiptError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(ReceiptError);
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

/// Returns the value of a lower-case hexadecimal digit, so that a receipt has one text only.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The error of a text that is not a [`Receipt`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReceiptError;

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a receipt has 32 hexadecimal digits in lower case")
    }
}

impl std::error::Error for ReceiptError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_has_one_text_only() {
        let text = "00ff102030405060708090a0b0c0d0e0";
        assert_eq!(text.parse::<Receipt>().unwrap().to_string(), text);
        for other in [
            "",
            "00FF102030405060708090a0b0c0d0e0",
            "00ff102030405060708090a0b0c0d0e",
            "00ff102030405060708090a0b0c0d0e00",
            "00ff102030405060708090a0b0c0d0é",
        ] {
            assert_eq!(other.parse::<Receipt>(), Err(ReceiptError), "{other}");
        }
    }
}
