//! The command line.

#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use human_check_config::{EnterpriseKeyKind, ProviderKind};
use human_check_explain::{KeyName, Rules};

/// Human verification behind one trait: try it, test against it, look into it.
#[derive(Parser)]
#[command(name = "human-check", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Ask several providers about the tokens in a file, and keep what each said.
    ///
    /// The file holds one JSON object a line, such as
    /// {"id":"42","answers":{"turnstile":"TOKEN","hcaptcha":"TOKEN"},"action":"signup"}
    /// Each token is shown to its own provider only, and is spent by it. The id is required, is written to the
    /// output, and must not be a token. A second run with the same output goes on where the first one stopped;
    /// what was under way when it was killed is asked again.
    ///
    /// Exit code: 0, 3 when lines could not be read or something is misconfigured, 130 when interrupted.
    Compare(CompareArgs),
    /// Serve a site with emulated providers to try everything in a browser, until interrupted.
    ///
    /// Needs no account. npm, where it is installed, fetches the widget of the proof of work once; all others
    /// need no network beyond this machine. With --once it verifies good and bad tokens with four providers
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
        challenge_ttl: u64,
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
    /// Serve the emulated providers, those of the generic adapter included, until interrupted.
    Emulate {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8765")]
        addr: SocketAddr,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Verify one token with a provider.
    ///
    /// The secret comes from `HUMAN_CHECK_SECRET` or a file, never from an argument.
    ///
    /// Exit code: 0 human, 1 not human, 2 could not tell, 3 misconfigured.
    Verify(VerifyArgs),
    /// Read providers' replies offline and say what the library makes of them.
    ///
    /// With --jsonl, standard input holds one JSON object a line, such as
    /// {"name":"x","provider":"turnstile","status":200,"body":"{\"success\":true}","policy":{"action":"login"}}
    /// and each is answered by one line. Lines that cannot be read are reported by their number on standard
    /// error, the rest still runs, and the exit code is then 3. Otherwise it is 0, whatever the replies say.
    ///
    /// Further members: headers (object), enc ("b64" when body is base64), now (RFC 3339), site_key, token.
    /// Rules of policy: hostnames, apps, action, min_score (1 = human), max_risk (the provider's scale), max_age_s,
    /// skew_s, cdata, uid, key (score, checkbox, challenge), allow_testing, allow_offline.
    Explain(ExplainArgs),
    /// Report what the records of `compare`, or of a shadow in production, say.
    ///
    /// Exit code: 0, 3 when lines could not be read, which are left out.
    Report(ReportArgs),
}

#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The file of tokens.
    pub(crate) input: PathBuf,
    /// Where the records go. Appended to.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// A TOML file with a table [providers.NAME] for each provider.
    #[arg(long, value_name = "FILE", required_unless_present = "provider")]
    pub(crate) providers: Option<PathBuf>,
    /// A provider of the emulator, instead of a file. May be repeated.
    #[arg(long, value_parser = kind(), requires = "emulator", conflicts_with = "providers")]
    pub(crate) provider: Vec<ProviderKind>,
    /// Ask the emulator at this address instead of the providers, with its keys.
    #[arg(long, value_name = "URL")]
    pub(crate) emulator: Option<String>,
    /// How many lines are under way at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) concurrency: u8,
}

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// Files of records.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// One JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with plots, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// What the providers charge, a TOML file of yours.
    #[arg(long, value_name = "FILE", requires = "monthly_volume")]
    pub(crate) prices: Option<PathBuf>,
    /// For how many checks a month.
    #[arg(long, value_name = "CHECKS", requires = "prices")]
    pub(crate) monthly_volume: Option<u64>,
}

/// The rules of a route.
#[derive(Args)]
pub(crate) struct RuleArgs {
    /// A host that may show the challenge. May be repeated.
    #[arg(long = "hostname", value_name = "HOST")]
    pub(crate) hostnames: Vec<String>,
    /// The action the challenge must be solved for.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// The value the challenge must be tied to (cdata, uid).
    #[arg(long)]
    pub(crate) binding: Option<String>,
    /// The lowest score, from 0 (machine) to 1 (human).
    #[arg(long, value_name = "SCORE")]
    pub(crate) min_score: Option<f64>,
    /// The highest risk on the provider's own scale (hCaptcha 0 to 1, CaptchaLa 0 to 100).
    #[arg(long, value_name = "RISK")]
    pub(crate) max_risk: Option<f64>,
    /// The highest age of the challenge in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_age: Option<f64>,
    /// How far clocks may differ, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) skew: Option<f64>,
    /// Which kind of key it is, for reCAPTCHA Enterprise.
    #[arg(long, value_parser = key_kind())]
    pub(crate) key: Option<EnterpriseKeyKind>,
    /// For tests: let answers to a provider's testing keys pass.
    #[arg(long)]
    pub(crate) allow_test_keys: bool,
}

impl RuleArgs {
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

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The provider.
    #[arg(long, value_parser = kind())]
    pub(crate) provider: ProviderKind,
    /// The token, or `-` to read it from standard input.
    #[arg(long)]
    pub(crate) token: String,
    /// Site key, or app key of CaptchaLa.
    #[arg(long, env = "HUMAN_CHECK_SITE_KEY")]
    pub(crate) site_key: Option<String>,
    /// A file that holds the secret.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// A service account's key file, for reCAPTCHA Enterprise.
    #[arg(long, value_name = "FILE")]
    pub(crate) service_account: Option<PathBuf>,
    /// The Google Cloud project, for reCAPTCHA Enterprise.
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Where to ask instead of the provider, such as the emulator.
    #[arg(long, env = "HUMAN_CHECK_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// The visitor's address.
    #[arg(long)]
    pub(crate) client_ip: Option<std::net::IpAddr>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Read JSON objects from standard input, one a line.
    #[arg(long, conflicts_with_all = ["reply", "provider"])]
    pub(crate) jsonl: bool,
    /// The provider whose reply it is.
    #[arg(long, value_parser = kind(), required_unless_present = "jsonl")]
    pub(crate) provider: Option<ProviderKind>,
    /// A file that holds the reply's body, or `-` for standard input.
    #[arg(required_unless_present = "jsonl")]
    pub(crate) reply: Option<PathBuf>,
    /// The reply's HTTP status.
    #[arg(long, default_value_t = 200)]
    pub(crate) status: u16,
    /// The time to judge ages at, RFC 3339. Default now.
    #[arg(long)]
    pub(crate) now: Option<String>,
    /// Our site key, where the reply names one.
    #[arg(long)]
    pub(crate) site_key: Option<String>,
    /// The token, where its kind matters.
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
}

/// A kind of provider by its name.
fn kind() -> impl TypedValueParser<Value = ProviderKind> {
    let names = ProviderKind::ALL.iter().map(|kind| kind.as_str());
    PossibleValuesParser::new(names)
        .try_map(|name| ProviderKind::from_name(&name).ok_or("is no kind of provider"))
}

/// A kind of reCAPTCHA Enterprise key by its name.
fn key_kind() -> impl TypedValueParser<Value = EnterpriseKeyKind> {
    PossibleValuesParser::new(["challenge", "checkbox", "score"])
        .try_map(|name| EnterpriseKeyKind::from_name(&name).ok_or("is no kind of key"))
}
