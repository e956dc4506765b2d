//! x
pub mod answer;
pub mod explain;
pub mod vendor;
