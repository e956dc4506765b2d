use std::fmt;

use human_check_core::{Assignment, Receipt};

use crate::selection::NameDigest;

/// The receipt of a visitor of an experiment, with the arm of the visitor.
///
/// [`Human::receipt`](crate::Human::receipt) returns it. A handler passes it to
/// [`Guard::completed`](crate::Guard::completed) when the visitor has done what they came for, and may
/// store its text with the account, so that `human-check label` can report later what became of it.
/// Stored there, it is personal data.
#[derive(Clone, Debug)]
pub struct ExperimentReceipt {
    pub(crate) receipt: Receipt,
    /// What stands for the arm in offers.
    pub(crate) arm: NameDigest,
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
    /// Writes the receipt as 32 hexadecimal digits, and behind a dot 16 for the arm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.receipt, hex(&self.arm))
    }
}

/// Returns what stands for an arm as hexadecimal digits.
pub(super) fn hex(digest: &NameDigest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
