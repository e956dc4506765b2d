use std::borrow::Cow;
use std::fmt;

use crate::DenialReason;

/// A refusal as it goes over HTTP, for a framework to send.
///
/// The same for every reason behind one [`DenialReason`]: status, headers and body tell nothing more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuardResponse {
    /// The status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The whole body.
    pub body: String,
}

/// A request that was refused, with the answer for it.
#[derive(Clone, Debug)]
pub struct Rejection(Box<(DenialReason, GuardResponse)>);

impl Rejection {
    pub(crate) fn new(denial: DenialReason, response: GuardResponse) -> Self {
        Self(Box::new((denial, response)))
    }

    /// Why, as far as a visitor may know.
    pub fn reason(&self) -> DenialReason {
        self.0.0
    }

    /// What to send.
    pub fn response(&self) -> &GuardResponse {
        &self.0.1
    }

    /// What to send.
    pub fn into_response(self) -> GuardResponse {
        self.0.1
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason().title())
    }
}

impl std::error::Error for Rejection {}
