//! `compare`: verifies the tokens in a file with several providers, and records the outcomes.
//!
//! Several lines are in flight at once, each in a task of its own, which calls the providers one
//! after another. The id of a line is written before its calls, and its record after all of them, so
//! a run that was killed can be continued: the next run skips the lines that have a record, and records
//! those that have only an id as interrupted, because their tokens may be used up. An error of a
//! provider is an outcome, too, and its line is not verified again, for the same reason.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use human_check_compare::{Line, Record};
use human_check_core::{Comparison, HumanCheck, Observation, ObservedOutcome, Submission};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinSet;

use crate::compared::NamedCheck;
use crate::record_file::RecordFile;
use crate::token_lines::{TokenLine, TokenLines};

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// The file of tokens.
    pub(crate) input: PathBuf,
    /// The file of records. Lines that have a record in it are skipped.
    pub(crate) output: PathBuf,
    /// The providers to call.
    pub(crate) providers: Vec<NamedCheck>,
    /// How many lines are in flight at once.
    pub(crate) concurrency: usize,
}

/// The exit code of an interrupted run, as shells have it.
const INTERRUPTED: u8 = 130;

/// The exit code for lines that cannot be read, and for providers that reject their settings.
const MISCONFIGURED: u8 = 3;

/// The numbers of lines by what became of them.
#[derive(Default)]
struct Counts {
    compared: u64,
    skipped: u64,
    bad: u64,
}

/// Compares until the file ends, a provider rejects its settings, or the process is interrupted.
/// Lines that are in flight then are finished, and the next run continues behind them. Returns the
/// exit code.
///
/// # Errors
///
/// [`io::Error`] when a file cannot be read or written.
pub(crate) async fn run(run: Run, errors: &mut impl Write) -> io::Result<u8> {
    let name = run.input.display().to_string();
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}; check the path"));
    let input = File::open(&run.input).map_err(named)?;
    let progress = progress(input.metadata().map_err(named)?.len());
    let mut lines = TokenLines::new(BufReader::new(input));
    let mut output = RecordFile::open(&run.output)?;
    let providers = Arc::new(run.providers);
    let names: Vec<_> = providers.iter().map(|check| check.name.as_str()).collect();

    let unwritten = |error: io::Error| {
        let name = run.output.display();
        io::Error::new(
            error.kind(),
            format!("{name}: {error}; free space on the disk and run the command again"),
        )
    };
    let cut_off = std::mem::take(&mut output.interrupted);
    for id in &cut_off {
        let record = interrupted_record(&names, id);
        output.append(&record).map_err(unwritten)?;
        output.done.insert(id.clone());
    }
    let mut counts = Counts::default();
    let mut seen = HashSet::new();
    let mut judged = HashSet::new();
    let mut in_flight = JoinSet::new();
    let (mut ended, mut interrupted, mut rejected) = (false, false, None);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        // Until a provider has returned a verdict, one line at a time is enough to notice wrong
        // settings.
        let max = if judged.is_empty() {
            1
        } else {
            run.concurrency
        };
        while !ended && !interrupted && rejected.is_none() && in_flight.len() < max {
            let Some((number, line)) = lines.read(&names).map_err(named)? else {
                ended = true;
                break;
            };
            progress.set_position(lines.bytes);
            let line = line.and_then(|line| {
                if seen.insert(line.id.clone()) {
                    Ok(line)
                } else {
                    Err("`id` is that of an earlier line; write a different id in each line")
                }
            });
            match line {
                Ok(line) if output.done.contains(&line.id) => counts.skipped += 1,
                Ok(line) => {
                    output
                        .append(&Line::Begun(line.id.clone()))
                        .map_err(unwritten)?;
                    in_flight.spawn(verify_line(Arc::clone(&providers), line));
                }
                Err(problem) => {
                    counts.bad += 1;
                    progress.suspend(|| writeln!(errors, "{name}:{number}: {problem}"))?;
                }
            }
        }
        let done = tokio::select! {
            done = in_flight.join_next() => done,
            _ = &mut interrupt, if !interrupted => {
                interrupted = true;
                continue;
            }
        };
        let Some(done) = done else {
            break;
        };
        let record = done.map_err(|_| io::Error::other("a check panicked; please report it"))?;
        // A provider that rejects its settings before its first verdict would reject them for every
        // line. To continue would only use up the tokens of the other providers.
        let rejecting = record.comparison.observations.iter().find(|observation| {
            matches!(&observation.outcome, ObservedOutcome::Failed(kind, _) if kind == "misconfigured")
                && !judged.contains(&observation.provider)
        });
        if let Some(observation) = rejecting {
            let ObservedOutcome::Failed(_, reason) = &observation.outcome else {
                continue;
            };
            rejected.get_or_insert((observation.provider.clone(), reason.clone()));
            continue;
        }
        for observation in &record.comparison.observations {
            if matches!(
                observation.outcome,
                ObservedOutcome::Human | ObservedOutcome::NotHuman(_)
            ) {
                judged.insert(observation.provider.clone());
            }
        }
        output
            .append(&Line::Comparison(record))
            .map_err(unwritten)?;
        counts.compared += 1;
    }
    progress.finish_and_clear();
    let Counts {
        compared,
        skipped,
        bad,
    } = counts;
    let output = run.output.display();
    writeln!(
        errors,
        "{compared} compared, {skipped} were done before, {bad} lines could not be read"
    )?;
    if !cut_off.is_empty() {
        writeln!(
            errors,
            "{} lines of an earlier run were cut off and are recorded as interrupted: their tokens may be used up",
            cut_off.len()
        )?;
    }
    if let Some((provider, reason)) = rejected {
        writeln!(
            errors,
            "human-check: {provider} rejects its settings ({reason}); correct them and run the command again, which continues where it stopped"
        )?;
        return Ok(MISCONFIGURED);
    }
    if interrupted {
        writeln!(errors, "Interrupted. Run it again to continue.")?;
        return Ok(INTERRUPTED);
    }
    writeln!(errors, "Next: human-check report {output}")?;
    Ok(if bad > 0 { MISCONFIGURED } else { 0 })
}

/// Returns the record of a line whose run was killed while its providers were called.
fn interrupted_record(providers: &[&str], id: &str) -> Line {
    let failed = || ObservedOutcome::Failed("interrupted".to_owned(), "interrupted".to_owned());
    let observations = providers.iter().map(|provider| Observation {
        provider: (*provider).to_owned(),
        outcome: failed(),
        score: None,
        latency: None,
    });
    Line::Comparison(Record::from(Comparison {
        at: SystemTime::now(),
        route: None,
        id: Some(id.into()),
        observations: observations.collect(),
    }))
}

/// Verifies each token of a line with its own provider. The providers are called one after another,
/// so the number of requests in flight is that of the lines.
async fn verify_line(providers: Arc<Vec<NamedCheck>>, line: TokenLine) -> Record {
    let at = SystemTime::now();
    let mut observations = Vec::with_capacity(providers.len());
    for named in providers.iter() {
        let provider = named.kind.provider();
        let token = line.tokens.get(&named.name);
        let mut observation = match token.filter(|token| !token.is_empty()) {
            None => Observation::without_call(provider),
            Some(token) => {
                let mut submission = Submission::new().with_token(provider, token.as_str());
                // With a provider that reports no action, an expected action would refuse every
                // visitor.
                if let Some(action) = line.action.clone().filter(|_| named.reports_action()) {
                    submission = submission.with_expected_action(action);
                }
                let start = Instant::now();
                let outcome = named.check.check(&submission).await;
                Observation::of(provider, &outcome, start.elapsed())
            }
        };
        // Two accounts with one provider have two names.
        observation.provider.clone_from(&named.name);
        observations.push(observation);
    }
    Record::from(Comparison {
        at,
        route: None,
        id: Some(line.id.into()),
        observations,
    })
}

/// Returns a progress bar, hidden unless standard error is a terminal. It counts bytes, because the
/// number of lines is not known.
fn progress(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} %, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}
