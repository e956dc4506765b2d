use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Capabilities, CheckError, Provider, Submission, Verdict};

/// Asks whether a human handed in a submission.
///
/// Adapters (one per provider) and combinators both implement it, so an application holds one
/// `Arc<dyn HumanCheck>` and never learns which provider stands behind it.
///
/// # Contract
///
/// - [`Verdict::Human`] only on positive evidence. Whatever is missing refuses.
/// - A refusal is `Ok(Verdict::NotHuman(_))`; `Err(_)` means that nobody has spoken.
///   Nothing a visitor can send may end in [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable),
///   because a route may choose to open on that.
/// - Verdicts are held to what the submission expects, see [`Verdict::check_expectations`].
/// - An absent, empty, oversized or non-printable token is refused without asking anybody,
///   see [`Submission::token`].
/// - Every fact that [`capabilities`](Self::capabilities) calls [`Support::Always`](crate::Support::Always)
///   is in every human verdict.
/// - Neither `Debug` nor an error shows a token or a secret.
///
/// # Cancellation
///
/// Dropping the future of [`check`](Self::check) stops waiting. It does not take back what was
/// already sent: the provider may have spent the token, and the visitor then needs a new one.
#[async_trait]
pub trait HumanCheck: Debug + Send + Sync + 'static {
    /// Whose answers this check understands, each with the form fields they arrive in.
    fn providers(&self) -> &[Provider];

    /// Which facts its human verdicts carry.
    fn capabilities(&self) -> Capabilities;

    /// Judges one submission.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no verdict could be had: the provider is unreachable, would not judge,
    /// rejected our configuration, or answered nonsense.
    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError>;
}

macro_rules! forward {
    ($($wrapper:ident),*) => {$(
        // A method added to the trait must be forwarded here too, or a wrapped check would
        // silently fall back to a default.
        #[deny(clippy::missing_trait_methods)]
        impl<C: HumanCheck + ?Sized> HumanCheck for $wrapper<C> {
            fn providers(&self) -> &[Provider] {
                (**self).providers()
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            // Written as the attribute would expand it, but handing on the inner future instead of
            // boxing it once more.
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
