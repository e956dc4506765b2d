use std::borrow::Cow;
use std::fmt;

use crate::DenialReason;

/// The HTTP response of a guard, for the framework to send.
///
/// It is the same for every cause behind one [`DenialReason`]: status, headers and body do not tell
/// the client, for example, that a token was expired. Its format is described in
/// docs/reference/refusal-responses.md.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GuardResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers: names in lower case, and their values.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The whole body. The header `content-type` says what it is.
    pub body: String,
}

/// The refusal of a request, with the response for the client.
///
/// The crates for the frameworks send it by themselves. With another framework send
/// [`response`](Self::response):
///
/// ```
/// use human_check_guard::Rejection;
///
/// fn send(rejection: Rejection) -> (u16, Vec<String>, String) {
///     let response = rejection.into_response();
///     let headers = response.headers.iter();
///     let lines = headers.map(|(name, value)| format!("{name}: {value}")).collect();
///     (response.status, lines, response.body)
/// }
/// ```
///
/// `Display` shows the title of the problem, for example `Verification failed`.
#[derive(Clone, Debug)]
pub struct Rejection(Box<(DenialReason, GuardResponse)>);

impl Rejection {
    /// Creates a rejection.
    pub(crate) fn new(denial: DenialReason, response: GuardResponse) -> Self {
        Self(Box::new((denial, response)))
    }

    /// Returns the reason, as far as the client may know it.
    pub fn reason(&self) -> DenialReason {
        self.0.0
    }

    /// Returns the response for the client.
    pub fn response(&self) -> &GuardResponse {
        &self.0.1
    }

    /// Consumes the rejection and returns the response for the client.
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
