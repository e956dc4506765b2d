use std::time::SystemTime;

use super::Account;

/// An account with the provider of the primary, whose tokens still count for some time.
#[derive(Clone, Debug)]
pub(crate) struct OldAccount {
    pub(crate) account: Account,
    /// When its tokens count no more. `None` if they always do.
    pub(crate) sunset: Option<SystemTime>,
}
