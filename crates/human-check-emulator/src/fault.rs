use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

/// A way in which the emulated services fail.
///
/// Pass a fault to [`Emulator::fail`](crate::Emulator::fail). Some faults happen after the token
/// was verified: the token is then used, although the client gets no usable reply. Others happen
/// before, so that the same token can be sent again. The description of each fault says which.
///
/// The JSON form, for the control API, is the name in kebab case with its members.
///
/// ```
/// use human_check_emulator::Fault;
/// use std::time::Duration;
///
/// let fault: Fault = serde_json::from_str(r#"{"delay":{"millis":500}}"#).unwrap();
/// assert_eq!(fault, Fault::delay(Duration::from_millis(500)));
/// let fault: Fault = serde_json::from_str(r#""stall""#).unwrap();
/// assert_eq!(fault, Fault::Stall);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// Verifies the token, then sends this text in place of the body. Status and headers stay.
    Body {
        /// The body.
        text: String,
    },
    /// Verifies the token at once, and sends the reply late.
    Delay {
        /// The delay, in milliseconds.
        millis: u64,
    },
    /// Verifies the token, then sends a body that never ends.
    Endless,
    /// Does not verify the token. Sends a page of HTML.
    Html {
        /// The HTTP status.
        status: u16,
    },
    /// Verifies the token, then pads the body with spaces to this length.
    Oversized {
        /// The length in bytes. At most 16 MiB are sent.
        bytes: usize,
    },
    /// Does not verify the token. Sends a 307 to an address that replies `{"success":true}`.
    ///
    /// A client that follows the redirect would accept a forged token. The request that followed it
    /// is in [`Emulator::requests`](crate::Emulator::requests).
    Redirect,
    /// Verifies the token, then sends the reply under another HTTP status.
    Restatus {
        /// The HTTP status.
        code: u16,
    },
    /// Verifies the token, then resets the connection without a reply.
    ResetAfter,
    /// Resets the connection without verifying the token.
    ResetBefore,
    /// Does not verify the token. Accepts the request and never replies.
    Stall,
    /// Verifies the token, sends the headers, and never sends the body.
    StallBody,
    /// Does not verify the token. Sends this HTTP status and an empty body.
    Status {
        /// The HTTP status.
        code: u16,
        /// The value of a `Retry-After` header, in seconds. Default: no such header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Verifies the token, then sends the reply one byte at a time.
    Trickle {
        /// The pause before each byte, in milliseconds.
        millis: u64,
    },
    /// Verifies the token, then closes the connection in the middle of the body.
    Truncated,
    /// Verifies the token, then sends the whole body with a `Content-Length` of half its length.
    WrongLength,
}

impl Fault {
    /// Creates a [`Fault::Delay`], in whole milliseconds.
    pub fn delay(by: Duration) -> Self {
        Self::Delay {
            millis: u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Creates a [`Fault::Status`] without a `Retry-After` header.
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
        }
    }

    /// Returns whether the fault happens before the token is verified.
    pub(crate) fn precedes_verification(&self) -> bool {
        matches!(
            self,
            Self::Html { .. }
                | Self::Redirect
                | Self::ResetBefore
                | Self::Stall
                | Self::Status { .. }
        )
    }
}

/// The most faults that wait in the queue, so that a client cannot fill the memory.
const MAX_FAULTS: usize = 1_000;

/// The queue of faults, oldest first, each with the number of requests it still affects.
/// `None` is without a limit.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<(Fault, Option<usize>)>);

impl Faults {
    /// Adds a fault. Returns whether the queue had room for it.
    pub(crate) fn push(&mut self, fault: Fault, times: Option<usize>) -> bool {
        if times == Some(0) {
            return true;
        }
        if self.0.len() >= MAX_FAULTS {
            return false;
        }
        self.0.push_back((fault, times));
        true
    }

    /// Removes all faults.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the fault of the next request, and counts that request.
    pub(crate) fn next(&mut self) -> Option<Fault> {
        let (fault, times) = self.0.front_mut()?;
        let fault = fault.clone();
        if let Some(times) = times {
            *times -= 1;
            if *times == 0 {
                self.0.pop_front();
            }
        }
        Some(fault)
    }
}
