use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::junk_submission;
use crate::{Capabilities, CheckError, Health, Provider, Submission, Verdict};

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

    /// Verifies a junk token of our own, to see whether the provider works. No visitor takes part in
    /// it, so its result is evidence that no visitor can produce.
    ///
    /// The default checks a random text as the token of the first provider. An adapter overrides it
    /// to send the request on a connection of its own, outside of its limits and without an event of
    /// a check, within two seconds. A combinator forwards it to the check inside, past circuit
    /// breakers and limits, and claims nothing. A check that calls no provider returns
    /// [`Health::Up`].
    ///
    /// Providers may bill it. Dropping the future drops the request.
    async fn probe_health(&self) -> Health {
        match self.providers().first() {
            Some(provider) => Health::of(&self.check(&junk_submission(provider, "")).await),
            None => Health::Inconclusive("no-provider"),
        }
    }
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

            fn probe_health<'check, 'future>(
                &'check self,
            ) -> Pin<Box<dyn Future<Output = Health> + Send + 'future>>
            where
                'check: 'future,
                Self: 'future,
            {
                (**self).probe_health()
            }
        }
    )*};
}

forward!(Arc, Box);
