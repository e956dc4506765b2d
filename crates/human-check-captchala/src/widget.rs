use human_check_core::adapter::{
    ChoiceAttribute, TextAttribute, WidgetApi, WidgetSources, WidgetSpec,
};
use human_check_core::{ConfigError, Widget};

use crate::CAPTCHALA;

static SPEC: WidgetSpec = WidgetSpec {
    // For CaptchaLa an action is free text. The limits are human-check's own.
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
    api: WidgetApi::CaptchaLa,
    glue: Some(include_str!("widget_loader.js")),
    // The script hosts and the first API host were observed. The other sources are inferred.
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

/// Creates the description of CaptchaLa's widget for a page. `site_key` is the app key.
///
/// The provider's script adds no form field (inferred), so the page gets a hidden input and an
/// inline script that starts the widget and fills the input. The script starts a new challenge when
/// the browser restores the page. A page that posts its form by script requests a new challenge by
/// dispatching the event `human-check:again` on `document`.
///
/// Options:
///
/// | method | values |
/// | --- | --- |
/// | [`Widget::with_action`] | 1 to 100 ASCII letters, digits and `_-./:` |
/// | [`Widget::with_theme`] | `dark`, `stereoscopic` |
/// | [`Widget::with_language`] | a language tag |
/// | [`Widget::with_field`] | another name of the form field; see [`CaptchaLa::with_form_fields`](crate::CaptchaLa::with_form_fields) |
/// | [`Widget::with_data`] of `server-token` | a [server token](crate::ServerToken) for three uses or more |
/// | [`Widget::with_data`] of `product` | `float` (default), `embed` |
///
/// The sources for a Content-Security-Policy are partly inferred and wide: inline styles, and
/// images from `data:` and `blob:`. They were not tried in a browser with the provider's own
/// script.
///
/// ```
/// let widget = human_check_captchala::widget("app_key_of_the_page")?
///     .with_action("login")?
///     .with_data("product", "embed")?;
/// assert_eq!(widget.field(), "captchala_token");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/captchala.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the app key is blank or holds characters that are not printable ASCII.
pub fn widget(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&CAPTCHALA, site_key, &SPEC)
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
        let glue = SPEC.glue.unwrap();
        assert!(glue.contains(SPEC.class));
        assert!(!glue.contains("</") && !glue.contains("<!--"));
    }

    #[test]
    fn unknown_options_are_refused() {
        let widget = || widget("app_1").unwrap();
        assert!(widget().with_binding("user").is_err());
        assert!(widget().with_size("compact").is_err());
        assert!(widget().with_theme("light").is_err());
    }
}
