//! `human-check demo --once`: a table of good and bad tokens with each provider.

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

/// The providers without `--all`: one product of each company.
const SHORT: [ProviderKind; 5] = [
    ProviderKind::Altcha,
    ProviderKind::Turnstile,
    ProviderKind::Hcaptcha,
    ProviderKind::RecaptchaV3,
    ProviderKind::CaptchaLa,
];

/// A scenario: a kind of token, or a failure of the provider.
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
    QuotaUsedUp,
    Stalled,
    Used,
    WrongHost,
    WrongSecret,
}

impl Scene {
    /// Returns why the scenario cannot happen with a provider, or `None` when it can.
    fn not_applicable(self, provider: ProviderKind) -> Option<&'static str> {
        match (self, provider) {
            (Self::LowScore, ProviderKind::Altcha) => Some("(has no score)"),
            (Self::Outage | Self::QuotaUsedUp | Self::Stalled, ProviderKind::Altcha) => {
                Some("(no call)")
            }
            (Self::WrongHost, ProviderKind::Altcha) => Some("(states no host)"),
            (Self::LowScore, ProviderKind::RecaptchaV2 | ProviderKind::Turnstile) => {
                Some("(has no score)")
            }
            (Self::QuotaUsedUp, ProviderKind::Hcaptcha | ProviderKind::Turnstile) => {
                Some("(not reported)")
            }
            _ => None,
        }
    }
}

/// All scenarios with their titles, in the order of the table.
const SCENES: [(Scene, &str); 13] = [
    (Scene::Good, "a good token"),
    (Scene::Missing, "no token"),
    (Scene::Malformed, "not a token"),
    (Scene::Forged, "a forged token"),
    (Scene::Used, "a token used before"),
    (Scene::Expired, "an expired token"),
    (Scene::Foreign, "a token of another site"),
    (Scene::WrongHost, "solved on another host"),
    (Scene::LowScore, "a low score"),
    (Scene::QuotaUsedUp, "the quota is used up"),
    (Scene::WrongSecret, "a wrong secret"),
    (Scene::Outage, "the provider is down"),
    (Scene::Stalled, "the provider stalls"),
];

/// The host of the emulated site.
const HOST: &str = "www.example.com";

/// Verifies good and bad tokens with each provider, and writes a table of the outcomes to `out`.
/// Returns the exit code, 0.
///
/// Every cell is one call of [`HumanCheck::check`] against an emulator that this function starts.
/// With `json`, the output is one line of JSON for each call, in place of the table. With `all`, it
/// covers every provider and not one product of each company.
///
/// # Errors
///
/// When no port can be bound for the emulator, or when `out` cannot be written.
pub async fn run(out: &mut impl Write, json: bool, all: bool) -> io::Result<u8> {
    let emulator = Emulator::start().await?;
    let stage = Stage::new(&emulator).map_err(io::Error::other)?;
    // The generic adapter has no emulator of its own.
    let emulated = ProviderKind::ALL
        .iter()
        .filter(|kind| !kind.is_siteverify());
    let providers: Vec<ProviderKind> = match all {
        true => emulated.copied().collect(),
        false => SHORT.to_vec(),
    };
    if !json {
        writeln!(
            out,
            "ALTCHA's proof of work, and emulated providers at {}. Every cell is one call of `HumanCheck::check`.\n",
            emulator.base_url()
        )?;
    }
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(if all { 165 } else { 120 })
        .set_header(
            std::iter::once("scenario").chain(providers.iter().map(|v| v.provider().name())),
        );
    for (scene, title) in SCENES {
        let mut row = vec![title.to_owned()];
        for &provider in &providers {
            if let Some(why) = scene.not_applicable(provider) {
                row.push(why.to_owned());
                continue;
            }
            let (explanation, took) = stage
                .play(provider, scene, title)
                .await
                .map_err(io::Error::other)?;
            if json {
                writeln!(out, "{}", explanation.to_json())?;
            }
            row.push(cell(&explanation, took));
        }
        table.add_row(row);
    }
    if !json {
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "
Outcomes: human; not-human (the provider or the policy refused the token: 403); unavailable (the provider
could not be reached: 503); declined (the provider declined to verify: 503); misconfigured (fix the
configuration: 500); protocol (the reply was invalid: 503).
Scores are on one scale, 1 = human. hCaptcha reports them for Enterprise accounts only. Turnstile is called
twice in an outage, with one idempotency key, so this takes longer. The other providers are called once,
because the first call may have used the token. ALTCHA cannot tell a challenge that was signed with another
secret from a forged one.

Next: `emulate` serves these providers for another program, `explain` reads a provider's reply, `verify`
calls a real provider (`cargo run -- emulate`, and so on)."
        )?;
    }
    Ok(0)
}

/// Returns the lines of one cell: outcome, reason, score and time.
fn cell(explanation: &Explanation, took: Duration) -> String {
    let mut lines = vec![explanation.outcome.to_owned()];
    lines.extend(explanation.reason.clone());
    let score = explanation.score.map(|score| format!("score {score:.2}, "));
    lines.push(format!(
        "{}{:.1} ms",
        score.unwrap_or_default(),
        took.as_secs_f64() * 1e3
    ));
    lines.join("\n")
}

/// The emulator, and a client of it.
struct Stage<'a> {
    emulator: &'a Emulator,
    client: ProviderClient,
}

impl<'a> Stage<'a> {
    fn new(emulator: &'a Emulator) -> Result<Self, ConfigError> {
        // Short timeouts, so that the row of the stalled provider takes less time.
        let mut limits = human_check_http::Limits::default();
        limits.attempt_timeout = Duration::from_millis(400);
        limits.total_timeout = Duration::from_millis(600);
        let client = ProviderClient::new(HyperTransport::new()?).with_limits(limits);
        Ok(Self { emulator, client })
    }

    /// Runs one scenario with one provider.
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
        if matches!(scene, Scene::QuotaUsedUp) {
            self.emulator.configure(|knobs| knobs.quota_used_up = true);
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
            Scene::Used => {
                let first = check.check(&submission).await?;
                debug_assert!(first.is_human());
            }
            _ => {}
        }
        let start = Instant::now();
        let outcome = check.check(&submission).await;
        let took = start.elapsed();
        self.emulator.heal();
        self.emulator.configure(|knobs| knobs.quota_used_up = false);
        Ok((
            Explanation::new(Some(format!("{name}: {title}")), &outcome),
            took,
        ))
    }

    /// Describes the token of a scenario.
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

    /// Creates the check of a provider.
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

/// Runs one scenario with ALTCHA, which needs no emulator.
async fn proof_of_work(
    scene: Scene,
    title: &str,
) -> Result<(Explanation, Duration), Box<dyn std::error::Error + Send + Sync>> {
    let clock = ManualClock::starting_now();
    let secret = || Secret::new(Uuid::new_v4().simple().to_string());
    let (right, wrong) = (secret()?, secret()?);
    let altcha = |site: &str, secret: &Secret| -> Result<_, ConfigError> {
        let replay_store = MemoryReplayStore::new(10);
        let altcha = Altcha::new(Keys::new(secret.clone())?, site, replay_store)?;
        let work = Difficulty::sha().with_tries(99)?;
        Ok(altcha.with_difficulty(work).with_clock(clock.clone()))
    };
    let check = altcha(HOST, &right)?;
    let issuer = match scene {
        Scene::Foreign => &altcha("www.example.net", &right)?,
        Scene::WrongSecret => &altcha(HOST, &wrong)?,
        _ => &check,
    };
    let challenge = issuer.issue(&ChallengeRequest::new()).await?;
    let token = match scene {
        Scene::Malformed => Some("what is\nthis?".to_owned()),
        Scene::Forged => providers::forge(challenge.json()),
        _ => solve(challenge.json()),
    };
    let submission = match (scene, token) {
        (Scene::Missing, _) => Submission::new(),
        (_, Some(token)) => Submission::new().with_token(&ALTCHA, token),
        (_, None) => return Err("the challenge was not solved".into()),
    };
    match scene {
        Scene::Expired => clock.advance(Duration::from_secs(600)),
        Scene::Used => {
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
