use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

/// A way for the emulated service to misbehave.
///
/// As JSON it is the kebab-case name with its value: `{"delay":{"millis":500}}`, `"stall"`, `{"status":{"code":503}}`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// Judges, answers with this body instead.
    Body {
        /// The body.
        text: String,
    },
    /// Judges at once, answers late.
    Delay {
        /// How late, in milliseconds.
        millis: u64,
    },
    /// Judges, then sends a body without end.
    Endless,
    /// Does not judge, answers with a page of HTML.
    Html {
        /// The status.
        status: u16,
    },
    /// Judges, then pads its JSON with white space to this many bytes, 16 MiB at most.
    Oversized {
        /// How many bytes.
        bytes: usize,
    },
    /// Does not judge, redirects to a place that would say yes.
    Redirect,
    /// Judges, then sends its answer under another status.
    Restatus {
        /// The status.
        code: u16,
    },
    /// Judges, then resets the connection: the token may be spent.
    ResetAfter,
    /// Resets the connection before it judges.
    ResetBefore,
    /// Accepts the request and never answers.
    Stall,
    /// Judges, sends the headers and never the body.
    StallBody,
    /// Does not judge, answers with this status and no body.
    Status {
        /// The status.
        code: u16,
        /// Seconds for a `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Judges, then sends one byte at a time.
    Trickle {
        /// The pause before each byte, in milliseconds.
        millis: u64,
    },
    /// Judges, then closes in the middle of the body.
    Truncated,
    /// Judges, then announces half of what it sends.
    WrongLength,
}

impl Fault {
    /// A delay.
    pub fn delay(by: Duration) -> Self {
        Self::Delay {
            millis: u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A status without a body.
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
        }
    }

    /// Whether the provider never gets to judge.
    pub(crate) fn comes_first(&self) -> bool {
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

/// So many may wait.
const MOST_FAULTS: usize = 1_000;

/// The faults to come, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<(Fault, Option<usize>)>);

impl Faults {
    /// Whether there was room for it.
    pub(crate) fn push(&mut self, fault: Fault, times: Option<usize>) -> bool {
        if times == Some(0) {
            return true;
        }
        if self.0.len() >= MOST_FAULTS {
            return false;
        }
        self.0.push_back((fault, times));
        true
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

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
