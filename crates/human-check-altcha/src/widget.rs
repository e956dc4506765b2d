use human_check_core::adapter::{ChoiceAttribute, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::ALTCHA;

static FACTS: WidgetSpec = WidgetSpec {
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
    // Section 6: the external build, watched under `default-src 'self'`.
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

/// The proof of work's widget, from the page's own origin (section 6).
///
/// `challenge` is where it fetches challenges: a path on the page's own site, or an address that
/// allows the page's origin. It takes the place of a site key. Its script, style and workers come
/// from [`WidgetFiles`](crate::WidgetFiles), which the site serves in one folder; where that is not
/// `/human-check-altcha/`, say so with [`Widget::with_script_url`], by the address of `widget.js` in it.
///
/// It runs under `default-src 'self'`, without inline scripts or styles. It knows a language, another
/// field name, and the sizes that it calls its display: `standard`, `bar`, `floating`, `overlay` and
/// `invisible`. Light and dark follow the page's `color-scheme`.
///
/// # Errors
///
/// [`ConfigError`] when `challenge` is no address.
pub fn widget(challenge: impl Into<String>) -> Result<Widget, ConfigError> {
    let challenge = challenge.into();
    let own = challenge.starts_with('/') && !challenge.starts_with("//");
    // Anything else would be taken for a challenge itself, or for a path beside the page.
    if !own && !challenge.starts_with("https://") && !challenge.starts_with("http://") {
        return Err(ConfigError::new(
            "site_key",
            format!("is {challenge:?}"),
            "write the path of the challenge endpoint, such as `/human-check-altcha/challenge`",
        ));
    }
    Widget::new(&ALTCHA, challenge, &FACTS)
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
