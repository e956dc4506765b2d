use std::convert::Infallible;
use std::fmt;

use human_check_guard::Rejection;
use rocket::Request;
use rocket::http::Status;

use crate::local::Local;

/// Why a request guard or data guard refused a request.
///
/// `E` is the error of the inner data guard, for example of [`Form`](rocket::form::Form). Take a
/// `Result` in a handler to read the error:
///
/// ```
/// use human_check_rocket::{Human, HumanError};
/// use rocket::post;
///
/// #[post("/comments")]
/// fn comment(human: Result<&Human, HumanError>) -> String {
///     match human {
///         Ok(_) => "posted".to_owned(),
///         Err(HumanError::Rejected(rejection)) => rejection.to_string(),
///         Err(_) => "not posted".to_owned(),
///     }
/// }
/// # fn main() {}
/// ```
///
/// `Debug` does not show the inner error, because Rocket logs the `Debug` text of a data guard's
/// error, and that of Rocket's JSON error contains the whole body with its unused token. `Display`
/// shows the inner error, and may quote a value of the body.
#[non_exhaustive]
pub enum HumanError<E = Infallible> {
    /// The inner data guard rejected the body, for example because it is not a form. The token is
    /// unused.
    Inner(E),
    /// The guard refused the request.
    Rejected(Rejection),
    /// There is no guard: the application must attach [`HumanFairing`](crate::HumanFairing). The
    /// status is 500.
    Unconfigured,
}

impl<E> HumanError<E> {
    /// Returns a refusal as an error, and keeps it with the request for the catcher.
    pub(crate) fn refused(request: &Request<'_>, refused: Rejection) -> (Status, Self) {
        Local::of(request).set_refusal(refused.clone());
        (status(&refused), Self::Rejected(refused))
    }

    /// Returns the error of a route without a guard, and logs what to do.
    pub(crate) fn unconfigured() -> (Status, Self) {
        rocket::error!("A route demands a human and no guard is managed. Attach `HumanFairing`.");
        (Status::InternalServerError, Self::Unconfigured)
    }
}

/// Returns the status of a refusal.
pub(crate) fn status(refused: &Rejection) -> Status {
    Status::from_code(refused.response().status).unwrap_or(Status::InternalServerError)
}

impl<E: fmt::Display> fmt::Display for HumanError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(inner) => inner.fmt(f),
            Self::Rejected(refused) => refused.fmt(f),
            Self::Unconfigured => f.write_str("no human-check guard is configured"),
        }
    }
}

impl<E> fmt::Debug for HumanError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(_) => f.write_str("the body is not what the handler takes"),
            Self::Rejected(refused) => write!(f, "{} ({})", refused, refused.reason().as_str()),
            Self::Unconfigured => f.write_str("no human-check guard is configured"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for HumanError<E> {}
