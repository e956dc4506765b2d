/// Returns the key of an entry on the server: the prefix, and the digest in lower-case hex.
pub(crate) fn key(prefix: &str, digest: [u8; 16]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut key = String::with_capacity(prefix.len() + 32);
    key.push_str(prefix);
    for byte in digest {
        key.push(char::from(HEX[usize::from(byte >> 4)]));
        key.push(char::from(HEX[usize::from(byte & 15)]));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_key_is_the_prefix_and_hex() {
        let mut digest = [0; 16];
        digest[0] = 0xa5;
        digest[15] = 0x0f;
        assert_eq!(key("p:", digest), "p:a500000000000000000000000000000f");
    }
}
