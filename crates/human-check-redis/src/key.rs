use std::io::Write;

use redis::{RedisWrite, ToRedisArgs};

use crate::slots::slot_of;

/// The key of an entry on the server: a prefix, and a digest in lower-case hex.
///
/// It is written into a command without a text of its own, because every claim makes one.
pub(crate) struct Key<'a> {
    prefix: &'a str,
    hex: [u8; 32],
}

impl<'a> Key<'a> {
    pub(crate) fn new(prefix: &'a str, digest: [u8; 16]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self { prefix, hex }
    }

    /// Returns the hash slot of the key in a cluster.
    pub(crate) fn slot(&self) -> u16 {
        slot_of(&[self.prefix.as_bytes(), &self.hex].concat())
    }

    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.prefix.len() + self.hex.len()
    }
}

impl ToRedisArgs for Key<'_> {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, command: &mut W) {
        let mut argument = command.writer_for_next_arg();
        let written = argument
            .write_all(self.prefix.as_bytes())
            .and_then(|()| argument.write_all(&self.hex));
        debug_assert!(written.is_ok(), "a command is in memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_prefix_and_hex() {
        let mut digest = [0; 16];
        digest[0] = 0xa5;
        digest[15] = 0x0f;
        let key = Key::new("p:", digest);
        let written = key.to_redis_args();
        assert_eq!(written, [b"p:a500000000000000000000000000000f"]);
        assert_eq!(key.len(), written[0].len());
    }
}
