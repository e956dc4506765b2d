/// What a verification of a visitor's token says about an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The provider's reply declined to verify.
    Declined,
    Human,
    /// A refusal, or an error that says nothing about the account.
    Other,
    /// The provider's reply was that there were too many requests.
    RateLimited,
    Unavailable,
}
