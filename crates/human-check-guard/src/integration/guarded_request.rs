use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::BodyLimit;
use crate::decision::{Decision, FromDecision, Inspected};
use crate::tokens::{FieldsScope, SubmittedTokens, extracting};
use crate::{DenialReason, Guard, Rejection, RequestHead};

/// One request with a body on its way through a guard.
///
/// The steps come in this order: [`new`](Self::new) reads the head, [`admit`](Self::admit) compares
/// the announced length with the limit, [`extracting`](Self::extracting) and [`parse`](Self::parse)
/// build the application's type and find the tokens beside it, [`decide`](Self::decide) asks the check. A body that is too large, too
/// slow or not what the handler takes never reaches the check, so its token stays unused.
#[derive(Debug)]
#[must_use = "nothing is decided before `decide`"]
pub struct GuardedRequest {
    guard: Guard,
    inspected: Inspected,
}

impl GuardedRequest {
    /// Reads the head of a request for a [snapshot](Guard::snapshot) of a guard.
    pub fn new(guard: Guard, head: &dyn RequestHead) -> Self {
        let inspected = guard.inspect(head);
        Self { guard, inspected }
    }

    /// Returns the guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Refuses a body that announces more than `limit` lets through. `None`: it announces nothing.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for [`DenialReason::BodyTooLarge`].
    pub fn admit(&self, announced: Option<u64>, limit: BodyLimit) -> Result<(), Rejection> {
        match announced {
            Some(length) if length > limit.max_bytes as u64 => {
                Err(self.refuse(DenialReason::BodyTooLarge))
            }
            _ => Ok(()),
        }
    }

    /// Starts the framework's own extractor, with the guard's token fields in scope.
    ///
    /// `extract` is called at once, so it may borrow what the returned future does not keep.
    pub fn extracting<F>(&self, extract: impl FnOnce() -> F) -> FieldsScope<F> {
        extracting(Arc::clone(self.guard.fields()), extract)
    }

    /// Waits for `parsing` until `timeout` completes. Dropping the future stops reading; the check
    /// was not called.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for [`DenialReason::BodyTooSlow`] if `timeout` completes first.
    pub async fn parse<F: Future>(
        &self,
        timeout: impl Future,
        parsing: F,
    ) -> Result<F::Output, Rejection> {
        let mut parsing = pin!(parsing);
        let mut timeout = pin!(timeout);
        let parsed = poll_fn(|cx| {
            if let Poll::Ready(parsed) = parsing.as_mut().poll(cx) {
                return Poll::Ready(Some(parsed));
            }
            timeout.as_mut().poll(cx).map(|_| None)
        });
        let parsed = parsed.await;
        parsed.ok_or_else(|| self.refuse(DenialReason::BodyTooSlow))
    }

    /// Refuses for a reason that needs no check.
    pub fn refuse(&self, denial: DenialReason) -> Rejection {
        self.inspected.refuse(denial)
    }

    /// Adds the tokens of the body and decides, after an `earlier` decision about this request if
    /// there was one.
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    pub async fn decide(self, tokens: SubmittedTokens, earlier: Option<&Decision>) -> Decision {
        self.inspected
            .with_tokens(tokens)
            .decide_after(earlier)
            .await
    }

    /// Decides, and takes what the handler demands.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the decision is not what the handler demands.
    pub async fn require<D: FromDecision>(
        self,
        tokens: SubmittedTokens,
        earlier: Option<&Decision>,
    ) -> Result<D, Rejection> {
        self.decide(tokens, earlier).await.require()
    }
}
