use std::borrow::Cow;
use std::fmt;

use crate::{DenialReason, Selected};

/// The HTTP response of a guard, for the framework to send.
///
/// It is the same for every cause behind one [`DenialReason`]: status, headers and body do not tell
/// the client, for example, that a token was expired. Its format is described in
/// docs/reference/refusal-responses.md.
///
/// `Debug` shows neither the values of headers nor the body, which may hold what the visitor typed.
#[derive(Clone, Eq, PartialEq)]
pub struct GuardResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers: names in lower case, and their values.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The whole body. The header `content-type` says what it is.
    pub body: String,
}

impl fmt::Debug for GuardResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("GuardResponse")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
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
pub struct Rejection(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    reason: DenialReason,
    response: GuardResponse,
    selected: Option<Selected>,
}

impl Rejection {
    /// Creates a rejection. `selected` is the account that the response shows.
    pub(crate) fn new(
        reason: DenialReason,
        response: GuardResponse,
        selected: Option<Selected>,
    ) -> Self {
        Self(Box::new(Inner {
            reason,
            response,
            selected,
        }))
    }

    /// Returns the reason, as far as the client may know it.
    pub fn reason(&self) -> DenialReason {
        self.0.reason
    }

    /// Returns the account that the visitor meets next, for an application that makes a page of its
    /// own. `None` if a challenge would not help.
    pub fn selected(&self) -> Option<&Selected> {
        self.0.selected.as_ref()
    }

    /// Returns the response for the client.
    pub fn response(&self) -> &GuardResponse {
        &self.0.response
    }

    /// Consumes the rejection and returns the response for the client.
    pub fn into_response(self) -> GuardResponse {
        self.0.response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason().title().english())
    }
}

impl std::error::Error for Rejection {}
