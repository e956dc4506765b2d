//! The pages, one file each.

pub(crate) mod experiment;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod outage;
pub(crate) mod side_by_side;
pub(crate) mod signup;
pub(crate) mod simulate;
