use human_check_core::adapter::{
    ChoiceAttribute, TextAttribute, WidgetApi, WidgetSources, WidgetSpec,
};
use human_check_core::{ConfigError, Widget};

use crate::{RECAPTCHA_ENTERPRISE, RECAPTCHA_V2, RECAPTCHA_V3};

const CLASSIC: &str = "https://www.google.com/recaptcha/api.js";
const ENTERPRISE: &str = "https://www.google.com/recaptcha/enterprise.js";

/// The actions that Google accepts. See docs/providers/recaptcha.md#widget.
const ACTION: TextAttribute = TextAttribute {
    attribute: "data-action",
    punctuation: "/_",
    max_chars: 100,
};

/// The sources for a Content-Security-Policy. Scripts and frames are Google's list as others
/// restate it. Images were observed on Google's demonstration, and connections on some sites. Some
/// sites also need `style-src 'unsafe-inline'`, which is left out because it weakens every page.
///
/// See docs/providers/recaptcha.md#widget.
const SOURCES: WidgetSources = WidgetSources {
    script: &[
        "https://www.google.com/recaptcha/",
        "https://www.gstatic.com/recaptcha/",
        // Visitors in China get the second part of the script from here.
        "https://www.gstatic.cn/recaptcha/",
    ],
    frame: &[
        "https://www.google.com/recaptcha/",
        "https://recaptcha.google.com/recaptcha/",
    ],
    connect: &["https://www.google.com/recaptcha/"],
    img: &[
        "https://www.gstatic.com/recaptcha/",
        "https://www.gstatic.cn/recaptcha/",
    ],
    ..WidgetSources::NONE
};

const CHECKBOX: WidgetSpec = WidgetSpec {
    language_parameter: Some("hl"),
    theme: Some(ChoiceAttribute {
        attribute: "data-theme",
        values: &["light", "dark"],
    }),
    size: Some(ChoiceAttribute {
        attribute: "data-size",
        values: &["normal", "compact"],
    }),
    api: WidgetApi::Render("grecaptcha"),
    sources: SOURCES,
    ..WidgetSpec::new(CLASSIC, "g-recaptcha", "data-sitekey")
};

static V2: WidgetSpec = CHECKBOX;

static ENTERPRISE_CHECKBOX: WidgetSpec = WidgetSpec {
    script: ENTERPRISE,
    action: Some(ACTION),
    api: WidgetApi::Render("grecaptcha.enterprise"),
    ..CHECKBOX
};

/// The class names are human-check's own. Google's script takes over every element of the class
/// `g-recaptcha`, which has to be left to the inline script.
const SCORE: WidgetSpec = WidgetSpec {
    site_key_parameter: Some("render"),
    language_parameter: Some("hl"),
    action: Some(ACTION),
    hidden_input: true,
    glue: Some(include_str!("widget_score.js")),
    api: WidgetApi::Execute("grecaptcha"),
    sources: SOURCES,
    ..WidgetSpec::new(CLASSIC, "human-check-recaptcha-v3", "data-sitekey")
};

static V3: WidgetSpec = SCORE;

static ENTERPRISE_SCORE: WidgetSpec = WidgetSpec {
    script: ENTERPRISE,
    class: "human-check-recaptcha-enterprise",
    api: WidgetApi::Execute("grecaptcha.enterprise"),
    ..SCORE
};

/// Creates the description of the reCAPTCHA v2 checkbox for a page. Google's script adds the form
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
/// The widget has no action, and its field cannot be renamed.
///
/// ```
/// let widget = human_check_recaptcha::widget_v2("6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI")?
///     .with_theme("dark")?;
/// assert_eq!(widget.field(), "g-recaptcha-response");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/recaptcha.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank or holds characters that are not printable ASCII.
pub fn widget_v2(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_V2, site_key, &V2)
}

/// Creates the description of the reCAPTCHA v3 widget for a page. It shows a badge only.
///
/// The page gets a hidden input and an inline script. When the form is submitted, the script asks
/// Google for a token, waits at most 10 s, fills the input and submits the form. Without a token
/// the form is submitted all the same, and the server refuses it.
///
/// Options:
///
/// | method | values |
/// | --- | --- |
/// | [`Widget::with_action`] | 1 to 100 ASCII letters, digits, `/`, `_` |
/// | [`Widget::with_language`] | a language tag |
/// | [`Widget::with_field`] | another name of the form field; see [`RecaptchaV3::with_form_fields`](crate::RecaptchaV3::with_form_fields) |
///
/// Google's badge holds another element named `g-recaptcha-response`, outside of the form
/// (observed). Where another element of the form has that name, too, rename this field.
///
/// A checkbox and a score on one page load `api.js` with two different queries. Whether that works
/// is not established.
///
/// ```
/// let widget = human_check_recaptcha::widget_v3("site-key")?.with_action("login")?;
/// assert_eq!(
///     widget.script_src(),
///     "https://www.google.com/recaptcha/api.js?render=site-key"
/// );
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/recaptcha.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank or holds characters that are not printable ASCII.
pub fn widget_v3(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_V3, site_key, &V3)
}

/// Creates the description of the reCAPTCHA Enterprise checkbox for a page.
///
/// It has the options of [`widget_v2`], and also [`Widget::with_action`]: 1 to 100 ASCII letters,
/// digits, `/`, `_`.
///
/// See docs/providers/recaptcha.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank or holds characters that are not printable ASCII.
pub fn widget_enterprise_checkbox(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_ENTERPRISE, site_key, &ENTERPRISE_CHECKBOX)
}

/// Creates the description of the reCAPTCHA Enterprise widget for score keys. It has the options
/// and the inline script of [`widget_v3`].
///
/// It also serves policy-based challenge keys (inferred): Google's function `execute` then shows
/// the challenge.
///
/// See docs/providers/recaptcha.md#widget.
///
/// # Errors
///
/// [`ConfigError`] when the site key is blank or holds characters that are not printable ASCII.
pub fn widget_enterprise_score(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_ENTERPRISE, site_key, &ENTERPRISE_SCORE)
}

#[cfg(test)]
mod tests {
    use human_check_core::Provider;

    use super::*;

    fn all() -> [(Widget, &'static Provider); 4] {
        [
            (widget_v2("key").unwrap(), &RECAPTCHA_V2),
            (widget_v3("key").unwrap(), &RECAPTCHA_V3),
            (
                widget_enterprise_checkbox("key").unwrap(),
                &RECAPTCHA_ENTERPRISE,
            ),
            (
                widget_enterprise_score("key").unwrap(),
                &RECAPTCHA_ENTERPRISE,
            ),
        ]
    }

    #[test]
    fn every_form_posts_a_field_that_the_check_reads() {
        for (widget, provider) in all() {
            assert_eq!(widget.provider(), provider);
            assert!(provider.fields().any(|field| field == widget.field()));
        }
    }

    #[test]
    fn each_loads_its_script_as_its_kind_of_key_wants() {
        let scripts = all().map(|(widget, _)| widget.with_language("de").unwrap().script_src());
        assert_eq!(
            scripts,
            [
                "https://www.google.com/recaptcha/api.js?hl=de",
                "https://www.google.com/recaptcha/api.js?render=key&hl=de",
                "https://www.google.com/recaptcha/enterprise.js?hl=de",
                "https://www.google.com/recaptcha/enterprise.js?render=key&hl=de",
            ]
        );
    }

    #[test]
    fn only_scores_have_a_field_to_rename_and_a_glue() {
        for (widget, _) in all() {
            let score = widget.spec().site_key_parameter.is_some();
            assert_eq!(widget.spec().hidden_input, score);
            assert_eq!(widget.spec().glue.is_some(), score);
            assert_eq!(widget.clone().with_field("token").is_ok(), score);
            assert_eq!(widget.with_theme("dark").is_ok(), !score);
        }
    }

    #[test]
    fn the_glue_finds_its_elements_and_stays_between_its_tags() {
        for spec in [&V3, &ENTERPRISE_SCORE] {
            let glue = spec.glue.unwrap();
            assert!(glue.contains(spec.class));
            assert!(!glue.contains("</") && !glue.contains("<!--"));
        }
    }

    #[test]
    fn actions_are_what_google_takes() {
        let widget = || widget_v3("key").unwrap();
        assert!(widget().with_action("checkout/pay_now").is_ok());
        assert!(widget().with_action("sign-up").is_err());
        assert!(widget_v2("key").unwrap().with_action("login").is_err());
    }

    #[test]
    fn from_recaptcha_net_the_policy_still_names_gstatic() {
        let widget = widget_v2("key")
            .and_then(|w| w.with_script_url("https://www.recaptcha.net/recaptcha/api.js"))
            .unwrap();
        let (directive, sources) = widget.csp_sources().swap_remove(0);
        assert_eq!(directive, "script-src");
        assert_eq!(
            sources,
            [
                "https://www.recaptcha.net",
                "https://www.gstatic.com/recaptcha/",
                "https://www.gstatic.cn/recaptcha/"
            ]
        );
    }
}
