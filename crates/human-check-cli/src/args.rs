//! The arguments of the command line.
//!
//! The comments of the fields are the help texts: the first paragraph for `-h`, all of them for
//! `--help`.

#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use human_check_config::{EnterpriseKeyKind, ProviderKind};
use human_check_explain::{KeyName, Rules};

/// Try the library human-check, test against emulated providers, and explain replies of providers.
#[derive(Parser)]
#[command(name = "human-check", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Verify the tokens in a file with several providers, and record the outcomes.
    ///
    /// The file holds one JSON object a line, such as
    /// {"id":"42","tokens":{"turnstile":"TOKEN","hcaptcha":"TOKEN"},"action":"signup"}
    /// A token is sent to its own provider only, and is used up by it. The id is required, is
    /// written to the output, and must not be a token. A second run with the same output continues
    /// behind the records of the first. Lines that were in flight when a run was killed are
    /// verified again.
    ///
    /// Exit code: 0, 3 when lines could not be read or a setting is wrong, 130 when interrupted.
    Compare(CompareArgs),
    /// Serve a site to try every provider in a browser, until interrupted.
    ///
    /// The providers are emulated, so it needs no account. npm, if it is installed, fetches
    /// ALTCHA's widget once; the other widgets need no network beyond this machine. With --once it
    /// serves no site: it verifies good and bad tokens with each provider, prints a table and ends.
    Demo {
        /// The address to listen on.
        #[arg(long, default_value = "127.0.0.1:8642", conflicts_with = "once", value_parser = socket_address)]
        addr: SocketAddr,
        /// A folder node_modules with the npm package altcha 3, for ALTCHA's widget.
        ///
        /// Without it, npm fetches the package once, if npm is installed, into the user's cache.
        #[arg(long, value_name = "FOLDER", conflicts_with = "once")]
        widget: Option<PathBuf>,
        /// How much work a challenge of ALTCHA takes.
        #[arg(long, default_value = "light", conflicts_with = "once",
            value_parser = ["light", "standard", "sha", "scrypt", "argon2id"])]
        difficulty: String,
        /// How long a challenge of ALTCHA can be solved, in seconds.
        #[arg(
            long,
            default_value_t = 300,
            value_name = "SECONDS",
            conflicts_with = "once"
        )]
        challenge_ttl: u64,
        /// Verify good and bad tokens with each provider, print a table and end.
        #[arg(long)]
        once: bool,
        /// Print one JSON object a line instead of a table.
        #[arg(long, requires = "once")]
        json: bool,
        /// Show all three reCAPTCHA products.
        #[arg(long, requires = "once")]
        all: bool,
    },
    /// Check a configuration file and print a summary, or the first error with its place.
    ///
    /// It builds everything that the file describes and calls no provider. It reads the secrets,
    /// because a missing secret is an error, and shows none of them. Servers of stores are
    /// inspected.
    ///
    /// Exit code: 0, or 3 when the file has an error.
    CheckConfig {
        /// The configuration file. Default: human-check.toml.
        file: Option<PathBuf>,
        /// Print the JSON schema of configuration files instead, for editors.
        #[arg(long, conflicts_with = "file")]
        schema: bool,
    },
    /// Examine what a configuration depends on, from this machine.
    ///
    /// Of each account with a role: the name server, the connection, the secret, the clock, and the
    /// script of its widget. Of each store: the server and one claim. Of the files of records: whether
    /// they can be written. Each provider is called once, with a token that it has not issued, and may
    /// bill the call.
    ///
    /// Exit code: 0, 1 with warnings, 3 when something does not work or the file has an error.
    Doctor {
        /// The configuration file. Default: human-check.toml.
        file: Option<PathBuf>,
        /// Print one JSON object instead of a table.
        #[arg(long)]
        json: bool,
        /// A TOML file with the prices of the providers, for what the calls of the month cost of
        /// each account with `monthly_quota`.
        ///
        /// No prices are built in. The README of human-check-compare describes the file.
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
    },
    /// Serve the emulated providers, until interrupted.
    ///
    /// It prints the endpoint and the keys of each provider, and how to mint tokens and cause
    /// faults.
    Emulate {
        /// The address to listen on.
        #[arg(long, default_value = "127.0.0.1:8765", value_parser = socket_address)]
        addr: SocketAddr,
        /// Print base URL and keys as one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Verify one token with a provider.
    ///
    /// The secret comes from the variable HUMAN_CHECK_SECRET or from a file, never from an
    /// argument. Verifying uses the token up, except with altcha, whose tokens are inspected and
    /// not claimed.
    ///
    /// Exit code: 0 human, 1 not human, 2 no verdict, 3 misconfigured or a wrong argument.
    Verify(VerifyArgs),
    /// Explain a provider's reply: outcome, reason, and what to do.
    ///
    /// It calls no provider. With --jsonl, standard input holds one JSON object a line, such as
    /// {"name":"x","provider":"turnstile","status":200,"body":"{\"success\":true}","policy":{"action":"login"}}
    /// and the output has one line for each. Lines that cannot be read are reported with their
    /// number on standard error, and the others are explained.
    ///
    /// Further members: headers (object), enc ("b64" when body is base64), now (RFC 3339),
    /// site_key, token. Rules of policy: hostnames, apps, action, min_score (1 = human), max_risk
    /// (the provider's scale), max_age_s, skew_s, cdata, uid, key (score, checkbox, challenge),
    /// allow_testing, allow_offline.
    ///
    /// Exit code: 0, whatever the replies mean, or 3 when a reply or a line could not be read.
    Explain(ExplainArgs),
    /// Compute how many visitors and days an experiment needs.
    ///
    /// Exit code: 0, or 3 when a number is wrong.
    Plan(PlanArgs),
    /// Summarise the records of compare, of a shadow in production, or of an experiment.
    ///
    /// Exit code: 0, or 3 when lines could not be read or a file was given twice; these are left out.
    Report(ReportArgs),
    /// Watch an experiment, or show where it stands.
    #[command(subcommand)]
    Experiment(ExperimentCommand),
    /// Turn a list of what became of visitors into events of an experiment.
    ///
    /// The file has one line for each label: the receipt that the application stored, the label, and
    /// when it was known, such as
    /// 000102030405060708090a0b0c0d0e0f,chargeback,2026-12-01T00:00:00Z
    ///
    /// Exit code: 0, or 3 when lines could not be read, which are left out.
    Label {
        /// The list, or - for standard input.
        input: PathBuf,
        /// The file of events, which is appended to. Give it to report beside the others.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

/// The arguments of `compare`.
#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The file of tokens, one JSON object a line.
    pub(crate) input: PathBuf,
    /// The file of records, which is appended to.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// A TOML file with a table [providers.NAME] for each provider. Other tables are ignored.
    ///
    /// The keys are those of a deployment, so the file of a deployment works, too. NAME is the name
    /// that the file of tokens uses. The kind altcha cannot be compared in this way.
    #[arg(long, value_name = "FILE", required_unless_present = "provider")]
    pub(crate) providers: Option<PathBuf>,
    /// A provider of the emulator, instead of a file. Can be repeated.
    #[arg(long, value_parser = kind(), requires = "emulator", conflicts_with = "providers")]
    pub(crate) provider: Vec<ProviderKind>,
    /// The address of an emulator to call instead of the providers, with the emulator's keys.
    ///
    /// human-check emulate prints it.
    #[arg(long, value_name = "URL")]
    pub(crate) emulator: Option<String>,
    /// How many lines are in flight at once.
    ///
    /// Until a provider has returned a verdict, only one line is, so that wrong settings use up few
    /// tokens.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) concurrency: u8,
}

/// The arguments of `plan`.
#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The share of visitors who complete now, of those who are shown a challenge, such as 0.93.
    #[arg(long, value_name = "SHARE")]
    pub(crate) baseline: f64,
    /// The smallest difference that matters, as a share: 0.01 is one percentage point.
    #[arg(long, value_name = "SHARE")]
    pub(crate) margin: f64,
    /// How many visitors a day are shown a challenge.
    #[arg(long, value_name = "VISITORS")]
    pub(crate) per_day: u64,
    /// The weight of the new arm, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub(crate) weight: f64,
    /// How probable it should be that the experiment finds the difference.
    #[arg(long, value_name = "SHARE", default_value_t = 0.8)]
    pub(crate) power: f64,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The commands of `experiment`.
#[derive(Subcommand)]
pub(crate) enum ExperimentCommand {
    /// Show where an experiment stands, in a few lines.
    ///
    /// Exit code: 0, 1 when the experiment has stopped, 3 when a file cannot be read.
    Status {
        /// Files of events.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The state file of the experiment.
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Read the files again and again, and stop the experiment when an arm completes less than the
    /// first one by more than the margin of its plan.
    ///
    /// For servers without a common store. A server notices the stop by its state file.
    ///
    /// Exit code: 1 when the experiment has stopped, 3 when a file cannot be read, 130 when
    /// interrupted.
    Watch {
        /// Files of events.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The state file of the experiment, which the stop is written to.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// The time between two looks, in seconds.
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        every: u64,
        /// Look once and end, with 0 when nothing stopped.
        #[arg(long)]
        once: bool,
    },
    /// Replace all receipts in files by new random ones, so that no account leads to its events.
    ///
    /// Do this when no more labels come. Give all files of the experiment at once: equal receipts stay
    /// equal. No process may write them.
    Forget {
        /// Files of events.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// The arguments of `report`.
#[derive(Args)]
pub(crate) struct ReportArgs {
    /// Files of records, either of comparisons or of an experiment.
    ///
    /// Several files count as one, such as those that were rotated, and those of several servers.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write an HTML page with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The state file of an experiment, which says whether it has stopped.
    ///
    /// Default: FILE.state beside the files of events.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// How many days after a visit a label of an experiment counts.
    ///
    /// Only visitors older than that are compared by their labels.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub(crate) label_window: u16,
    /// A TOML file with the prices of the providers, for a table of costs.
    ///
    /// No prices are built in. The README of human-check-compare describes the file.
    #[arg(long, value_name = "FILE", requires = "monthly_volume")]
    pub(crate) prices: Option<PathBuf>,
    /// The number of checks a month, for a table of costs.
    #[arg(long, value_name = "CHECKS", requires = "prices")]
    pub(crate) monthly_volume: Option<u64>,
}

/// The rules that a verdict must satisfy.
#[derive(Args)]
pub(crate) struct RuleArgs {
    /// A host that may show the challenge. Can be repeated.
    #[arg(long = "hostname", value_name = "HOST")]
    pub(crate) hostnames: Vec<String>,
    /// The action that the challenge must be solved for.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// The value that the challenge must be bound to (cdata, uid).
    #[arg(long)]
    pub(crate) binding: Option<String>,
    /// The lowest score, from 0 (machine) to 1 (human).
    #[arg(long, value_name = "SCORE")]
    pub(crate) min_score: Option<f64>,
    /// The highest risk on the provider's own scale (hCaptcha 0 to 1, CaptchaLa 0 to 100).
    #[arg(long, value_name = "RISK")]
    pub(crate) max_risk: Option<f64>,
    /// The highest age of a solved challenge, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_age: Option<f64>,
    /// How far clocks may differ, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) skew: Option<f64>,
    /// The kind of a reCAPTCHA Enterprise key.
    ///
    /// A score key needs --min-score. The other kinds have no threshold.
    #[arg(long, value_parser = key_kind())]
    pub(crate) key: Option<EnterpriseKeyKind>,
    /// For tests: accept replies to the provider's published test keys.
    ///
    /// With such keys every visitor passes, so they are refused without this option.
    #[arg(long)]
    pub(crate) allow_test_keys: bool,
}

impl RuleArgs {
    /// Returns the rules in the form of `explain --jsonl`.
    pub(crate) fn rules(self) -> Rules {
        Rules {
            hostnames: (!self.hostnames.is_empty()).then_some(self.hostnames),
            action: self.action,
            cdata: self.binding,
            min_score: self.min_score,
            max_risk: self.max_risk,
            max_age_s: self.max_age,
            skew_s: self.skew,
            key: self.key.map(KeyName::Enterprise),
            allow_testing: self.allow_test_keys.then_some(true),
            ..Rules::default()
        }
    }
}

/// The arguments of `verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The kind of provider.
    #[arg(long, value_parser = kind(), required_unless_present = "config")]
    pub(crate) provider: Option<ProviderKind>,
    /// A configuration file whose account is used, with its secret and its rules.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["provider", "secret_file", "service_account", "project"]
    )]
    pub(crate) config: Option<PathBuf>,
    /// The name of the account in the configuration file, if it has several.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(crate) account: Option<String>,
    /// The token, or - to read one line from standard input.
    #[arg(long)]
    pub(crate) token: String,
    /// The site key, or the app key of CaptchaLa.
    #[arg(long, env = "HUMAN_CHECK_SITE_KEY")]
    pub(crate) site_key: Option<String>,
    /// A file with the secret. Takes precedence over HUMAN_CHECK_SECRET.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The key file of a service account, for reCAPTCHA Enterprise.
    #[arg(long, value_name = "FILE")]
    pub(crate) service_account: Option<PathBuf>,
    /// The Google Cloud project, for reCAPTCHA Enterprise.
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// The base URL to call instead of the provider, such as that of the emulator.
    ///
    /// Scheme, host and port; plain http for loopback only.
    #[arg(long, env = "HUMAN_CHECK_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// The visitor's IP address, which is sent to providers that accept one.
    #[arg(long)]
    pub(crate) client_ip: Option<std::net::IpAddr>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
}

/// The arguments of `explain`.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Read many replies from standard input, one JSON object a line.
    ///
    /// The rules are in the lines then, and the options for rules have no effect.
    #[arg(long, conflicts_with_all = ["reply", "provider"])]
    pub(crate) jsonl: bool,
    /// The kind of provider that sent the reply.
    #[arg(long, value_parser = kind(), required_unless_present = "jsonl")]
    pub(crate) provider: Option<ProviderKind>,
    /// A file with the body of the reply, or - for standard input.
    #[arg(required_unless_present = "jsonl")]
    pub(crate) reply: Option<PathBuf>,
    /// The HTTP status of the reply.
    #[arg(long, default_value_t = 200)]
    pub(crate) status: u16,
    /// The time to compute ages at, RFC 3339. Default: now.
    #[arg(long)]
    pub(crate) now: Option<String>,
    /// The site key of the account, for replies that name a site key.
    #[arg(long)]
    pub(crate) site_key: Option<String>,
    /// The token, for providers with kinds of tokens.
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
}

/// Parses the name of a kind of provider.
fn kind() -> impl TypedValueParser<Value = ProviderKind> {
    let names = ProviderKind::ALL.iter().map(|kind| kind.as_str());
    PossibleValuesParser::new(names)
        .try_map(|name| ProviderKind::from_name(&name).ok_or("is not a kind of provider"))
}

/// Parses the name of a kind of reCAPTCHA Enterprise key.
fn key_kind() -> impl TypedValueParser<Value = EnterpriseKeyKind> {
    PossibleValuesParser::new(["challenge", "checkbox", "score"])
        .try_map(|name| EnterpriseKeyKind::from_name(&name).ok_or("is not a kind of key"))
}

/// Reads an address such as `127.0.0.1:8765` or `localhost:8765`.
fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let resolved = text.to_socket_addrs().map_err(|error| error.to_string());
    let mut resolved = resolved
        .map_err(|error| format!("{error}; write a host and a port, such as localhost:8765"))?;
    resolved
        .next()
        .ok_or_else(|| "the name has no address".to_owned())
}
