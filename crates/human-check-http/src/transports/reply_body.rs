use bytes::{Bytes, BytesMut};

use crate::{SendError, SendErrorKind};

/// The body of a reply, as its pieces arrive. Most replies arrive in one piece, which is not copied.
pub(super) struct ReplyBody {
    bytes: Bytes,
    max: usize,
}

impl ReplyBody {
    /// Creates an empty body that may have `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            bytes: Bytes::new(),
            max,
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// [`SendErrorKind::TooLarge`] if the body becomes too long.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), SendError> {
        if piece.len() > self.max - self.bytes.len() {
            return Err(SendError::new(SendErrorKind::TooLarge));
        }
        self.bytes = if self.bytes.is_empty() {
            piece
        } else {
            let mut whole = BytesMut::from(std::mem::take(&mut self.bytes));
            whole.extend_from_slice(&piece);
            whole.freeze()
        };
        Ok(())
    }

    /// Returns the whole body.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}
