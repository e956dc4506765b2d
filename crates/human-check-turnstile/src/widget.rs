use human_check_core::adapter::{
    ChoiceAttribute, TextAttribute, WidgetApi, WidgetSources, WidgetSpec,
};
use human_check_core::{ConfigError, Widget};

use crate::TURNSTILE;

static SPEC: WidgetSpec = WidgetSpec {
    action: Some(TextAttribute {
        attribute: "data-action",
        punctuation: "_-",
        max_chars: 32,
    }),
    binding: Some(TextAttribute {
        attribute: "data-cdata",
        punctuation: "_-",
        max_chars: 255,
    }),
    language_attribute: Some("data-language"),
    theme: Some(ChoiceAttribute {
        attribute: "data-theme",
        values: &["auto", "light", "dark"],
    }),
    size: Some(ChoiceAttribute {
        attribute: "data-size",
        values: &["normal", "flexible", "compact"],
    }),
    field_attribute: Some("data-response-field-name"),
    api: WidgetApi::Render("turnstile"),
    sources: WidgetSources {
        script: &["https://challenges.cloudflare.com"],
        frame: &["https://challenges.cloudflare.com"],
        ..WidgetSources::NONE
    },
    ..WidgetSpec::new(
        "https://challenges.cloudflare.com/turnstile/v0/api.js",
        "cf-turnstile",
        "data-sitekey",
    )
};

/// Creates the description of Turnstile's widget for a page. The provider's script adds the form
/// field.
///
/// Options:
///
/// | method | values |
/// | --- | --- |
/// | [`Widget::with_action`] | 1 to 32 ASCII letters, digits, `_`, `-` |
/// | [`Widget::with_binding`] | 1 to 255 of the same, as `data-cdata` |
/// | [`Widget::with_theme`] | `auto`, `light`, `dark` |
/// | [`Widget::with_size`] | `normal`, `flexible`, `compact` |
/// | [`Widget::with_language`] | a language tag |
/// | [`Widget::with_field`] | another name of the form field; see [`Turnstile::with_form_fields`](crate::Turnstile::with_form_fields) |
///
/// The settings of the site key decide whether a visitor has to click. With pre-clearance the
/// page's Content-Security-Policy also needs `connect-src 'self'`, which
/// [`Widget::csp_sources`] does not list.
///
/// ```
/// let widget = human_check_turnstile::widget("1x00000000000000000000AA")?
///     .with_action("signup")?
///     .with_theme("dark")?;
/// assert_eq!(widget.field(), "cf-turnstile-response");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/turnstile.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank or holds characters that are not printable ASCII.
pub fn widget(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&TURNSTILE, site_key, &SPEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_element_is_the_one_the_script_looks_for() {
        let widget = widget("1x00000000000000000000AA")
            .and_then(|w| w.with_action("sign-up"))
            .and_then(|w| w.with_binding("session_1"))
            .and_then(|w| w.with_language("de"))
            .and_then(|w| w.with_theme("auto"))
            .and_then(|w| w.with_size("flexible"))
            .and_then(|w| w.with_field("token"))
            .unwrap();
        assert_eq!(
            widget.attributes().collect::<Vec<_>>(),
            [
                ("class", "cf-turnstile"),
                ("data-sitekey", "1x00000000000000000000AA"),
                ("data-action", "sign-up"),
                ("data-cdata", "session_1"),
                ("data-language", "de"),
                ("data-theme", "auto"),
                ("data-size", "flexible"),
                ("data-response-field-name", "token"),
            ]
        );
        assert_eq!(
            widget.script_src(),
            "https://challenges.cloudflare.com/turnstile/v0/api.js"
        );
        assert_eq!(widget.field(), "token");
    }

    #[test]
    fn actions_and_bindings_are_as_long_as_turnstile_takes_them() {
        let widget = || widget("key").unwrap();
        assert!(widget().with_action("a".repeat(32)).is_ok());
        assert!(widget().with_action("a".repeat(33)).is_err());
        assert!(widget().with_binding("a".repeat(255)).is_ok());
        assert!(widget().with_binding("a".repeat(256)).is_err());
        assert!(widget().with_action("sign/up").is_err());
        assert!(widget().with_size("invisible").is_err());
    }
}
