//! Asks several providers about the tokens in a file, and keeps what each said.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use human_check_compare::Record;
use human_check_core::{Comparison, HumanCheck, Observation, ObservedOutcome, Submission};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinSet;

use crate::compared::NamedCheck;
use crate::record_file::RecordFile;
use crate::token_lines::{TokenLine, TokenLines};

/// What to compare.
#[derive(Debug)]
pub(crate) struct Run {
    /// The file of tokens.
    pub(crate) input: PathBuf,
    /// Where records go. Those that are there are not asked about again.
    pub(crate) output: PathBuf,
    /// Whom to ask.
    pub(crate) providers: Vec<NamedCheck>,
    /// How many lines are under way at once.
    pub(crate) concurrency: usize,
}

/// The code of a run that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// The code of lines that cannot be read, and of providers that are set up wrongly.
const WRONG: u8 = 3;

#[derive(Default)]
struct Counts {
    asked: u64,
    skipped: u64,
    bad: u64,
}

/// Compares until the file ends, or until it is interrupted: lines that are under way are then
/// finished, and the next run goes on behind them.
///
/// # Errors
///
/// When a file cannot be read or written.
pub(crate) async fn run(run: Run, errors: &mut impl Write) -> io::Result<u8> {
    let name = run.input.display().to_string();
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}; check the path"));
    let input = File::open(&run.input).map_err(named)?;
    let progress = progress(input.metadata().map_err(named)?.len());
    let mut lines = TokenLines::new(BufReader::new(input));
    let mut output = RecordFile::open(&run.output)?;
    let providers = Arc::new(run.providers);
    let names: Vec<_> = providers.iter().map(|v| v.name.as_str()).collect();

    let mut counts = Counts::default();
    let mut seen = HashSet::new();
    let mut judged = HashSet::new();
    let mut under_way = JoinSet::new();
    let (mut ended, mut interrupted, mut wrong) = (false, false, None);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        // Until somebody has judged, one line is enough to find out that a provider is set up wrongly.
        let most = if judged.is_empty() {
            1
        } else {
            run.concurrency
        };
        while !ended && !interrupted && wrong.is_none() && under_way.len() < most {
            let Some((number, line)) = lines.read(&names).map_err(named)? else {
                ended = true;
                break;
            };
            progress.set_position(lines.bytes);
            let line = line.and_then(|line| {
                if seen.insert(line.id.clone()) {
                    Ok(line)
                } else {
                    Err("`id` is that of an earlier line; give each line one of its own")
                }
            });
            match line {
                Ok(line) if output.done.contains(&line.id) => counts.skipped += 1,
                Ok(line) => {
                    under_way.spawn(ask(Arc::clone(&providers), line));
                }
                Err(problem) => {
                    counts.bad += 1;
                    let told = progress.suspend(|| writeln!(errors, "{name}:{number}: {problem}"));
                    told?;
                }
            }
        }
        let done = tokio::select! {
            done = under_way.join_next() => done,
            _ = &mut interrupt, if !interrupted => {
                interrupted = true;
                continue;
            }
        };
        let Some(done) = done else {
            break;
        };
        let record = done.map_err(|_| io::Error::other("a check panicked; please report it"))?;
        // A provider that rejects our settings before it judged anybody rejects them for everybody:
        // going on would only spend the tokens of the others.
        let rejected = record.comparison.observations.iter().find(|observation| {
            matches!(&observation.outcome, ObservedOutcome::Failed(kind, _) if kind == "misconfigured")
                && !judged.contains(&observation.provider)
        });
        if let Some(observation) = rejected {
            let ObservedOutcome::Failed(_, reason) = &observation.outcome else {
                continue;
            };
            wrong.get_or_insert((observation.provider.clone(), reason.clone()));
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
        output.append(&record).map_err(|error| {
            let name = run.output.display();
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; make room and run it again"),
            )
        })?;
        counts.asked += 1;
    }
    progress.finish_and_clear();
    let Counts {
        asked,
        skipped,
        bad,
    } = counts;
    let output = run.output.display();
    writeln!(
        errors,
        "{asked} compared, {skipped} were done before, {bad} lines could not be read"
    )?;
    if let Some((provider, reason)) = wrong {
        writeln!(
            errors,
            "human-check: {provider} rejects its settings ({reason}); mend them and run it again: it goes on where it stopped"
        )?;
        return Ok(WRONG);
    }
    if interrupted {
        writeln!(errors, "Interrupted. Run it again to go on.")?;
        return Ok(INTERRUPTED);
    }
    writeln!(errors, "Next: human-check report {output}")?;
    Ok(if bad > 0 { WRONG } else { 0 })
}

/// Asks each provider about its own token, one after another: so many lines are so many requests.
async fn ask(providers: Arc<Vec<NamedCheck>>, line: TokenLine) -> Record {
    let at = SystemTime::now();
    let mut observations = Vec::with_capacity(providers.len());
    for named in providers.iter() {
        let provider = named.kind.provider();
        let token = line.answers.get(&named.name);
        let mut observation = match token.filter(|token| !token.is_empty()) {
            None => Observation::without_call(provider),
            Some(token) => {
                let mut submission = Submission::new().with_token(provider, token.as_str());
                // Of a provider that reports no action it would refuse everybody.
                if let Some(action) = line.action.clone().filter(|_| named.reports_action()) {
                    submission = submission.with_expected_action(action);
                }
                let start = Instant::now();
                let outcome = named.check.check(&submission).await;
                Observation::of(provider, &outcome, start.elapsed())
            }
        };
        // Two sites of one provider have two names.
        observation.provider.clone_from(&named.name);
        observations.push(observation);
    }
    let mut record = Record::from(Comparison { at, observations });
    record.id = Some(line.id);
    record
}

/// By bytes, since nobody has counted the lines. Only where somebody looks.
fn progress(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {percent} %, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}
