use std::sync::Arc;

use human_check_core::{Assignment, Receipt};

use crate::selection::NameDigest;

use super::ExperimentReceipt;

/// What a valid offer says about the visitor: the receipt and the arm.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) nonce: [u8; 16],
    /// What stands for the arm in offers.
    pub(crate) arm: NameDigest,
    /// The place of the arm.
    pub(crate) place: usize,
    pub(crate) assignment: Assignment,
}

impl Carried {
    /// Returns the receipt for the handler.
    pub(crate) fn receipt(&self) -> ExperimentReceipt {
        ExperimentReceipt {
            receipt: Receipt::from_bytes(self.nonce),
            assignment: self.assignment.clone(),
        }
    }
}

/// The arm that a visitor is shown.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    pub(crate) carried: Carried,
    /// Whether it is a new showing, which is recorded.
    pub(crate) is_new: bool,
    /// The value of `Set-Cookie` that keeps the visitor in the arm.
    pub(crate) cookie: Option<Arc<str>>,
}
