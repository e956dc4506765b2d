//! Experiments: which arm a visitor is in, and what is recorded about it.

mod arm_cookie;
mod assigned;
mod head;
mod plan;
mod receipt;
mod share_limit;
mod switch;

pub use plan::{Experiment, ExperimentArm, RampStep};
pub use receipt::ExperimentReceipt;
pub use switch::ExperimentSwitch;

pub(crate) use assigned::{Assigned, Carried};
pub(crate) use head::ExperimentHead;
