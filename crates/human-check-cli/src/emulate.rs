//! `emulate`: prints how to use a running emulator.
//!
//! The keys that it prints are fixed, so that a configuration for the emulator can be written once.

use std::io::{self, Write};

use human_check_emulator::{EmulatedAccount, Emulator};
use serde_json::json;

/// The providers, and the path of each verify call.
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

/// The providers whose widget scripts the emulator serves, and their paths.
const SCRIPTS: [(&str, &str); 6] = [
    ("turnstile", "/turnstile/v0/api.js"),
    ("hcaptcha", "/1/api.js"),
    ("recaptcha-v2", "/recaptcha/api.js"),
    ("recaptcha-v3", "/recaptcha/api.js"),
    ("recaptcha-enterprise", "/recaptcha/enterprise.js"),
    ("captchala", "/captchala-loader.js"),
];

/// Prints the base URL, the keys, and how to mint tokens and cause faults. With `json`, only base
/// URL and keys, as one JSON object.
///
/// # Errors
///
/// [`io::Error`] when `out` cannot be written.
pub(crate) fn introduce(out: &mut impl Write, emulator: &Emulator, json: bool) -> io::Result<()> {
    let base = emulator.base_url();
    if json {
        let line = json!({"base_url": base, "accounts": EmulatedAccount::built_in()});
        writeln!(out, "{line}")?;
        return out.flush();
    }
    if !emulator.address().ip().is_loopback() {
        writeln!(
            out,
            "warning: other machines can reach the emulator, which mints tokens for everybody\n"
        )?;
    }
    writeln!(
        out,
        "Emulated providers on {base} (the keys are invented and work with no real provider):\n"
    )?;
    for (provider, path) in PATHS {
        let account = EmulatedAccount::for_provider(provider);
        writeln!(out, "{provider}")?;
        writeln!(out, "  endpoint  {base}{path}")?;
        writeln!(out, "  site key  {}", account.site_key)?;
        writeln!(out, "  secret    {}", account.secret)?;
        if let Some((_, script)) = SCRIPTS.iter().find(|(name, _)| *name == provider) {
            writeln!(out, "  script    {base}{script}")?;
        }
    }
    writeln!(
        out,
        "
Every provider has a second account, whose key and secret end in 2. Tokens of one account are refused with the other.

Mint a token (solved on www.example.com, unless `hostname` is another host):
  curl -d '{{\"provider\":\"turnstile\",\"action\":\"signup\"}}' {base}/emulator/mint
  further members: site_key, hostname, action, binding, score (the provider's scale), age_s, unsolved,
                   browser_error, app, user_ip, kind (captchala), server_token (captchala), length

Verify it (from the repository: cargo run -- instead of human-check):
  HUMAN_CHECK_SECRET={} human-check verify --provider turnstile --base-url {base} --token TOKEN

Show a widget: load its script in a page, with the site key where the provider expects it. Make all visitors bots:
  curl -d '{{\"visitors_are_bots\":true}}' {base}/emulator/knobs
  further members: visitor_score, scripts_fail, token_ttl_ms, challenge_ttl_ms; an empty object restores the defaults

Break the replies of every provider, until healed, or the next N with \"times\":N (verifying a Turnstile token can take two calls):
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
