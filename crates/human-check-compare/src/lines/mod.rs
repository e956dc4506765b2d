//! The lines of a file of records.

mod event;
mod experiment_header;
mod header;
mod line;
mod lost;
mod raw;
mod record;
mod record_error;
mod record_reader;

pub use experiment_header::{Arm, ExperimentHeader};
pub use header::Header;
pub use line::Line;
pub use lost::Lost;
pub use record::{Record, validate_id};
pub use record_error::RecordError;
pub use record_reader::RecordReader;
