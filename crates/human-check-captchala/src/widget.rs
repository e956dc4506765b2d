use human_check_core::adapter::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::CAPTCHALA;

static FACTS: WidgetSpec = WidgetSpec {
    // Actions are free text (section 8). Every one that is known fits in here; the limit is ours.
    action: Some(TextAttribute {
        attribute: "data-action",
        punctuation: "_-./:",
        max_chars: 100,
    }),
    language_attribute: Some("data-lang"),
    theme: Some(ChoiceAttribute {
        attribute: "data-theme",
        values: &["dark", "stereoscopic"],
    }),
    hidden_input: true,
    glue: Some(include_str!("widget_loader.js")),
    // Section 15.6: the script hosts and the first API host are certain, the rest is inferred.
    sources: WidgetSources {
        script: &["https://cdn.captcha-cdn.net", "https://cdn.captchala.com"],
        style: &[
            "https://cdn.captcha-cdn.net",
            "https://cdn.captchala.com",
            "'unsafe-inline'",
        ],
        connect: &[
            "https://apiv1.captcha.la",
            "https://fallbackapiv1.captchala.com",
        ],
        img: &[
            "https://cdn.captcha-cdn.net",
            "https://cdn.captchala.com",
            "https://apiv1.captcha.la",
            "data:",
            "blob:",
        ],
        worker: &["blob:"],
        ..WidgetSources::NONE
    },
    ..WidgetSpec::new(
        "https://cdn.captcha-cdn.net/captchala-loader.js",
        "human-check-captchala",
        "data-app-key",
    )
};

/// CaptchaLa's widget, shown in the form (captchala.md sections 15.1 to 15.4).
///
/// `site_key` is the app key. The provider's script adds no field, so the page adds a hidden input
/// and a glue script that fills it. The glue starts when the page is there, and anew when the
/// browser brings the page back; a page that posts its form without leaving asks for a new body
/// by dispatching the event `human-check:again` on `document`.
///
/// It knows an action, a language, the themes `dark` and `stereoscopic`, and another field name.
/// A server token goes into [`Widget::with_data`] as `server-token`; it should allow three uses or
/// more, since the widget may spend one when it preloads (section 9.1). The data `product` chooses
/// `embed` instead of `float`.
///
/// What its policy needs is partly inferred and wide: inline styles, and images from `data:` and
/// `blob:` (section 15.6). Nobody has watched it in a browser for this.
///
/// # Errors
///
/// [`ConfigError`] when the app key cannot be one.
pub fn widget(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&CAPTCHALA, site_key, &FACTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_element_is_the_one_the_glue_looks_for() {
        let widget = widget("app_1")
            .and_then(|w| w.with_action("lost_password"))
            .and_then(|w| w.with_language("pt-BR"))
            .and_then(|w| w.with_theme("dark"))
            .and_then(|w| w.with_data("server-token", "sct_1"))
            .unwrap();
        assert_eq!(
            widget.attributes().collect::<Vec<_>>(),
            [
                ("class", "human-check-captchala"),
                ("data-app-key", "app_1"),
                ("data-action", "lost_password"),
                ("data-lang", "pt-BR"),
                ("data-theme", "dark"),
                ("data-server-token", "sct_1"),
            ]
        );
        assert_eq!(widget.field(), "captchala_token");
        assert_eq!(
            widget.with_field("captcha_token").unwrap().field(),
            "captcha_token"
        );
    }

    #[test]
    fn the_glue_finds_its_elements_and_stays_between_its_tags() {
        let glue = FACTS.glue.unwrap();
        assert!(glue.contains(FACTS.class));
        assert!(!glue.contains("</") && !glue.contains("<!--"));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        let widget = || widget("app_1").unwrap();
        assert!(widget().with_binding("user").is_err());
        assert!(widget().with_size("compact").is_err());
        assert!(widget().with_theme("light").is_err());
    }
}
