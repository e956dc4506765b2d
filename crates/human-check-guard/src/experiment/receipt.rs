use std::fmt;

use human_check_core::{Assignment, Receipt};

/// The receipt of a visitor of an experiment, with the arm of the visitor.
///
/// [`Human::receipt`](crate::Human::receipt) returns it. A handler passes it to
/// [`Guard::completed`](crate::Guard::completed) when the visitor has done what they came for, and may
/// store its text with the account, so that `human-check label` can report later what became of it.
/// Stored there, it is personal data.
#[derive(Clone, Debug)]
pub struct ExperimentReceipt {
    pub(crate) receipt: Receipt,
    pub(crate) assignment: Assignment,
}

impl ExperimentReceipt {
    /// Returns the receipt, 128 random bits.
    pub fn receipt(&self) -> Receipt {
        self.receipt
    }

    /// Returns the name of the visitor's arm.
    pub fn arm(&self) -> &str {
        &self.assignment.arm
    }
}

impl fmt::Display for ExperimentReceipt {
    /// Writes the receipt as 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.receipt.fmt(f)
    }
}
