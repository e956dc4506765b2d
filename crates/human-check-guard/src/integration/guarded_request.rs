use std::sync::{Arc, OnceLock};

use super::{BodyLimit, HeldBody};
use crate::decision::{
    Decision, FromDecision, Inspected, KeptForm, MAX_FORM_BYTES, MAX_FORM_FIELDS,
};
use crate::tokens::{FieldsScope, SubmittedTokens, extracting};
use crate::{DenialReason, Guard, Rejection, RequestHead};

/// Guides one request with a body through a guard.
///
/// The steps come in this order:
///
/// 1. [`new`](Self::new) reads the head.
/// 2. [`admit`](Self::admit) compares the `Content-Length` with the limit.
/// 3. [`extracting`](Self::extracting) and [`in_time`](Self::in_time) build the application's type, and
///    find the tokens beside its members.
/// 4. [`require`](Self::require) or [`decide`](Self::decide) calls the check.
///
/// A body that is too large, too slow, or not what the handler takes ends before the last step, so
/// its token stays unused.
///
/// ```
/// use human_check_guard::integration::{BodyKind, GuardedRequest, scan};
/// use human_check_guard::{Guard, Human, Rejection, RequestHead};
///
/// async fn verify_form(
///     guard: &Guard,
///     head: &dyn RequestHead,
///     body: &[u8],
/// ) -> Result<Human, Rejection> {
///     let guarded = GuardedRequest::new(guard.snapshot(), head);
///     let limit = BodyKind::Form.limit(guarded.guard().body_limits());
///     guarded.admit(Some(body.len() as u64), limit)?;
///     let tokens = scan::form(guarded.guard().fields(), body);
///     guarded.require(tokens, None).await
/// }
/// ```
#[derive(Debug)]
#[must_use = "nothing is decided before `decide`"]
pub struct GuardedRequest {
    guard: Guard,
    inspected: Box<Inspected>,
    /// Created when a body is read that may count as held.
    held: OnceLock<Arc<HeldBody>>,
    /// The decision by the token in the header, see [`judge_header`](Self::judge_header).
    by_header: Option<Box<Decision>>,
}

impl GuardedRequest {
    /// Creates a guarded request: reads the head for a [snapshot](Guard::snapshot) of a guard.
    pub fn new(guard: Guard, head: &dyn RequestHead) -> Self {
        // Head and body are read by one configuration.
        let guard = guard.into_snapshot();
        let inspected = Box::new(guard.inspect(head));
        Self {
            guard,
            inspected,
            held: OnceLock::new(),
            by_header: None,
        }
    }

    /// Returns the guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Returns whether to keep a urlencoded form with [`keep_form_body`](Self::keep_form_body) or
    /// [`keep_form_fields`](Self::keep_form_fields): if a browser navigates with a form of the same
    /// origin, the page of a refusal shows the challenge and sends the form again.
    pub fn keeps_form(&self) -> bool {
        self.inspected.resends_form()
    }

    /// The longest form that is worth keeping, in bytes.
    pub const MAX_KEPT_FORM_BYTES: usize = MAX_FORM_BYTES;

    /// The most fields of a form that is worth keeping.
    pub const MAX_KEPT_FORM_FIELDS: usize = MAX_FORM_FIELDS;

    /// Keeps the fields of a urlencoded body for the page of a refusal. A longer one than
    /// [`MAX_KEPT_FORM_BYTES`](Self::MAX_KEPT_FORM_BYTES) is not kept.
    pub fn keep_form_body(&mut self, body: &[u8]) {
        if self.keeps_form()
            && let Some(form) = KeptForm::read(self.guard.fields(), body)
        {
            self.inspected.keep_form(form);
        }
    }

    /// Keeps the fields of a urlencoded form for the page of a refusal. More than
    /// [`MAX_KEPT_FORM_FIELDS`](Self::MAX_KEPT_FORM_FIELDS) are not kept.
    pub fn keep_form_fields(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        if self.keeps_form()
            && let Some(form) = KeptForm::of(self.guard.fields(), pairs)
        {
            self.inspected.keep_form(form);
        }
    }

    /// Refuses a body whose `content_length` is above the limit. `None` if the request does not
    /// state a length.
    ///
    /// A client may send more than it states, so limit the reading as well.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for [`DenialReason::BodyTooLarge`].
    pub fn admit(&self, content_length: Option<u64>, limit: BodyLimit) -> Result<(), Rejection> {
        match content_length {
            Some(length) if length > limit.max_bytes as u64 => {
                Err(self.refuse(DenialReason::BodyTooLarge))
            }
            _ => Ok(()),
        }
    }

    /// Returns the account of the bytes of this body that are held in memory.
    ///
    /// A framework crate adds each chunk to it as it arrives. If one does not fit, it ends the body
    /// and refuses the request with [`DenialReason::TooManyUploads`].
    pub fn held_body(&self) -> Arc<HeldBody> {
        let held = || {
            let (budget, client) = (self.guard.body_budget(), self.inspected.client_ip());
            Arc::new(HeldBody::new(budget, client))
        };
        Arc::clone(self.held.get_or_init(held))
    }

    /// Returns whether the token in the header can be judged before the body is read: there is one,
    /// and no offer in the body can select another account for it.
    pub fn decides_by_header(&self) -> bool {
        self.inspected.has_tokens() && self.inspected.is_judge_known()
    }

    /// Decides by the token in the header before a large body is read, if there is one.
    ///
    /// A client without a good token then cannot make the server hold its upload. A token in the
    /// body is compared with that in the header all the same.
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the token in the header is refused.
    pub async fn judge_header(&mut self, earlier: Option<&Decision>) -> Result<(), Rejection> {
        if !self.decides_by_header() {
            return Ok(());
        }
        let pending = self.inspected.clone().add_tokens(SubmittedTokens::none());
        let decision = pending.decide_after(earlier).await;
        if let Err(denial) = decision.result() {
            return Err(decision.refuse(denial));
        }
        self.by_header = Some(Box::new(decision));
        Ok(())
    }

    /// Starts the framework's own extractor, with the guard's token fields in scope, see
    /// [`extracting`].
    ///
    /// `extract` is called at once, so it may borrow what the returned future does not keep.
    pub fn extracting<F>(&self, extract: impl FnOnce() -> F) -> FieldsScope<F> {
        extracting(Arc::clone(self.guard.fields()), extract)
    }

    /// Refuses a body that took too long: turns the error of the runtime's own time limit, such as
    /// that of `tokio::time::timeout(limit.timeout, parsing).await`, into a refusal.
    ///
    /// The guard knows no timer. A runtime's own limit also ends a body that is always ready.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for [`DenialReason::BodyTooSlow`] if `parsed` is an error.
    pub fn in_time<T, E>(&self, parsed: Result<T, E>) -> Result<T, Rejection> {
        parsed.map_err(|_| self.refuse(DenialReason::BodyTooSlow))
    }

    /// Refuses the request without a call of the check. The refusal is logged and passed to the
    /// observers.
    pub fn refuse(&self, denial: DenialReason) -> Rejection {
        self.inspected.refuse(denial)
    }

    /// Adds the tokens of the body and decides, after an `earlier` decision about this request if
    /// there was one, see [`Pending::decide_after`](crate::integration::Pending::decide_after).
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    pub async fn decide(self, tokens: SubmittedTokens, earlier: Option<&Decision>) -> Decision {
        self.inspected
            .add_tokens(tokens)
            .decide_after(self.by_header.as_deref().or(earlier))
            .await
    }

    /// Decides as [`decide`](Self::decide), and returns what the handler demands, for example a
    /// [`Human`](crate::Human).
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the decision does not meet the demand.
    pub async fn require<D: FromDecision>(
        self,
        tokens: SubmittedTokens,
        earlier: Option<&Decision>,
    ) -> Result<D, Rejection> {
        self.decide(tokens, earlier).await.require()
    }
}
