//! The command human-check.

#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use human_check_altcha::Difficulty;
use human_check_cli::answer::Answer;
use human_check_cli::explain::{Case, KeyName, Rules, explain};
use human_check_cli::verify::{self, Verify};
use human_check_cli::{check_config, compare, demo, emulate, report, vendors};
use human_check_config::{EnterpriseKey, Vendor};
use human_check_core::{ConfigError, SystemClock};
use human_check_emulator::Emulator;
use human_check_http::{Exchange, HyperTransport};

/// Human verification behind one trait: try it, test against it, look into it.
#[derive(Parser)]
#[command(name = "human-check", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Ask several vendors about the tokens in a file, and keep what each said.
    ///
    /// The file holds one JSON object a line, such as
    /// {"id":"42","answers":{"turnstile":"TOKEN","hcaptcha":"TOKEN"},"action":"signup"}
    /// Each token is shown to its own vendor only, and is spent by it. The id is required, is written to the
    /// output, and must not be a token. A second run with the same output goes on where the first one stopped;
    /// what was under way when it was killed is asked again.
    ///
    /// Exit code: 0, 3 when lines could not be read or something is misconfigured, 130 when interrupted.
    Compare(CompareArgs),
    /// Serve a site with emulated vendors to try everything in a browser, until interrupted.
    ///
    /// Needs no account. npm, where it is installed, fetches the widget of the proof of work once; all others
    /// need no network beyond this machine. With --once it verifies good and bad tokens with four vendors
    /// instead, prints them side by side and ends.
    Demo {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8642", conflicts_with = "once")]
        addr: SocketAddr,
        /// A folder node_modules with the npm package altcha 3, for the widget of the proof of work.
        ///
        /// Otherwise npm fetches it once, where it is installed, and it is kept in the user's cache.
        #[arg(long, value_name = "FOLDER", conflicts_with = "once")]
        widget: Option<PathBuf>,
        /// How much work the proof of work asks for.
        #[arg(long, default_value = "light", conflicts_with = "once",
            value_parser = ["light", "standard", "sha", "scrypt", "argon2id"])]
        difficulty: String,
        /// How long one of its challenges can be answered, in seconds.
        #[arg(
            long,
            default_value_t = 300,
            value_name = "SECONDS",
            conflicts_with = "once"
        )]
        challenge_life: u64,
        /// Print a table and end.
        #[arg(long)]
        once: bool,
        /// One JSON object a line instead of a table.
        #[arg(long, requires = "once")]
        json: bool,
        /// Show all three reCAPTCHA products.
        #[arg(long, requires = "once")]
        all: bool,
    },
    /// Say what a configuration file amounts to, or what is wrong with it and where.
    ///
    /// Exits with 0 or 3. Secrets are read, since a missing one is a mistake, and never shown.
    CheckConfig {
        /// The file. Default: human-check.toml.
        file: Option<PathBuf>,
        /// Print the JSON schema of such files instead, for editors.
        #[arg(long, conflicts_with = "file")]
        schema: bool,
    },
    /// Serve the emulated vendors, those of the generic adapter included, until interrupted.
    Emulate {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8765")]
        addr: SocketAddr,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Verify one token with a vendor.
    ///
    /// The secret comes from `HUMAN_CHECK_SECRET` or a file, never from an argument.
    ///
    /// Exit code: 0 human, 1 not human, 2 could not tell, 3 misconfigured.
    Verify(VerifyArgs),
    /// Read vendors' replies offline and say what the library makes of them.
    ///
    /// With --jsonl, standard input holds one JSON object a line, such as
    /// {"name":"x","provider":"turnstile","status":200,"body":"{\"success\":true}","policy":{"action":"login"}}
    /// and each is answered by one line. Lines that cannot be read are reported by their number on standard
    /// error, the rest still runs, and the exit code is then 3. Otherwise it is 0, whatever the replies say.
    ///
    /// Further members: headers (object), enc ("b64" when body is base64), now (RFC 3339), site_key, token.
    /// Rules of policy: hostnames, apps, action, min_score (1 = human), max_risk (the vendor's scale), max_age_s,
    /// skew_s, cdata, uid, key (score, checkbox, challenge), allow_testing, allow_offline.
    Explain(ExplainArgs),
    /// Report what the records of `compare`, or of a shadow in production, say.
    ///
    /// Exit code: 0, 3 when lines could not be read, which are left out.
    Report(ReportArgs),
}

#[derive(Args)]
struct CompareArgs {
    /// The file of tokens.
    input: PathBuf,
    /// Where the records go. Appended to.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// A TOML file with a table [vendors.NAME] for each vendor.
    #[arg(long, value_name = "FILE", required_unless_present = "vendor")]
    vendors: Option<PathBuf>,
    /// A vendor of the emulator, instead of a file. May be repeated.
    #[arg(long, value_enum, requires = "emulator", conflicts_with = "vendors")]
    vendor: Vec<Vendor>,
    /// Ask the emulator at this address instead of the vendors, with its keys.
    #[arg(long, value_name = "URL")]
    emulator: Option<String>,
    /// How many lines are under way at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    concurrency: u8,
}

#[derive(Args)]
struct ReportArgs {
    /// Files of records.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Write a page with plots, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What the vendors charge, a TOML file of yours.
    #[arg(long, value_name = "FILE", requires = "monthly_volume")]
    prices: Option<PathBuf>,
    /// For how many checks a month.
    #[arg(long, value_name = "CHECKS", requires = "prices")]
    monthly_volume: Option<u64>,
}

/// The rules of a route.
#[derive(Args)]
struct RuleArgs {
    /// A host that may show the challenge. May be repeated.
    #[arg(long = "hostname", value_name = "HOST")]
    hostnames: Vec<String>,
    /// The action the challenge must be solved for.
    #[arg(long)]
    action: Option<String>,
    /// The value the challenge must be tied to (cdata, uid).
    #[arg(long)]
    binding: Option<String>,
    /// The lowest score, from 0 (machine) to 1 (human).
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f64>,
    /// The highest risk on the vendor's own scale (hCaptcha 0 to 1, CaptchaLa 0 to 100).
    #[arg(long, value_name = "RISK")]
    max_risk: Option<f64>,
    /// The highest age of the challenge in seconds.
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<f64>,
    /// How far clocks may differ, in seconds.
    #[arg(long, value_name = "SECONDS")]
    skew: Option<f64>,
    /// Which kind of key it is, for reCAPTCHA Enterprise.
    #[arg(long, value_enum)]
    key: Option<EnterpriseKey>,
    /// For tests: let answers to a vendor's testing keys pass.
    #[arg(long)]
    allow_testing_keys: bool,
}

impl RuleArgs {
    fn rules(self) -> Rules {
        Rules {
            hostnames: (!self.hostnames.is_empty()).then_some(self.hostnames),
            action: self.action,
            cdata: self.binding,
            min_score: self.min_score,
            max_risk: self.max_risk,
            max_age_s: self.max_age,
            skew_s: self.skew,
            key: self.key.map(KeyName::Enterprise),
            allow_testing: self.allow_testing_keys.then_some(true),
            ..Rules::default()
        }
    }
}

#[derive(Args)]
struct VerifyArgs {
    /// The vendor.
    #[arg(long, value_enum)]
    provider: Vendor,
    /// The token, or `-` to read it from standard input.
    #[arg(long)]
    token: String,
    /// Site key, or app key of CaptchaLa.
    #[arg(long, env = "HUMAN_CHECK_SITE_KEY")]
    site_key: Option<String>,
    /// A file that holds the secret.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A service account's key file, for reCAPTCHA Enterprise.
    #[arg(long, value_name = "FILE")]
    service_account: Option<PathBuf>,
    /// The Google Cloud project, for reCAPTCHA Enterprise.
    #[arg(long)]
    project: Option<String>,
    /// Where to ask instead of the vendor, such as the emulator.
    #[arg(long, env = "HUMAN_CHECK_BASE_URL", value_name = "URL")]
    base_url: Option<String>,
    /// The visitor's address.
    #[arg(long)]
    client_ip: Option<std::net::IpAddr>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: RuleArgs,
}

#[derive(Args)]
struct ExplainArgs {
    /// Read JSON objects from standard input, one a line.
    #[arg(long, conflicts_with_all = ["reply", "provider"])]
    jsonl: bool,
    /// The vendor whose reply it is.
    #[arg(long, value_enum, required_unless_present = "jsonl")]
    provider: Option<Vendor>,
    /// A file that holds the reply's body, or `-` for standard input.
    #[arg(required_unless_present = "jsonl")]
    reply: Option<PathBuf>,
    /// The reply's HTTP status.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// The time to judge ages at, RFC 3339. Default now.
    #[arg(long)]
    now: Option<String>,
    /// Our site key, where the reply names one.
    #[arg(long)]
    site_key: Option<String>,
    /// The token, where its kind matters.
    #[arg(long)]
    token: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: RuleArgs,
}

/// Also for arguments that cannot be read, since 2 means "could not tell".
const MISCONFIGURED: u8 = 3;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere is left to say that printing failed.
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
        // The reader of our output has gone, as `| head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(problem: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "human-check: {problem}");
    ExitCode::from(MISCONFIGURED)
}

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
            challenge_life,
            ..
        } => {
            let work = demo::Work {
                difficulty: Difficulty::named(&difficulty).unwrap_or_default(),
                life: Duration::from_secs(challenge_life),
            };
            let interrupted = tokio::spawn(tokio::signal::ctrl_c());
            // It listens for the signal from its first turn on, and has that before anybody is told where.
            tokio::task::yield_now().await;
            let stop = async {
                // One that cannot be waited for ends the demo as well.
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
        Command::Verify(args) => verify(args).await,
        Command::Explain(args) if args.jsonl => explain_lines().await,
        Command::Explain(args) => explain_one(args).await,
        Command::Report(args) => {
            let question = report::Question {
                files: args.files,
                json: args.json,
                html: args.html,
                prices: args.prices.zip(args.monthly_volume),
            };
            report::run(&question, &mut io::stdout().lock(), &mut io::stderr())
        }
    }
}

async fn compare(args: CompareArgs) -> io::Result<u8> {
    let vendors = HyperTransport::new().and_then(|transport| {
        let exchange = Exchange::new(transport);
        match (&args.vendors, &args.emulator) {
            (Some(file), emulator) => vendors::from_file(file, emulator.as_deref(), &exchange),
            (None, Some(emulator)) => vendors::emulated(&args.vendor, emulator, &exchange),
            (None, None) => Err(ConfigError::new(
                "vendors",
                "is missing",
                "name a file with --vendors",
            )),
        }
    });
    let run = match vendors {
        Ok(vendors) => compare::Run {
            input: args.input,
            output: args.output,
            vendors,
            concurrency: args.concurrency.into(),
        },
        Err(error) => return misconfigured(&error, false),
    };
    compare::run(run, &mut io::stderr()).await
}

async fn verify(args: VerifyArgs) -> io::Result<u8> {
    let token = if args.token == "-" {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        args.token
    };
    let question = Verify {
        vendor: args.provider,
        token,
        site_key: args.site_key,
        secret: std::env::var("HUMAN_CHECK_SECRET").ok(),
        secret_file: args.secret_file,
        service_account: args.service_account,
        project: args.project,
        base_url: args.base_url,
        client_ip: args.client_ip,
        rules: args.rules.rules(),
    };
    match verify::run(question).await {
        Ok(answer) => print(&answer, args.json),
        Err(error) => misconfigured(&error, args.json),
    }
}

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
    let no_threshold = provider == Vendor::RecaptchaV3 && args.rules.min_score.is_none();
    let mut case = Case::new(provider, args.status, &body);
    case.policy = Some(args.rules.rules());
    case.now = args.now;
    case.site_key = args.site_key;
    case.token = args.token;
    match explain(case).await {
        Ok(answer) => {
            print(&answer, args.json)?;
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

async fn explain_lines() -> io::Result<u8> {
    let mut code = 0;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = match Case::from_json(&line) {
            Ok(case) => explain(case).await,
            Err(problem) => Err(problem),
        };
        match answer {
            Ok(answer) => writeln!(io::stdout().lock(), "{}", answer.to_json())?,
            Err(problem) => {
                code = MISCONFIGURED;
                writeln!(io::stderr(), "line {number}: {problem}")?;
            }
        }
    }
    Ok(code)
}

fn print(answer: &Answer, json: bool) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", answer.to_json())?;
        return Ok(answer.exit_code());
    }
    writeln!(out, "outcome   {}", answer.outcome)?;
    if let Some(reason) = &answer.reason {
        writeln!(out, "reason    {reason}")?;
    }
    if !answer.codes.is_empty() {
        writeln!(out, "codes     {}", answer.codes.join(", "))?;
    }
    if let Some(score) = answer.score {
        writeln!(out, "score     {score} (1 = human)")?;
    }
    if let Some(hostname) = &answer.hostname {
        writeln!(out, "hostname  {hostname}")?;
    }
    if let Some(action) = &answer.action {
        writeln!(out, "action    {action}")?;
    }
    for cause in &answer.causes {
        writeln!(out, "because   {cause}")?;
    }
    if answer.alert {
        writeln!(out, "alert     the site's owner should look at this")?;
    }
    writeln!(out, "\n{}", answer.advice())?;
    Ok(answer.exit_code())
}

fn misconfigured(error: &ConfigError, json: bool) -> io::Result<u8> {
    if json {
        let answer = Answer::misconfigured(None, error);
        writeln!(io::stdout().lock(), "{}", answer.to_json())?;
    }
    writeln!(io::stderr(), "human-check: {error}")?;
    Ok(MISCONFIGURED)
}
