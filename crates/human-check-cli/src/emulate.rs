//! Introduces a running emulator to whoever will use it.

use std::io::{self, Write};

use human_check_emulator::{EmulatedAccount, Emulator};
use serde_json::json;

/// The providers and where each is asked.
const PATHS: [(&str, &str); 10] = [
    ("turnstile", "/turnstile/v0/siteverify"),
    ("hcaptcha", "/siteverify"),
    ("recaptcha-v2", "/recaptcha/api/siteverify"),
    ("recaptcha-v3", "/recaptcha/api/siteverify"),
    (
        "recaptcha-enterprise",
        "/v1/projects/demo-project/assessments",
    ),
    ("captchala", "/v1/validate"),
    ("cap", "/cap/<site key>/siteverify"),
    ("captchafox", "/captchafox/siteverify"),
    ("friendly-captcha", "/api/v2/captcha/siteverify"),
    ("mcaptcha", "/api/v1/pow/siteverify"),
];

/// The providers whose scripts it serves, and where.
const SCRIPTS: [(&str, &str); 6] = [
    ("turnstile", "/turnstile/v0/api.js"),
    ("hcaptcha", "/1/api.js"),
    ("recaptcha-v2", "/recaptcha/api.js"),
    ("recaptcha-v3", "/recaptcha/api.js"),
    ("recaptcha-enterprise", "/recaptcha/enterprise.js"),
    ("captchala", "/captchala-loader.js"),
];

/// Prints base URL, keys and how to mint tokens.
///
/// # Errors
///
/// When `out` cannot be written.
pub(crate) fn introduce(out: &mut impl Write, emulator: &Emulator, json: bool) -> io::Result<()> {
    let base = emulator.base_url();
    if json {
        let line = json!({"base_url": base, "sites": EmulatedAccount::built_in()});
        writeln!(out, "{line}")?;
        return out.flush();
    }
    writeln!(
        out,
        "Emulated providers on {base} (keys are made up and open nothing):\n"
    )?;
    for (provider, path) in PATHS {
        let site = EmulatedAccount::for_provider(provider);
        writeln!(out, "{provider}")?;
        writeln!(out, "  endpoint  {base}{path}")?;
        writeln!(out, "  site key  {}", site.site_key)?;
        writeln!(out, "  secret    {}", site.secret)?;
        if let Some((_, script)) = SCRIPTS.iter().find(|(name, _)| *name == provider) {
            writeln!(out, "  script    {base}{script}")?;
        }
    }
    writeln!(
        out,
        "
Every provider has a second site, whose key and secret end in 2: its tokens are foreign to the first.

Mint a token (solved on www.example.com unless you say otherwise):
  curl -d '{{\"provider\":\"turnstile\",\"action\":\"signup\"}}' {base}/emulator/mint
  further members: site_key, hostname, action, binding, score (the provider's scale), age_s, unsolved,
                   browser_error, app, user_ip, kind (captchala), server_token (captchala), length

Verify it (from the repository: cargo run -- instead of human-check):
  HUMAN_CHECK_SECRET={} human-check verify --provider turnstile --base-url {base} --token TOKEN

Show a widget: load its script in a page, with the site key where the provider wants it. What its visitors get:
  curl -d '{{\"visitors_are_bots\":true}}' {base}/emulator/knobs
  further members: token_ttl_ms, challenge_ttl_ms; without any, everybody is human and nothing is hurried

Break every provider's replies, until healed or with \"times\":N for the next N (Turnstile is asked twice):
  curl -d '{{\"fault\":{{\"html\":{{\"status\":503}}}}}}' {base}/emulator/fail
  curl -X POST {base}/emulator/heal
  faults: \"stall\" \"stall-body\" \"endless\" \"redirect\" \"reset-before\" \"reset-after\" \"truncated\" \"wrong-length\"
          {{\"delay\":{{\"millis\":500}}}} {{\"trickle\":{{\"millis\":50}}}} {{\"oversized\":{{\"bytes\":100000}}}}
          {{\"status\":{{\"code\":429,\"retry_after\":7}}}} {{\"restatus\":{{\"code\":400}}}} {{\"body\":{{\"text\":\"x\"}}}}

Stop with Ctrl-C.",
        EmulatedAccount::for_provider("turnstile").secret
    )?;
    out.flush()
}
