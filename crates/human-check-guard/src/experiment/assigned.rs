use std::sync::Arc;

use human_check_core::{Assignment, Receipt};

use crate::selection::NameDigest;

use super::ExperimentReceipt;

/// What a valid offer says about the visitor: the receipt and the arm. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Carried(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    nonce: [u8; 16],
    arm: NameDigest,
    place: usize,
    assignment: Assignment,
}

impl Carried {
    pub(super) fn new(
        nonce: [u8; 16],
        arm: NameDigest,
        place: usize,
        assignment: Assignment,
    ) -> Self {
        Self(Arc::new(Parts {
            nonce,
            arm,
            place,
            assignment,
        }))
    }

    /// Returns the nonce of the offer, which is the receipt.
    pub(crate) fn nonce(&self) -> [u8; 16] {
        self.0.nonce
    }

    /// Returns what stands for the arm in offers.
    pub(crate) fn arm(&self) -> NameDigest {
        self.0.arm
    }

    /// Returns the place of the arm.
    pub(crate) fn place(&self) -> usize {
        self.0.place
    }

    /// Returns the receipt for the handler.
    pub(crate) fn receipt(&self) -> ExperimentReceipt {
        ExperimentReceipt {
            receipt: Receipt::from_bytes(self.0.nonce),
            arm: self.0.arm,
            assignment: self.0.assignment.clone(),
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
