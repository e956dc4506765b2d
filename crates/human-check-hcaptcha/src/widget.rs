use human_check_core::adapter::{ChoiceAttribute, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::HCAPTCHA;

/// Section 8.6 wants both in each of four directives, and no single subdomain named.
const HOSTS: &[&str] = &["https://hcaptcha.com", "https://*.hcaptcha.com"];

static FACTS: WidgetSpec = WidgetSpec {
    // Otherwise the script also fills `g-recaptcha-response` and installs `window.grecaptcha`
    // (section 8.1), and both get in the way of a reCAPTCHA on the same page.
    parameters: &[("recaptchacompat", "off")],
    language_parameter: Some("hl"),
    theme: Some(ChoiceAttribute {
        attribute: "data-theme",
        values: &["light", "dark"],
    }),
    size: Some(ChoiceAttribute {
        attribute: "data-size",
        values: &["normal", "compact"],
    }),
    sources: WidgetSources {
        script: HOSTS,
        frame: HOSTS,
        style: HOSTS,
        connect: HOSTS,
        ..WidgetSources::NONE
    },
    ..WidgetSpec::new(
        "https://js.hcaptcha.com/1/api.js",
        "h-captcha",
        "data-sitekey",
    )
};

/// hCaptcha's widget, which adds its field to the form by itself (hcaptcha.md sections 8.1 to 8.3).
///
/// It knows the themes `light` and `dark`, the sizes `normal` and `compact`, and a language, which
/// is the script's and so the same for the whole page. It carries neither an action nor a binding,
/// and its field keeps its name. The size `invisible` is left out, since the page then has to start
/// the challenge itself.
///
/// # Errors
///
/// [`ConfigError`] when the site key cannot be one.
pub fn widget(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&HCAPTCHA, site_key, &FACTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE_KEY: &str = "10000000-ffff-ffff-ffff-000000000001";

    #[test]
    fn the_element_is_the_one_the_script_looks_for() {
        let widget = widget(SITE_KEY)
            .and_then(|w| w.with_theme("dark"))
            .and_then(|w| w.with_size("compact"))
            .and_then(|w| w.with_language("zh-CN"))
            .unwrap();
        assert_eq!(
            widget.attributes().collect::<Vec<_>>(),
            [
                ("class", "h-captcha"),
                ("data-sitekey", SITE_KEY),
                ("data-theme", "dark"),
                ("data-size", "compact"),
            ]
        );
        assert_eq!(
            widget.script_src(),
            "https://js.hcaptcha.com/1/api.js?recaptchacompat=off&hl=zh-CN"
        );
        assert_eq!(widget.field(), "h-captcha-response");
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        let widget = || widget(SITE_KEY).unwrap();
        assert!(widget().with_action("login").is_err());
        assert!(widget().with_binding("session").is_err());
        assert!(widget().with_field("token").is_err());
        assert!(widget().with_theme("auto").is_err());
        assert!(widget().with_size("invisible").is_err());
    }
}
