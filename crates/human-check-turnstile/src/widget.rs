use human_check_core::adapter::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::TURNSTILE;

static FACTS: WidgetSpec = WidgetSpec {
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

/// Turnstile's widget, which adds its field to the form by itself (turnstile.md sections 9.1 to
/// 9.3).
///
/// It knows every option: action and binding (`data-cdata`), the themes `auto`, `light` and
/// `dark`, the sizes `normal`, `flexible` and `compact`, a language, and another field name.
/// Whether a visitor has to click is a property of the site key. With pre-clearance the policy
/// also needs `connect-src 'self'` (section 9.7), which is left to you.
///
/// # Errors
///
/// [`ConfigError`] when the site key cannot be one.
pub fn widget(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&TURNSTILE, site_key, &FACTS)
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
