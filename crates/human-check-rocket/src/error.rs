use std::convert::Infallible;
use std::fmt;

use human_check_guard::Rejection;
use rocket::Request;
use rocket::http::Status;

use crate::local::Local;

/// Why a guard did not let a request through.
///
/// Rocket logs the `Debug` form of a data guard's error, and that of its JSON error holds the whole
/// body, a token that nobody has used yet included. So this one shows nothing of what is inside;
/// `Display` does, and may quote a value of the body.
pub enum HumanError<E = Infallible> {
    /// The body is not what the handler takes. The token was not spent.
    Inner(E),
    /// The check refused.
    Rejected(Rejection),
    /// The fairing is not attached. Our mistake, so 500.
    Unconfigured,
}

impl<E> HumanError<E> {
    /// The refusal as an error, remembered for catchers.
    pub(crate) fn refused(request: &Request<'_>, refused: Rejection) -> (Status, Self) {
        Local::of(request).remember(refused.clone());
        (status(&refused), Self::Rejected(refused))
    }

    pub(crate) fn unconfigured() -> (Status, Self) {
        rocket::error!("A route wants a human and no guard is managed. Attach `HumanFairing`.");
        (Status::InternalServerError, Self::Unconfigured)
    }
}

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
