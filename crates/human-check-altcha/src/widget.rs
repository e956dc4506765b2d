use human_check_core::adapter::{ChoiceAttribute, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::ALTCHA;

static SPEC: WidgetSpec = WidgetSpec {
    module: true,
    stylesheet: Some("altcha.css"),
    element: "altcha-widget",
    language_parameter: Some("language"),
    language_attribute: Some("language"),
    size: Some(ChoiceAttribute {
        attribute: "display",
        values: &["standard", "bar", "floating", "overlay", "invisible"],
    }),
    field_attribute: Some("name"),
    // For the widget's external build, which was tried under `default-src 'self'`.
    sources: WidgetSources {
        script: &["'self'"],
        style: &["'self'"],
        connect: &["'self'"],
        worker: &["'self'"],
        ..WidgetSources::NONE
    },
    secure_context: true,
    ..WidgetSpec::new(
        "/human-check-altcha/widget.js",
        "human-check-altcha",
        "challenge",
    )
};

/// Creates the description of the ALTCHA widget for a page.
///
/// `challenge` is where pages fetch challenges: a path on the page's own origin, or a URL that
/// allows the page's origin. It takes the place of a site key. The site serves the widget's script,
/// style and workers from one folder, see [`WidgetFiles`](crate::WidgetFiles). The default folder
/// is `/human-check-altcha/`. For another folder, set the URL of its `widget.js` with
/// [`Widget::with_script_url`].
///
/// Options:
///
/// | method | values |
/// | --- | --- |
/// | [`Widget::with_size`] | `standard`, `bar`, `floating`, `overlay`, `invisible` |
/// | [`Widget::with_language`] | a language tag |
/// | [`Widget::with_field`] | another name of the form field; see [`Altcha::with_form_fields`](crate::Altcha::with_form_fields) |
///
/// There is no inline script or style, so the Content-Security-Policy `default-src 'self'` is
/// enough. Light and dark follow the page's `color-scheme`. Browsers run the widget on secure pages
/// only: HTTPS, `localhost` and `127.0.0.1`.
///
/// ```
/// let widget = human_check_altcha::widget("/human-check-altcha/challenge")?
///     .with_size("floating")?;
/// assert_eq!(widget.script_src(), "/human-check-altcha/widget.js");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/altcha.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when `challenge` neither begins with a single slash nor is a URL of HTTP or
/// HTTPS.
pub fn widget(challenge: impl Into<String>) -> Result<Widget, ConfigError> {
    let challenge = challenge.into();
    let own = challenge.starts_with('/') && !challenge.starts_with("//");
    // The widget would take other text for a challenge in JSON, or for a path relative to the page.
    if !own && !challenge.starts_with("https://") && !challenge.starts_with("http://") {
        return Err(ConfigError::new(
            "site_key",
            format!("is {challenge:?}"),
            "write the path of the challenge endpoint, such as `/human-check-altcha/challenge`",
        ));
    }
    Widget::new(&ALTCHA, challenge, &SPEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_element_is_the_widget_s_own() {
        let widget = widget("/challenge")
            .and_then(|w| w.with_language("de"))
            .and_then(|w| w.with_size("floating"))
            .and_then(|w| w.with_field("proof"))
            .unwrap();
        assert_eq!(
            widget.attributes().collect::<Vec<_>>(),
            [
                ("class", "human-check-altcha"),
                ("challenge", "/challenge"),
                ("language", "de"),
                ("display", "floating"),
                ("name", "proof"),
            ]
        );
        assert_eq!(
            widget.script_src(),
            "/human-check-altcha/widget.js?language=de"
        );
        assert_eq!(
            widget.stylesheet_href().unwrap(),
            "/human-check-altcha/altcha.css"
        );
    }

    #[test]
    fn challenges_come_from_an_address() {
        for bad in [
            "",
            "challenge",
            "//evil.example",
            "{\"parameters\":1}",
            "/a b",
        ] {
            assert!(widget(bad).is_err(), "{bad:?}");
        }
        assert!(widget("https://api.example.com/challenge").is_ok());
    }
}
