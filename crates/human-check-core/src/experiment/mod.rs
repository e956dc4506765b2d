//! What an experiment between accounts records about a visitor.

mod event;
mod receipt;

pub use event::{Assignment, EventSink, ExperimentEvent, FunnelStep};
pub use receipt::{Receipt, ReceiptError};
