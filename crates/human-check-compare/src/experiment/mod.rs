//! The statistics of an experiment: how many of the visitors of each arm completed what they came for.

mod conclusion;
mod statistics;
mod tally;
mod visitors;
mod warning;

pub use conclusion::Conclusion;
pub use statistics::{
    ArmComparison, ArmStatistics, DayDifference, ExperimentStatistics, LabelDifference, Segment,
    SegmentArm, SplitCheck, StepDifference,
};
pub use tally::ExperimentTally;
pub use warning::ExperimentWarning;
