use std::fmt;

use serde::Serialize;

/// A limit of what the numbers of an experiment mean.
///
/// It prints as a sentence for the operator. docs/how-to/comparing-providers.md says what to do about
/// each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "warning")]
#[non_exhaustive]
pub enum ExperimentWarning {
    /// A clock went back while the files were written, or events are dated in the future.
    OddClock {
        /// How many times a clock went back by more than two minutes.
        went_back: u64,
        /// How many events are dated in the future.
        in_the_future: u64,
    },
    /// Visitors met another account than that of their arm, because it was down. They count for their
    /// arm.
    Fallbacks {
        /// The name of the arm.
        arm: String,
        /// How many visitors.
        visitors: u64,
        /// How many visitors the arm has.
        of: u64,
    },
    /// Events are missing, because they could not be written.
    Lost {
        /// How many.
        lost: u64,
        /// How many visitors were shown a challenge.
        shown: u64,
    },
    /// No labels tell how many of the completions were bots.
    NoLabels,
    /// Events belong to other experiments, and are left out.
    OtherExperiments {
        /// Their names.
        names: Vec<String>,
    },
    /// An arm could not reach a verdict for many visitors of a day.
    Outage {
        /// The name of the arm.
        arm: String,
        /// The day.
        day: String,
        /// How many verifications failed.
        failed: u64,
        /// How many verifications there were.
        of: u64,
    },
    /// Files that hold the same events as another file were left out.
    RepeatedFiles {
        /// Their names.
        files: Vec<String>,
    },
    /// The settings changed during the experiment.
    SettingsChanged {
        /// When, RFC 3339.
        at: Vec<String>,
    },
    /// The arm has more than twice the share of verifications that its weight gives it: a client may
    /// send one arm's tokens on purpose.
    TooManyVerifications {
        /// The name of the arm.
        arm: String,
        /// Its share of all verifications.
        share: f64,
        /// Its share of visitors.
        weight: f64,
    },
    /// Labels belong to no visitor of these files.
    UnknownLabels {
        /// How many.
        labels: u64,
    },
    /// Visitors were drawn with weights that no header names, and are left out.
    UnplannedVisits {
        /// How many visits.
        visits: u64,
    },
    /// The same visitors may count several times, because no cookie tells first visits apart.
    UnknownVisits {
        /// How many visits.
        visits: u64,
    },
    /// Lines could not be read, and are left out.
    Unreadable {
        /// How many.
        lines: u64,
        /// The files and lines of the first of them.
        first: Vec<String>,
    },
}

impl fmt::Display for ExperimentWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fallbacks { arm, visitors, of } => write!(
                f,
                "{visitors} of {of} visitors of {arm} met another account, because that of their arm was down; they count for {arm}"
            ),
            Self::Lost { lost, shown } => write!(
                f,
                "{lost} events are lost, beside {shown} visitors; if they are of one arm, the difference is wrong"
            ),
            Self::NoLabels => f.write_str(
                "no labels tell how many of the completions were bots: an arm that lets more bots pass completes more, too",
            ),
            Self::OddClock {
                went_back,
                in_the_future,
            } => write!(
                f,
                "a clock went back {went_back} times by more than two minutes, and {in_the_future} events are dated in the future; days may be wrong"
            ),
            Self::OtherExperiments { names } => write!(
                f,
                "the files also hold other experiments, which are left out: {}",
                names.join(", ")
            ),
            Self::Outage {
                arm,
                day,
                failed,
                of,
            } => write!(
                f,
                "{arm} could not reach a verdict in {failed} of {of} verifications on {day}"
            ),
            Self::RepeatedFiles { files } => write!(
                f,
                "left out, because another file holds the same events: {}",
                files.join(", ")
            ),
            Self::SettingsChanged { at } => write!(
                f,
                "the settings changed at {}; if they are those of an arm, begin an experiment with a new name",
                at.join(", ")
            ),
            Self::TooManyVerifications { arm, share, weight } => write!(
                f,
                "{arm} has {:.0} % of all verifications and {:.0} % of the visitors; a client may send its tokens on purpose",
                share * 100.0,
                weight * 100.0
            ),
            Self::UnknownLabels { labels } => write!(
                f,
                "{labels} labels belong to no visitor of these files; give the report all files of the experiment, and labels of receipts that were not replaced"
            ),
            Self::UnplannedVisits { visits } => write!(
                f,
                "{visits} visitors were drawn with weights that no header of the files names, and are left out"
            ),
            Self::UnknownVisits { visits } => write!(
                f,
                "no cookie told whether {visits} visits were first ones, so a visitor may count several times, and the intervals are too narrow"
            ),
            Self::Unreadable { lines, first } => write!(
                f,
                "{lines} lines could not be read and are left out: {}",
                first.join(", ")
            ),
        }
    }
}
