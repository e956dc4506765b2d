use std::fmt;

use human_check_core::{CheckError, Provider, Submission, Verdict};

use crate::Request;

/// When the client may send a request a second time.
///
/// The client sends at most two requests for each call, 50 to 250 ms apart, and keeps repeats below
/// a tenth of the calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResendPolicy {
    /// Also when the provider may have acted on the first request, because it recognises the repeat
    /// by an idempotency key in the request.
    Idempotent,
    /// Only when no byte of the first request was sent. For providers where verifying uses the
    /// token up, which is the usual case.
    Unsent,
}

/// One call of a provider to verify a token: the argument of
/// [`ProviderClient::verify`](crate::ProviderClient::verify).
///
/// `Debug` shows neither the token nor a secret.
///
/// ```
/// use human_check_core::{Provider, Secret, Submission};
/// use human_check_http::adapter::{FormBody, ResendPolicy, VerifyCall};
/// use human_check_http::{Endpoint, Request};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let endpoint = Endpoint::literal("https://acme.example/siteverify");
/// let secret = Secret::new("s3cret")?;
/// let submission = Submission::new().with_token(&ACME, "the-token");
/// let body = FormBody::with_capacity(64)
///     .pair("secret", secret.expose())
///     .pair("response", "the-token");
/// let call = VerifyCall {
///     provider: &ACME,
///     submission: &submission,
///     request: Request::form(&endpoint, body),
///     secrets: &["the-token", secret.expose()],
///     resend: ResendPolicy::Unsent,
/// };
/// assert!(!format!("{call:?}").contains("the-token"));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub struct VerifyCall<'a> {
    /// The provider that is called.
    pub provider: &'a Provider,
    /// The submission. The verdict must meet its expectations.
    pub submission: &'a Submission,
    /// The request that is sent.
    pub request: Request,
    /// The token and all secrets of the request. They are redacted where the provider repeats them
    /// in codes and details.
    pub secrets: &'a [&'a str],
    /// When the request may be sent a second time.
    pub resend: ResendPolicy,
}

impl fmt::Debug for VerifyCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyCall")
            .field("provider", self.provider)
            .field("submission", self.submission)
            .field("request", &self.request)
            .field("resend", &self.resend)
            .finish_non_exhaustive()
    }
}

/// The result of a call that was not reported yet; see
/// [`ProviderClient::ask`](crate::ProviderClient::ask).
#[derive(Debug)]
pub struct CallOutcome {
    /// The verdict or error.
    pub outcome: Result<Verdict, CheckError>,
    /// How many requests were sent: 1 or 2 for one call.
    pub attempts: u32,
}
