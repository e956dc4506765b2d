use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Capabilities, CheckError, Provider, Submission, Verdict};

/// A check: verifies the tokens of a submission and returns a verdict.
///
/// Adapters, one for each provider, and combinators implement it. An application holds one
/// `Arc<dyn HumanCheck>` and does not depend on the provider behind it.
///
/// ```
/// use human_check_core::{CheckError, HumanCheck, Provider, Submission};
///
/// async fn may_sign_up(
///     check: &dyn HumanCheck,
///     provider: &Provider,
///     token: String,
/// ) -> Result<bool, CheckError> {
///     let submission = Submission::new()
///         .with_token(provider, token)
///         .with_expected_action("signup");
///     Ok(check.check(&submission).await?.is_human())
/// }
/// ```
///
/// # Contract
///
/// - [`Verdict::Human`] needs positive evidence. Missing evidence refuses.
/// - A refusal is `Ok(Verdict::NotHuman(_))`. `Err(_)` means that the check could not reach a
///   verdict. No input of a visitor may cause
///   [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), because a route may fail open on
///   that.
/// - A human verdict meets the expectations of the submission; see [`Verdict::check_expectations`].
/// - A token that is absent, empty, too long or not printable ASCII is refused without a call of
///   the provider; see [`Submission::token_for`].
/// - Every fact that [`capabilities`](Self::capabilities) declares as
///   [`Support::Always`](crate::Support::Always) is in every human verdict.
/// - Neither `Debug` nor an error shows a token or a secret.
///
/// # Cancellation
///
/// Dropping the future of [`check`](Self::check) stops waiting. A request that was already sent is
/// not revoked: the provider may have used the token up, and the visitor then needs a new one.
#[async_trait]
pub trait HumanCheck: Debug + Send + Sync + 'static {
    /// Returns the providers whose tokens this check accepts, with the form fields of each.
    fn providers(&self) -> &[Provider];

    /// Returns which facts the human verdicts of this check carry.
    ///
    /// A [`Policy`](crate::Policy) that requires a fact which the check never reports is an error
    /// when it is attached.
    fn capabilities(&self) -> Capabilities;

    /// Verifies one submission and returns the verdict.
    ///
    /// # Errors
    ///
    /// [`CheckError`] if the check could not reach a verdict: the provider is unavailable, declined
    /// to verify, rejected the configuration or sent an invalid reply, or the replay store failed.
    /// See [`ErrorKind`](crate::ErrorKind).
    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError>;
}

macro_rules! forward {
    ($($wrapper:ident),*) => {$(
        // A method that is added to the trait must be forwarded here, too. Otherwise a wrapped
        // check would silently use the default implementation.
        #[deny(clippy::missing_trait_methods)]
        impl<C: HumanCheck + ?Sized> HumanCheck for $wrapper<C> {
            fn providers(&self) -> &[Provider] {
                (**self).providers()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            // The signature is what `async_trait` would generate. Written by hand, the method
            // returns the inner future instead of boxing it a second time.
            fn check<'check, 'submission, 'future>(
                &'check self,
                submission: &'submission Submission,
            ) -> Pin<Box<dyn Future<Output = Result<Verdict, CheckError>> + Send + 'future>>
            where
                'check: 'future,
                'submission: 'future,
                Self: 'future,
            {
                (**self).check(submission)
            }
        }
    )*};
}

forward!(Arc, Box);
