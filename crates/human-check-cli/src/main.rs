//! The command human-check: reads the arguments, runs a subcommand, and returns its exit code.
//!
//! | subcommand | code |
//! | --- | --- |
//! | `check-config` | `check_config.rs` |
//! | `compare` | `compare.rs`, with `compared.rs`, `token_lines.rs` and `record_file.rs` |
//! | `demo` | the crate `human-check-demo` |
//! | `doctor` | `doctor.rs`; the crate `human-check-config` examines |
//! | `emulate` | the crate `human-check-emulator`; `emulate.rs` prints how to use it |
//! | `explain` | the crate `human-check-explain` |
//! | `report` | the module `report` of the crate `human-check-compare`; `report.rs` reads the files |
//! | `verify` | `verify.rs` |
//!
//! Results go to standard output, and errors and warnings to standard error. The README lists the
//! options and the exit codes.

mod args;
mod check_config;
mod compare;
mod compared;
mod doctor;
mod emulate;
mod experiment;
mod label;
mod plan;
mod record_file;
mod record_files;
mod report;
mod setting;
mod token_lines;
mod verify;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;
use human_check_altcha::Difficulty;
use human_check_config::ProviderKind;
use human_check_core::{ConfigError, SystemClock};
use human_check_demo as demo;
use human_check_emulator::Emulator;
use human_check_explain::{Case, Explanation, explain};
use human_check_http::{HyperTransport, ProviderClient};

use crate::args::{Cli, Command, CompareArgs, ExplainArgs, VerifyArgs};
use crate::verify::VerifyOptions;

/// The exit code for a wrong configuration. Also for wrong arguments, because 2 means "no verdict".
const MISCONFIGURED: u8 = 3;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If printing fails, there is no other place to report that.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(MISCONFIGURED),
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.and_then(|runtime| runtime.block_on(run(cli.command)));
    match done {
        Ok(code) => ExitCode::from(code),
        // The reader of the output has ended, as with `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints a problem and returns the exit code.
fn fail(problem: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "human-check: {problem}");
    ExitCode::from(MISCONFIGURED)
}

/// Runs a subcommand and returns its exit code.
async fn run(command: Command) -> io::Result<u8> {
    match command {
        Command::Compare(args) => compare(args).await,
        Command::Demo {
            once: true,
            json,
            all,
            ..
        } => demo::once::run(&mut io::stdout().lock(), json, all).await,
        Command::Demo {
            addr,
            widget,
            difficulty,
            challenge_ttl,
            ..
        } => {
            let work = demo::Work {
                difficulty: Difficulty::from_name(&difficulty).unwrap_or_default(),
                ttl: Duration::from_secs(challenge_ttl),
            };
            let interrupted = tokio::spawn(tokio::signal::ctrl_c());
            // The task listens for the signal from its first poll on, which must be before the
            // address is printed: a test may then send the signal at once.
            tokio::task::yield_now().await;
            let stop = async {
                // A signal that cannot be waited for ends the demo, too.
                let _ = interrupted.await;
            };
            let (mut out, mut errors) = (io::stdout().lock(), io::stderr());
            demo::run(&mut out, &mut errors, addr, widget.as_deref(), work, stop).await
        }
        Command::Emulate { addr, json } => {
            let emulator = Emulator::start_with(addr, SystemClock)
                .await
                .map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("cannot listen on {addr} ({error}); choose another with --addr"),
                    )
                })?;
            emulate::introduce(&mut io::stdout().lock(), &emulator, json)?;
            tokio::signal::ctrl_c().await?;
            Ok(0)
        }
        Command::CheckConfig { schema: true, .. } => {
            writeln!(io::stdout().lock(), "{:#}", human_check_config::schema())?;
            Ok(0)
        }
        Command::CheckConfig { file, .. } => {
            let file = file.unwrap_or_else(|| "human-check.toml".into());
            match check_config::run(&mut io::stdout().lock(), &file).await? {
                Ok(()) => Ok(0),
                Err(error) => {
                    writeln!(io::stderr().lock(), "human-check: {error}")?;
                    Ok(MISCONFIGURED)
                }
            }
        }
        Command::Doctor { file, json, prices } => {
            let file = file.unwrap_or_else(|| "human-check.toml".into());
            doctor::run(&mut io::stdout().lock(), &file, json, prices.as_deref()).await
        }
        Command::Plan(args) => plan::run(&args, &mut io::stdout().lock()),
        Command::Label { input, output } => label::run(&input, &output, &mut io::stderr()),
        Command::Experiment(command) => {
            experiment::run(command, &mut io::stdout().lock(), &mut io::stderr()).await
        }
        Command::Verify(args) => verify(args).await,
        Command::Explain(args) if args.jsonl => explain_lines().await,
        Command::Explain(args) => explain_one(args).await,
        Command::Report(args) => {
            let options = report::ReportOptions {
                files: args.files,
                json: args.json,
                html: args.html,
                state: args.state,
                prices: args.prices.zip(args.monthly_volume),
                label_window: Duration::from_secs(86_400 * u64::from(args.label_window)),
            };
            report::run(&options, &mut io::stdout().lock(), &mut io::stderr())
        }
    }
}

/// Runs `compare`.
async fn compare(args: CompareArgs) -> io::Result<u8> {
    let providers = HyperTransport::new().and_then(|transport| {
        let client = ProviderClient::new(transport);
        match (&args.providers, &args.emulator) {
            (Some(file), emulator) => compared::from_file(file, emulator.as_deref(), &client),
            (None, Some(emulator)) => compared::emulated(&args.provider, emulator, &client),
            (None, None) => Err(ConfigError::new(
                "providers",
                "is missing",
                "name a file with --providers",
            )),
        }
    });
    let run = match providers {
        Ok(providers) => compare::Run {
            input: args.input,
            output: args.output,
            providers,
            concurrency: args.concurrency.into(),
        },
        Err(error) => return misconfigured(&error, false),
    };
    compare::run(run, &mut io::stderr()).await
}

/// Runs `verify`.
async fn verify(args: VerifyArgs) -> io::Result<u8> {
    let token = if args.token == "-" {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        args.token
    };
    let rules = args.rules.rules();
    if let Some(file) = &args.config {
        let account = args.account.as_deref();
        return match verify::run_account(file, account, token, args.client_ip, &rules).await {
            Ok(explanation) => print(&explanation, args.json),
            Err(error) => misconfigured(&error, args.json),
        };
    }
    // clap requires one of the two.
    let Some(kind) = args.provider else {
        return Ok(MISCONFIGURED);
    };
    let options = VerifyOptions {
        kind,
        token,
        site_key: args.site_key,
        secret: std::env::var("HUMAN_CHECK_SECRET").ok(),
        secret_file: args.secret_file,
        service_account: args.service_account,
        project: args.project,
        base_url: args.base_url,
        client_ip: args.client_ip,
        rules,
    };
    match verify::run(options).await {
        Ok(explanation) => print(&explanation, args.json),
        Err(error) => misconfigured(&error, args.json),
    }
}

/// Runs `explain` for one reply.
async fn explain_one(args: ExplainArgs) -> io::Result<u8> {
    let (Some(provider), Some(path)) = (args.provider, args.reply) else {
        return Ok(MISCONFIGURED);
    };
    let body = if path.as_os_str() == "-" {
        let mut body = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut body)?;
        body
    } else {
        std::fs::read(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?
    };
    let no_threshold = provider == ProviderKind::RecaptchaV3 && args.rules.min_score.is_none();
    let mut case = Case::new(provider, args.status, &body);
    case.policy = Some(args.rules.rules());
    case.now = args.now;
    case.site_key = args.site_key;
    case.token = args.token;
    match explain(case).await {
        Ok(explanation) => {
            print(&explanation, args.json)?;
            if no_threshold && !args.json {
                writeln!(
                    io::stdout().lock(),
                    "Without --min-score every score passes."
                )?;
            }
            Ok(0)
        }
        Err(problem) => Err(io::Error::new(io::ErrorKind::InvalidInput, problem)),
    }
}

/// Runs `explain --jsonl`.
async fn explain_lines() -> io::Result<u8> {
    let mut code = 0;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if number == 1 {
            token_lines::skip_byte_order_mark(&mut line);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let explained = match Case::from_json(&line) {
            Ok(case) => explain(case).await,
            Err(problem) => Err(problem),
        };
        match explained {
            Ok(explanation) => writeln!(io::stdout().lock(), "{}", explanation.to_json())?,
            Err(problem) => {
                code = MISCONFIGURED;
                writeln!(io::stderr(), "line {number}: {problem}")?;
            }
        }
    }
    Ok(code)
}

/// Prints an explanation as text or as JSON, and returns the exit code of its outcome.
fn print(explanation: &Explanation, json: bool) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", explanation.to_json())?;
        return Ok(explanation.exit_code());
    }
    writeln!(out, "outcome   {}", explanation.outcome)?;
    if let Some(reason) = &explanation.reason {
        writeln!(out, "reason    {reason}")?;
    }
    if !explanation.codes.is_empty() {
        writeln!(out, "codes     {}", explanation.codes.join(", "))?;
    }
    if let Some(score) = explanation.score {
        writeln!(out, "score     {score} (1 = human)")?;
    }
    if let Some(hostname) = &explanation.hostname {
        writeln!(out, "hostname  {hostname}")?;
    }
    if let Some(action) = &explanation.action {
        writeln!(out, "action    {action}")?;
    }
    for cause in &explanation.causes {
        writeln!(out, "because   {cause}")?;
    }
    if explanation.alert {
        writeln!(out, "alert     requires the operator's attention")?;
    }
    writeln!(out, "\n{}", explanation.advice())?;
    Ok(explanation.exit_code())
}

/// Prints the error of a wrong setting, with `json` also as JSON, and returns the exit code.
fn misconfigured(error: &ConfigError, json: bool) -> io::Result<u8> {
    if json {
        let explanation = Explanation::misconfigured(None, error);
        writeln!(io::stdout().lock(), "{}", explanation.to_json())?;
    }
    writeln!(io::stderr(), "human-check: {error}")?;
    Ok(MISCONFIGURED)
}
