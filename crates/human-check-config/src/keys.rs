//! Recognises keys that cannot be right: of another kind, of the other role, in quotes, or published
//! for tests.
//!
//! The forms are those of the pages in docs/providers. A key of a form that is not known passes.

use human_check_core::{ConfigError, Secret, TestKeyPolicy};

use crate::ProviderKind;

/// The site keys that providers publish for tests.
const TEST_SITE_KEYS: [(&str, &str); 10] = [
    ("turnstile", "1x00000000000000000000AA"),
    ("turnstile", "2x00000000000000000000AB"),
    ("turnstile", "1x00000000000000000000BB"),
    ("turnstile", "2x00000000000000000000BB"),
    ("turnstile", "3x00000000000000000000FF"),
    ("hcaptcha", "10000000-ffff-ffff-ffff-000000000001"),
    ("hcaptcha", "20000000-ffff-ffff-ffff-000000000002"),
    ("hcaptcha", "30000000-ffff-ffff-ffff-000000000003"),
    ("recaptcha-v2", "6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI"),
    ("captchafox", "sk_11111111000000001111111100000000"),
];

/// Returns whether `key` is a site key that a provider publishes for tests.
pub(crate) fn is_test_site_key(key: &str) -> bool {
    TEST_SITE_KEYS
        .iter()
        .any(|(_, known)| known.eq_ignore_ascii_case(key))
}

/// Which of the two keys of an account a text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    SiteKey,
    Secret,
    /// Site keys and secrets have one form.
    Either,
}

/// Returns the product and the role that the form of a key tells.
fn form_of(key: &str) -> Option<(&'static str, Role)> {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let groups: Vec<_> = key.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    let is_uuid = lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| is_hex(group));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_plain = key.bytes().all(plain);
    Some(match key {
        _ if is_uuid => ("hcaptcha", Role::SiteKey),
        _ if key.strip_prefix("ES_").is_some_and(is_hex) => ("hcaptcha", Role::Secret),
        _ if key.len() == 42 && key.strip_prefix("0x").is_some_and(is_hex) => {
            ("hcaptcha", Role::Secret)
        }
        _ if key.starts_with("0x4") && key.len() == 24 && is_plain => ("turnstile", Role::SiteKey),
        _ if key.starts_with("0x4") && key.len() == 35 && is_plain => ("turnstile", Role::Secret),
        _ if key.starts_with("6L") && (38..=42).contains(&key.len()) && is_plain => {
            ("recaptcha", Role::Either)
        }
        _ if key.starts_with("AIza") && key.len() == 39 && is_plain => {
            ("recaptcha-enterprise", Role::Secret)
        }
        _ => return None,
    })
}

/// Returns whether a key of `product` can belong to an account of `kind`, in the place of `role`.
fn fits(kind: &str, role: Role, form: (&str, Role)) -> bool {
    let (product, of) = form;
    let product_fits = match (product, role) {
        // Enterprise signs in with an API key, and its site keys are those of reCAPTCHA.
        ("recaptcha", Role::Secret) => {
            kind != "recaptcha-enterprise" && kind.starts_with("recaptcha")
        }
        ("recaptcha", _) => kind.starts_with("recaptcha"),
        (product, _) => product == kind,
    };
    product_fits && (of == role || of == Role::Either)
}

fn shown(form: (&str, Role)) -> &'static str {
    match form {
        ("hcaptcha", Role::SiteKey) => "a site key of hCaptcha",
        ("hcaptcha", _) => "a secret of hCaptcha",
        ("turnstile", Role::SiteKey) => "a site key of Turnstile",
        ("turnstile", _) => "a secret of Turnstile",
        ("recaptcha-enterprise", _) => "an API key of Google Cloud",
        _ => "a key of reCAPTCHA",
    }
}

/// Refuses keys of an account of `kind` that cannot be right.
///
/// # Errors
///
/// [`ConfigError`] for `site_key` or `secret`. It does not show the secret.
pub(crate) fn check_keys(
    kind: ProviderKind,
    site_key: Option<&str>,
    secret: Option<&Secret>,
    test_keys: TestKeyPolicy,
) -> Result<(), ConfigError> {
    let name = kind.as_str();
    let secret = secret.map(Secret::expose);
    let keys = [
        (
            "site_key",
            Role::SiteKey,
            site_key.filter(|_| !kind.is_self_hosted()),
        ),
        ("secret", Role::Secret, secret),
    ];
    for (field, role, key) in keys {
        let Some(key) = key else { continue };
        let wrong = |problem: String, remedy: &str| {
            Err(ConfigError::new(field, problem, remedy.to_owned()))
        };
        let quotes = [
            '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}',
        ];
        if key.starts_with(quotes) || key.ends_with(quotes) {
            return wrong("begins or ends with a quote".into(), "leave the quotes out");
        }
        let is_placeholder =
            key.starts_with('<') && key.ends_with('>') || key.contains("${") || key.contains("{{");
        if is_placeholder {
            return wrong(
                "is a placeholder".into(),
                "write the key in its place; no variable is replaced in a key",
            );
        }
        if key.ends_with([',', ';']) {
            return wrong("ends with a separator".into(), "leave the separator out");
        }
        // Providers of another kind may have keys of any form. The form of CaptchaLa's keys is not
        // known, and may be that of a UUID.
        let has_form = matches!(name, "hcaptcha" | "turnstile")
            || name.starts_with("recaptcha")
            || name == "captchala" && form_of(key) != Some(("hcaptcha", Role::SiteKey));
        if has_form && let Some(form) = form_of(key).filter(|form| !fits(name, role, *form)) {
            let problem = format!("looks like {}, and the account is {name}", shown(form));
            return wrong(
                problem,
                "copy the key from the dashboard of the right provider",
            );
        }
    }
    if let (Some(site_key), Some(secret)) = (site_key, secret)
        && site_key == secret
    {
        return Err(ConfigError::new(
            "secret",
            "is the same as the site key",
            "copy the secret, which the dashboard shows beside the site key",
        ));
    }
    if name == "hcaptcha"
        && let Some(site_key) = site_key
        && form_of(site_key).is_none()
    {
        return Err(ConfigError::new(
            "site_key",
            "is not a UUID, as all site keys of hCaptcha are",
            "copy it from hCaptcha's dashboard, such as a0000000-0000-4000-8000-000000000001",
        ));
    }
    if let Some(site_key) = site_key
        && is_test_site_key(site_key)
        && !test_keys.allowed()
    {
        return Err(ConfigError::new(
            "site_key",
            "is a published test site key, whose tokens no other secret accepts",
            human_check_http::adapter::TEST_SECRET_REMEDY,
        ));
    }
    Ok(())
}

#[cfg(test)]
#[cfg(all(feature = "hcaptcha", feature = "recaptcha", feature = "turnstile"))]
mod tests {
    use super::*;

    const HCAPTCHA: &str = "a0000000-0000-4000-8000-000000000001";
    const TURNSTILE: &str = "0x4AAAAAAAAAAAAAAAAAAAAA";
    const TURNSTILE_SECRET: &str = "0x4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const RECAPTCHA: &str = "6LdAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn problem(kind: ProviderKind, site_key: &str, secret: &str) -> String {
        let secret = Secret::new(secret).unwrap();
        let checked = check_keys(kind, Some(site_key), Some(&secret), TestKeyPolicy::Refused);
        checked.map_or_else(
            |error| {
                let shown = error.to_string();
                assert!(
                    secret.expose().len() < 10 || !shown.contains(secret.expose()),
                    "{shown}"
                );
                format!("{} {}", error.field(), error.problem())
            },
            |()| String::new(),
        )
    }

    #[test]
    fn keys_of_another_kind_or_role_are_refused() {
        use ProviderKind::{Hcaptcha, RecaptchaEnterprise, RecaptchaV2, RecaptchaV3, Turnstile};
        let es = "ES_0123456789abcdef0123456789abcdef";
        let api_key = "AIzaAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let other = "6LdBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
        for (kind, site_key, secret, wrong) in [
            (Turnstile, TURNSTILE, TURNSTILE_SECRET, ""),
            (
                Turnstile,
                "0x4AAAAAAADemoSiteKey",
                "0x4AAAAAAADemoSecret",
                "",
            ),
            (Turnstile, HCAPTCHA, TURNSTILE_SECRET, "site_key looks"),
            (Turnstile, RECAPTCHA, TURNSTILE_SECRET, "site_key looks"),
            (
                Turnstile,
                TURNSTILE_SECRET,
                TURNSTILE_SECRET,
                "site_key looks",
            ),
            (Turnstile, TURNSTILE, TURNSTILE, "secret looks"),
            (Turnstile, "same", "same", "secret is the same"),
            (
                Turnstile,
                "\"0x4AAAAAAADemoSiteKey\"",
                "x",
                "site_key begins",
            ),
            (Turnstile, "x", "'0x4AAAAAAADemoSecret'", "secret begins"),
            (Turnstile, "<site key>", "x", "site_key is a placeholder"),
            (Turnstile, "x", "${SECRET}", "secret is a placeholder"),
            (Turnstile, "x", "{{secret}}", "secret is a placeholder"),
            (Turnstile, "x", "0x4AAAAAAADemoSecret,", "secret ends"),
            (
                Turnstile,
                "1x00000000000000000000AA",
                TURNSTILE_SECRET,
                "site_key is a published",
            ),
            (Hcaptcha, HCAPTCHA, es, ""),
            (
                Hcaptcha,
                HCAPTCHA,
                "0x0123456789012345678901234567890123456789",
                "",
            ),
            (Hcaptcha, "not-a-uuid", es, "site_key is not a UUID"),
            (Hcaptcha, TURNSTILE, es, "site_key looks"),
            (Hcaptcha, es, es, "site_key looks"),
            (Hcaptcha, HCAPTCHA, HCAPTCHA, "secret looks"),
            (Hcaptcha, HCAPTCHA, RECAPTCHA, "secret looks"),
            (
                Hcaptcha,
                "10000000-FFFF-ffff-ffff-000000000001",
                es,
                "site_key is a published",
            ),
            (RecaptchaV2, RECAPTCHA, other, ""),
            (RecaptchaV3, RECAPTCHA, other, ""),
            (RecaptchaV3, RECAPTCHA, RECAPTCHA, "secret is the same"),
            (RecaptchaV3, RECAPTCHA, api_key, "secret looks"),
            (RecaptchaV2, TURNSTILE, other, "site_key looks"),
            (
                RecaptchaV2,
                "6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI",
                other,
                "site_key is a published",
            ),
            (RecaptchaEnterprise, RECAPTCHA, api_key, ""),
            (RecaptchaEnterprise, RECAPTCHA, other, "secret looks"),
            (RecaptchaEnterprise, HCAPTCHA, api_key, "site_key looks"),
        ] {
            let problem = problem(kind, site_key, secret);
            assert!(
                problem.starts_with(wrong),
                "{kind} {site_key}: {problem:?}, not {wrong:?}"
            );
            assert_eq!(
                problem.is_empty(),
                wrong.is_empty(),
                "{kind} {site_key}: {problem:?}"
            );
        }
    }
}
