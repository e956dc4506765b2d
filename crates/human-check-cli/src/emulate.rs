//! Introduces a running emulator to whoever will use it.

use std::io::{self, Write};

use human_check_testkit::{Emulator, Site};
use serde_json::json;

/// The vendors and where each is asked.
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

/// Prints base URL, keys and how to mint tokens.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn introduce(out: &mut impl Write, emulator: &Emulator, json: bool) -> io::Result<()> {
    let base = emulator.base_url();
    if json {
        let line = json!({"base_url": base, "sites": Site::built_in()});
        writeln!(out, "{line}")?;
        return out.flush();
    }
    writeln!(
        out,
        "Emulated vendors on {base} (keys are made up and open nothing):\n"
    )?;
    for (provider, path) in PATHS {
        let site = Site::own(provider);
        writeln!(out, "{provider}")?;
        writeln!(out, "  endpoint  {base}{path}")?;
        writeln!(out, "  site key  {}", site.site_key)?;
        writeln!(out, "  secret    {}", site.secret)?;
    }
    writeln!(
        out,
        "
Every vendor has a second site, whose key and secret end in 2: its tokens are foreign to the first.

Mint a token:
  curl -d '{{\"provider\":\"turnstile\",\"action\":\"login\"}}' {base}/emulator/mint
  further members: site_key, hostname, action, binding, score, age_s, unsolved, app, user_ip, kind, length

Verify it:
  HUMAN_CHECK_SECRET={} human-check verify --provider turnstile --base-url {base} --token TOKEN

Break the next reply:
  curl -d '{{\"fault\":{{\"html\":{{\"status\":503}}}},\"times\":1}}' {base}/emulator/fail
  faults: body, delay, endless, html, oversized, redirect, reset-after, reset-before, restatus,
          stall, stall-body, status, trickle, truncated, wrong-length; heal with POST {base}/emulator/heal

Stop with Ctrl-C.",
        Site::own("turnstile").secret
    )?;
    out.flush()
}
