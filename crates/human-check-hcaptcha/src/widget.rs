use human_check_core::adapter::{ChoiceAttribute, WidgetApi, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::HCAPTCHA;

/// The sources that hCaptcha requires in four directives. Single subdomains must not be named,
/// because they change. See docs/providers/hcaptcha.md#widget.
const HOSTS: &[&str] = &["https://hcaptcha.com", "https://*.hcaptcha.com"];

static SPEC: WidgetSpec = WidgetSpec {
    // Without this the script also fills `g-recaptcha-response` and sets `window.grecaptcha`,
    // which breaks a reCAPTCHA widget on the same page.
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
    api: WidgetApi::Render("hcaptcha"),
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

/// Creates the description of hCaptcha's widget for a page. The provider's script adds the form
/// field.
///
/// Options:
///
/// | method | values |
/// | --- | --- |
/// | [`Widget::with_theme`] | `light`, `dark` |
/// | [`Widget::with_size`] | `normal`, `compact` |
/// | [`Widget::with_language`] | a language tag; the script has one language for the whole page |
///
/// The widget has no action and no binding, and its field cannot be renamed. The size `invisible`
/// is not offered, because the page would have to start the challenge itself.
///
/// ```
/// let widget = human_check_hcaptcha::widget("10000000-ffff-ffff-ffff-000000000001")?
///     .with_theme("dark")?
///     .with_size("compact")?;
/// assert_eq!(widget.field(), "h-captcha-response");
/// assert!(widget.with_action("login").is_err());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/hcaptcha.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank or holds characters that are not printable ASCII.
pub fn widget(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&HCAPTCHA, site_key, &SPEC)
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
    fn unknown_options_are_refused() {
        let widget = || widget(SITE_KEY).unwrap();
        assert!(widget().with_action("login").is_err());
        assert!(widget().with_binding("session").is_err());
        assert!(widget().with_field("token").is_err());
        assert!(widget().with_theme("auto").is_err());
        assert!(widget().with_size("invisible").is_err());
    }
}
