use human_check_core::adapter::{ChoiceAttribute, TextAttribute, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, Widget};

use crate::{RECAPTCHA_ENTERPRISE, RECAPTCHA_V2, RECAPTCHA_V3};

const CLASSIC: &str = "https://www.google.com/recaptcha/api.js";
const ENTERPRISE: &str = "https://www.google.com/recaptcha/enterprise.js";

/// Section 4.
const ACTION: TextAttribute = TextAttribute {
    attribute: "data-action",
    punctuation: "/_",
    max_chars: 100,
};

/// Section 9.7. Scripts and frames are Google's list as others restate it, images come from its
/// demonstration, and connections are inferred from sites that needed them. Some of those also
/// needed `style-src 'unsafe-inline'`, which is too wide to ask of everybody.
const SOURCES: WidgetSources = WidgetSources {
    script: &[
        "https://www.google.com/recaptcha/",
        "https://www.gstatic.com/recaptcha/",
    ],
    frame: &[
        "https://www.google.com/recaptcha/",
        "https://recaptcha.google.com/recaptcha/",
    ],
    connect: &["https://www.google.com/recaptcha/"],
    img: &["https://www.gstatic.com/recaptcha/"],
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
    sources: SOURCES,
    ..WidgetSpec::new(CLASSIC, "g-recaptcha", "data-sitekey")
};

static V2: WidgetSpec = CHECKBOX;

static ENTERPRISE_CHECKBOX: WidgetSpec = WidgetSpec {
    script: ENTERPRISE,
    action: Some(ACTION),
    ..CHECKBOX
};

/// The classes are ours, so that Google's script, which binds `g-recaptcha` by itself, leaves the
/// element to the glue.
const SCORE: WidgetSpec = WidgetSpec {
    site_key_parameter: Some("render"),
    language_parameter: Some("hl"),
    action: Some(ACTION),
    hidden_input: true,
    glue: Some(include_str!("widget_score.js")),
    sources: SOURCES,
    ..WidgetSpec::new(CLASSIC, "human-check-recaptcha-v3", "data-sitekey")
};

static V3: WidgetSpec = SCORE;

static ENTERPRISE_SCORE: WidgetSpec = WidgetSpec {
    script: ENTERPRISE,
    class: "human-check-recaptcha-enterprise",
    ..SCORE
};

/// The checkbox of reCAPTCHA v2, which adds its field to the form by itself (recaptcha.md sections
/// 9.1 and 9.2).
///
/// It knows the themes `light` and `dark`, the sizes `normal` and `compact`, and a language, which
/// is the script's and so the same for the whole page. It carries no action.
///
/// # Errors
///
/// [`ConfigError`] when the site key cannot be one.
pub fn widget_v2(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_V2, site_key, &V2)
}

/// reCAPTCHA v3, which shows nothing but its badge and asks for a score when the form is submitted
/// (section 9.4).
///
/// Google's script adds no field, so the page adds a hidden input and a glue script that fills it.
/// The badge holds an element named `g-recaptcha-response` as well. It is outside the form and the
/// glue looks inside its own element only, so the form posts one such field; where something else
/// adds a second one, rename this one with [`Widget::with_field`].
///
/// It knows an action, a language and another field name. Whether a checkbox and a score can share
/// a page is not settled: both load `api.js`, with different queries.
///
/// # Errors
///
/// [`ConfigError`] when the site key cannot be one.
pub fn widget_v3(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_V3, site_key, &V3)
}

/// The checkbox of reCAPTCHA Enterprise, like [`widget_v2`] but with an action (sections 9.2 and
/// 9.5).
///
/// # Errors
///
/// [`ConfigError`] when the site key cannot be one.
pub fn widget_enterprise_checkbox(site_key: impl Into<String>) -> Result<Widget, ConfigError> {
    Widget::new(&RECAPTCHA_ENTERPRISE, site_key, &ENTERPRISE_CHECKBOX)
}

/// The score of reCAPTCHA Enterprise, like [`widget_v3`] (sections 9.4 and 9.5).
///
/// Also for keys that decide by a policy whether to show a challenge, which is inferred: it is
/// `execute` that shows one.
///
/// # Errors
///
/// [`ConfigError`] when the site key cannot be one.
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
        for facts in [&V3, &ENTERPRISE_SCORE] {
            let glue = facts.glue.unwrap();
            assert!(glue.contains(facts.class));
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
                "https://www.gstatic.com/recaptcha/"
            ]
        );
    }
}
