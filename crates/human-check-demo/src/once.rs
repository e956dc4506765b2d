//! All providers, all kinds of tokens, one trait, one table.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use human_check_altcha::{ALTCHA, Altcha, Difficulty, Keys};
use human_check_core::{
    ChallengeIssuer, ChallengeRequest, ConfigError, HumanCheck, HumanCheckExt, MemoryReplayStore,
    Policy, Secret, Submission,
};
use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use human_check_http::{HyperTransport, ProviderClient};
use human_check_testkit::{ManualClock, solve};

use human_check_config::ProviderKind;

use uuid::Uuid;

use crate::providers;
use human_check_explain::Explanation;

/// Without `--all`, one product of each provider.
const SHORT: [ProviderKind; 5] = [
    ProviderKind::Altcha,
    ProviderKind::Turnstile,
    ProviderKind::Hcaptcha,
    ProviderKind::RecaptchaV3,
    ProviderKind::CaptchaLa,
];

/// What a visitor may come with, and what may go wrong behind it.
#[derive(Clone, Copy)]
enum Scene {
    Expired,
    Foreign,
    Forged,
    Good,
    LowScore,
    Malformed,
    Missing,
    Outage,
    QuotaSpent,
    Spent,
    Stalled,
    WrongHost,
    WrongSecret,
}

impl Scene {
    /// Why a scene cannot happen with a provider.
    fn says_nothing_to(self, provider: ProviderKind) -> Option<&'static str> {
        match (self, provider) {
            (Self::LowScore, ProviderKind::Altcha) => Some("(has no score)"),
            (Self::Outage | Self::QuotaSpent | Self::Stalled, ProviderKind::Altcha) => {
                Some("(asks nobody)")
            }
            (Self::WrongHost, ProviderKind::Altcha) => Some("(names no host)"),
            (Self::LowScore, ProviderKind::RecaptchaV2 | ProviderKind::Turnstile) => {
                Some("(has no score)")
            }
            (Self::QuotaSpent, ProviderKind::Hcaptcha | ProviderKind::Turnstile) => {
                Some("(tells nobody)")
            }
            _ => None,
        }
    }
}

const SCENES: [(Scene, &str); 13] = [
    (Scene::Good, "a good token"),
    (Scene::Missing, "no token"),
    (Scene::Malformed, "not a token"),
    (Scene::Forged, "a forged token"),
    (Scene::Spent, "a token used before"),
    (Scene::Expired, "an expired token"),
    (Scene::Foreign, "somebody else's token"),
    (Scene::WrongHost, "solved on another host"),
    (Scene::LowScore, "looks like a machine"),
    (Scene::QuotaSpent, "the quota is spent"),
    (Scene::WrongSecret, "our secret is wrong"),
    (Scene::Outage, "the provider is down"),
    (Scene::Stalled, "the provider stalls"),
];

const HOST: &str = "www.example.com";

/// Runs the demo against an emulator of its own.
///
/// # Errors
///
/// When no port can be had or `out` cannot be written.
pub async fn run(out: &mut impl Write, json: bool, all: bool) -> io::Result<u8> {
    let emulator = Emulator::start().await?;
    let stage = Stage::new(&emulator).map_err(io::Error::other)?;
    let providers: &[ProviderKind] = if all { &ProviderKind::ALL } else { &SHORT };
    if !json {
        writeln!(
            out,
            "A proof of work of our own, and emulated providers on {}. Every cell is one call of `HumanCheck::check`.\n",
            emulator.base_url()
        )?;
    }
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(if all { 165 } else { 120 })
        .set_header(
            std::iter::once("what happens").chain(providers.iter().map(|v| v.provider().name())),
        );
    for (scene, title) in SCENES {
        let mut row = vec![title.to_owned()];
        for &provider in providers {
            if let Some(why) = scene.says_nothing_to(provider) {
                row.push(why.to_owned());
                continue;
            }
            let (answer, took) = stage
                .play(provider, scene, title)
                .await
                .map_err(io::Error::other)?;
            if json {
                writeln!(out, "{}", answer.to_json())?;
            }
            row.push(cell(&answer, took));
        }
        table.add_row(row);
    }
    if !json {
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "
Outcomes: human; not-human (the provider or a rule said no: 403); unavailable (nobody could tell: 503);
declined (the provider would not judge: 503); misconfigured (ours to mend: 500); protocol (nonsense: 503).
Scores are on one scale, 1 = human; hCaptcha gives them to Enterprise load_accounts. Turnstile is asked twice
when it is down, under one idempotency key, so it takes longer to say so. The others' tokens would be spent.
A proof of work that was signed with another secret cannot be told from a forgery.

Next: `emulate` serves these providers for your own program, `explain` reads a provider's reply, `verify`
asks a real one (`cargo run -- emulate`, and so on)."
        )?;
    }
    Ok(0)
}

fn cell(answer: &Explanation, took: Duration) -> String {
    let mut lines = vec![answer.outcome.to_owned()];
    lines.extend(answer.reason.clone());
    let score = answer.score.map(|score| format!("score {score:.2}, "));
    lines.push(format!(
        "{}{:.1} ms",
        score.unwrap_or_default(),
        took.as_secs_f64() * 1e3
    ));
    lines.join("\n")
}

struct Stage<'a> {
    emulator: &'a Emulator,
    client: ProviderClient,
}

impl<'a> Stage<'a> {
    fn new(emulator: &'a Emulator) -> Result<Self, ConfigError> {
        // Short deadlines, so that the stalled row does not bore.
        let mut limits = human_check_http::Limits::default();
        limits.attempt_timeout = Duration::from_millis(400);
        limits.total_timeout = Duration::from_millis(600);
        let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits);
        Ok(Self { emulator, client })
    }

    async fn play(
        &self,
        provider: ProviderKind,
        scene: Scene,
        title: &str,
    ) -> Result<(Explanation, Duration), Box<dyn std::error::Error + Send + Sync>> {
        if provider == ProviderKind::Altcha {
            return proof_of_work(scene, title).await;
        }
        let name = provider.provider().name();
        let mint = Self::mint(provider, scene);
        let check = self.check(provider, matches!(scene, Scene::WrongSecret))?;
        if matches!(scene, Scene::QuotaSpent) {
            self.emulator.configure(|knobs| knobs.quota_spent = true);
        }
        let submission = match scene {
            Scene::Missing => Submission::new(),
            Scene::Malformed => Submission::new().with_token(provider.provider(), "what is\nthis?"),
            Scene::Forged => {
                let forged = if provider == ProviderKind::CaptchaLa {
                    "pt_forged"
                } else {
                    "forged-token"
                };
                Submission::new().with_token(provider.provider(), forged)
            }
            _ => Submission::new().with_token(provider.provider(), self.emulator.mint(&mint)?),
        };
        match scene {
            Scene::Outage => self.emulator.fail(Fault::Html { status: 503 }, None),
            Scene::Stalled => self.emulator.fail(Fault::Stall, None),
            Scene::Spent => {
                let first = check.check(&submission).await?;
                debug_assert!(first.is_human());
            }
            _ => {}
        }
        let start = Instant::now();
        let outcome = check.check(&submission).await;
        let took = start.elapsed();
        self.emulator.heal();
        self.emulator.configure(|knobs| knobs.quota_spent = false);
        Ok((
            Explanation::new(Some(format!("{name}: {title}")), &outcome),
            took,
        ))
    }

    fn mint(kind: ProviderKind, scene: Scene) -> Mint {
        let provider = kind.as_str();
        let mut mint = Mint::for_provider(provider).with_hostname(HOST);
        if let Some((good, bad)) = providers::scores(kind) {
            mint = mint.with_score(if matches!(scene, Scene::LowScore) {
                bad
            } else {
                good
            });
        }
        match scene {
            Scene::Expired => mint.with_age(Duration::from_secs(600)),
            Scene::Foreign => {
                let other = EmulatedAccount::built_in()
                    .into_iter()
                    .filter(|site| site.provider == provider)
                    .nth(1);
                mint.with_site_key(other.map_or_else(String::new, |site| site.site_key))
            }
            Scene::WrongHost => mint.with_hostname("evil.example.net"),
            _ => mint,
        }
    }

    fn check(
        &self,
        provider: ProviderKind,
        wrong_secret: bool,
    ) -> Result<impl HumanCheck + use<>, ConfigError> {
        let mut config = providers::config(provider, self.emulator)?;
        if wrong_secret {
            config.secret = Some(Secret::new("not-the-secret")?);
        }
        let mut policy = Policy::new().with_hostnames([HOST])?;
        if let Some(score) = config.policy_score()? {
            policy = policy.with_min_score(score);
        }
        config.build(&self.client)?.enforce(policy)
    }
}

/// The same scenes where nobody is asked.
async fn proof_of_work(
    scene: Scene,
    title: &str,
) -> Result<(Explanation, Duration), Box<dyn std::error::Error + Send + Sync>> {
    let clock = ManualClock::starting_now();
    let secret = || Secret::new(Uuid::new_v4().simple().to_string());
    let (ours, another) = (secret()?, secret()?);
    let altcha = |site: &str, secret: &Secret| -> Result<_, ConfigError> {
        let spent = MemoryReplayStore::new(10);
        let altcha = Altcha::new(Keys::new(secret.clone())?, site, spent)?;
        let work = Difficulty::sha().with_tries(99)?;
        Ok(altcha.with_difficulty(work).with_clock(clock.clone()))
    };
    let check = altcha(HOST, &ours)?;
    let issuer = match scene {
        Scene::Foreign => &altcha("www.example.net", &ours)?,
        Scene::WrongSecret => &altcha(HOST, &another)?,
        _ => &check,
    };
    let challenge = issuer.issue(&ChallengeRequest::new()).await?;
    let answer = match scene {
        Scene::Malformed => Some("what is\nthis?".to_owned()),
        Scene::Forged => providers::skip(challenge.json()),
        _ => solve(challenge.json()),
    };
    let submission = match (scene, answer) {
        (Scene::Missing, _) => Submission::new(),
        (_, Some(answer)) => Submission::new().with_token(&ALTCHA, answer),
        (_, None) => return Err("the challenge was not solved".into()),
    };
    match scene {
        Scene::Expired => clock.advance(Duration::from_secs(600)),
        Scene::Spent => {
            let first = check.check(&submission).await?;
            debug_assert!(first.is_human());
        }
        _ => {}
    }
    let start = Instant::now();
    let outcome = check.check(&submission).await;
    let took = start.elapsed();
    let name = format!("{}: {title}", ALTCHA.name());
    Ok((Explanation::new(Some(name), &outcome), took))
}
