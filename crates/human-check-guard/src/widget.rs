use std::fmt;
use std::sync::{Mutex, PoisonError};

use human_check_core::{ConfigError, Widget};

use crate::csp::checked_nonce;

/// Markup that is already escaped. Only a [`WidgetRenderer`] makes some.
///
/// Template engines escape text, so they have to be told that this is none:
///
/// ```text
/// askama      {{ captcha|safe }}
/// maud        (maud::PreEscaped(captcha.as_str()))
/// minijinja   Value::from_safe_string(captcha.into_string())
/// tera        {{ captcha | safe }}
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Html(String);

impl Html {
    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The markup, given away.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Renders the widgets of one page.
///
/// It remembers which scripts it has written, so make one for each response. Scripts may stand in
/// the head or beside the element; elements belong inside their form.
///
/// ```
/// # use human_check_core::{Provider, Widget};
/// # use human_check_core::adapter::WidgetSpec;
/// # use human_check_guard::WidgetRenderer;
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # static FACTS: WidgetSpec =
/// #     WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey");
/// # let widget = Widget::new(&ACME, "key", &FACTS)?;
/// let page = WidgetRenderer::new().with_nonce("bm9uY2U")?;
/// let head = page.script(&widget);
/// let form = format!("<form method=\"post\">{}<button>Go</button></form>", page.element(&widget));
/// assert_eq!(
///     head.as_str(),
///     r#"<script src="https://acme.example/api.js" async defer nonce="bm9uY2U"></script>"#
/// );
/// assert!(form.contains(r#"<div class="acme" data-sitekey="key"></div>"#));
/// assert_eq!(page.script(&widget).as_str(), "", "once is enough");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// The one inline script there can be is a provider's [glue](human_check_core::adapter::WidgetSpec::glue), which
/// holds nothing of yours. A policy that forbids inline scripts lets it run by the nonce.
#[derive(Debug)]
pub struct WidgetRenderer {
    nonce: Option<String>,
    noscript: String,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    scripts: Vec<Script>,
    glues: Vec<&'static str>,
}

/// What makes two scripts the same: not the language, as the provider's script can speak only one.
#[derive(Debug, Eq, PartialEq)]
struct Script {
    url: String,
    site_key: Option<String>,
}

impl WidgetRenderer {
    /// A page on which nothing is written yet.
    pub fn new() -> Self {
        Self {
            nonce: None,
            noscript: "JavaScript is needed to complete the human check.".to_owned(),
            written: Mutex::default(),
        }
    }

    /// Puts this nonce on every script. The same one belongs into the policy: see
    /// [`CspSources::with_nonce`](crate::CspSources::with_nonce).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not base64 or base64url.
    pub fn with_nonce(mut self, nonce: &str) -> Result<Self, ConfigError> {
        self.nonce = Some(checked_nonce(nonce)?);
        Ok(self)
    }

    /// Says this, as plain text, to visitors without JavaScript.
    #[must_use]
    pub fn with_noscript(mut self, text: impl Into<String>) -> Self {
        self.noscript = text.into();
        self
    }

    /// The scripts that a widget needs and that are not on the page yet.
    ///
    /// Where two widgets share a script that is told a language, the first one's language counts.
    pub fn script(&self, widget: &Widget) -> Html {
        let mut html = String::new();
        let facts = widget.spec();
        let script = Script {
            url: widget.script_url().to_owned(),
            site_key: facts
                .site_key_parameter
                .map(|_| widget.site_key().to_owned()),
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if !written.scripts.contains(&script) {
            written.scripts.push(script);
            if let Some(href) = widget.stylesheet_href() {
                html.push_str("<link rel=\"stylesheet\"");
                attribute(&mut html, "href", &href);
                self.push_nonce(&mut html);
                html.push('>');
            }
            html.push_str("<script");
            if facts.module {
                html.push_str(" type=\"module\"");
            }
            attribute(&mut html, "src", &widget.script_src());
            html.push_str(" async defer");
            self.push_nonce(&mut html);
            html.push_str("></script>");
        }
        if let Some(glue) = facts.glue.filter(|glue| !written.glues.contains(glue)) {
            written.glues.push(glue);
            html.push_str("<script");
            self.push_nonce(&mut html);
            html.push('>');
            html.push_str(glue);
            html.push_str("</script>");
        }
        Html(html)
    }

    /// The element that becomes the widget, for inside a form. One for each form.
    pub fn element(&self, widget: &Widget) -> Html {
        let element = widget.spec().element;
        let mut html = format!("<{element}");
        for (name, value) in widget.attributes() {
            attribute(&mut html, name, value);
        }
        html.push('>');
        if widget.spec().hidden_input {
            html.push_str("<input type=\"hidden\"");
            attribute(&mut html, "name", widget.field());
            // Browsers bring back what a hidden input held, and a spent answer is worth nothing.
            html.push_str(" value=\"\" autocomplete=\"off\">");
        }
        html.push_str("</");
        html.push_str(element);
        html.push_str("><noscript><p>");
        escape(&self.noscript, &mut html);
        html.push_str("</p></noscript>");
        Html(html)
    }

    /// Scripts and element in one, for inside a form.
    pub fn html(&self, widget: &Widget) -> Html {
        let mut html = self.script(widget).0;
        html.push_str(&self.element(widget).0);
        Html(html)
    }

    /// Scripts and elements of several widgets, for a form that any of them can answer.
    pub fn html_of<'a>(&self, widgets: impl IntoIterator<Item = &'a Widget>) -> Html {
        Html(
            widgets
                .into_iter()
                .map(|widget| self.html(widget).0)
                .collect(),
        )
    }

    fn push_nonce(&self, html: &mut String) {
        if let Some(nonce) = &self.nonce {
            attribute(html, "nonce", nonce);
        }
    }
}

impl Default for WidgetRenderer {
    fn default() -> Self {
        Self::new()
    }
}

/// Names are never a visitor's: they are a provider's, or limited to `[a-z0-9-]` by the widget.
fn attribute(html: &mut String, name: &str, value: &str) {
    html.push(' ');
    html.push_str(name);
    html.push_str("=\"");
    escape(value, html);
    html.push('"');
}

fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            _ => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use human_check_core::Provider;
    use human_check_core::adapter::{ChoiceAttribute, TextAttribute, WidgetSpec};

    use super::*;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);
    static ROBO: Provider = Provider::new("robo", &["robo-response"]);

    /// Adds its own field, takes options in attributes.
    static BOX: WidgetSpec = WidgetSpec {
        action: Some(TextAttribute {
            attribute: "data-action",
            punctuation: "_",
            max_chars: 32,
        }),
        language_attribute: Some("data-language"),
        theme: Some(ChoiceAttribute {
            attribute: "data-theme",
            values: &["light", "dark"],
        }),
        size: Some(ChoiceAttribute {
            attribute: "data-size",
            values: &["normal", "compact"],
        }),
        ..WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey")
    };

    /// Needs a hidden input and glue, takes key and language in its script's query.
    static SCORE: WidgetSpec = WidgetSpec {
        site_key_parameter: Some("render"),
        language_parameter: Some("hl"),
        hidden_input: true,
        glue: Some("glue();"),
        ..WidgetSpec::new("https://robo.example/api.js", "robo", "data-sitekey")
    };

    const ATTACK: &str = "\"><script>alert(1)</script>";

    fn acme() -> Widget {
        Widget::new(&ACME, "key", &BOX).unwrap()
    }

    fn robo(key: &str) -> Widget {
        Widget::new(&ROBO, key, &SCORE).unwrap()
    }

    #[test]
    fn options_are_attributes_of_the_element() {
        let widget = acme()
            .with_action("sign_up")
            .and_then(|w| w.with_language("de"))
            .and_then(|w| w.with_theme("dark"))
            .and_then(|w| w.with_size("compact"))
            .and_then(|w| w.with_data("tabindex", "2"))
            .unwrap();
        assert_eq!(
            WidgetRenderer::new().element(&widget).as_str(),
            "<div class=\"acme\" data-sitekey=\"key\" data-action=\"sign_up\" \
             data-language=\"de\" data-theme=\"dark\" data-size=\"compact\" \
             data-tabindex=\"2\"></div><noscript><p>JavaScript is needed to complete the human \
             check.</p></noscript>"
        );
    }

    #[test]
    fn a_module_and_its_style_sheet_are_loaded_and_its_own_element_is_written() {
        static OWN: WidgetSpec = WidgetSpec {
            module: true,
            stylesheet: Some("own.css"),
            element: "own-widget",
            ..WidgetSpec::new("/captcha/own.js", "own", "challenge")
        };
        let widget = Widget::new(&ACME, "/challenge?a=1&b=2", &OWN).unwrap();
        let page = WidgetRenderer::new()
            .with_nonce("bm9uY2U")
            .unwrap()
            .with_noscript("none");
        assert_eq!(
            page.html(&widget).as_str(),
            "<link rel=\"stylesheet\" href=\"/captcha/own.css\" nonce=\"bm9uY2U\">\
             <script type=\"module\" src=\"/captcha/own.js\" async defer nonce=\"bm9uY2U\"></script>\
             <own-widget class=\"own\" challenge=\"/challenge?a=1&amp;b=2\"></own-widget>\
             <noscript><p>none</p></noscript>"
        );
        assert_eq!(page.script(&widget).as_str(), "", "once is enough");
    }

    #[test]
    fn a_hidden_input_is_inside_its_element() {
        let page = WidgetRenderer::new().with_noscript("none");
        assert_eq!(
            page.element(&robo("key")).as_str(),
            "<div class=\"robo\" data-sitekey=\"key\"><input type=\"hidden\" \
             name=\"robo-response\" value=\"\" autocomplete=\"off\"></div>\
             <noscript><p>none</p></noscript>"
        );
        let renamed = robo("key").with_field("token").unwrap();
        assert!(page.element(&renamed).as_str().contains(" name=\"token\" "));
    }

    #[test]
    fn nothing_breaks_out_of_an_attribute_or_of_the_message() {
        let widgets = [
            Widget::new(&ACME, ATTACK, &BOX).unwrap(),
            acme().with_data("note", ATTACK).unwrap(),
            acme().with_data("note", "' onload='alert(1)").unwrap(),
            robo(ATTACK),
            robo("key").with_field(ATTACK).unwrap(),
            robo("'onload='alert(1)&amp;"),
        ];
        for widget in widgets {
            let html = WidgetRenderer::new()
                .with_noscript(ATTACK)
                .html(&widget)
                .to_string();
            assert!(!html.contains("<script>alert"), "{html}");
            assert!(!html.contains("\">alert"), "{html}");
            assert!(!html.contains('\''), "{html}");
            assert_eq!(html.matches("<div").count(), 1, "{html}");
            let own = html.matches("<script").count();
            assert_eq!(own, html.matches("</script>").count(), "{html}");
            assert_eq!(own, 1 + usize::from(widget.spec().glue.is_some()), "{html}");
        }
        let mut escaped = String::new();
        escape("&<>\"'a", &mut escaped);
        assert_eq!(escaped, "&amp;&lt;&gt;&quot;&#39;a");
    }

    #[test]
    fn a_script_is_on_a_page_once_whatever_asks_for_it() {
        let page = WidgetRenderer::new();
        let first = page.html(&acme()).to_string();
        let second = page.html(&acme().with_action("login").unwrap()).to_string();
        assert_eq!(first.matches("<script").count(), 1);
        assert!(!second.contains("<script"));
        assert!(second.contains("data-action=\"login\""));
        assert_eq!(
            WidgetRenderer::new().script(&acme()),
            WidgetRenderer::new().script(&acme())
        );
    }

    #[test]
    fn two_providers_share_a_page() {
        let page = WidgetRenderer::new();
        let both = format!("{}{}", page.html(&acme()), page.html(&robo("key")));
        assert_eq!(
            both.matches("src=\"").count(),
            2,
            "each has its script: {both}"
        );
        assert_eq!(both.matches("glue();").count(), 1);
        assert_eq!(both.matches("<noscript>").count(), 2);
        assert_eq!(page.script(&robo("key")).as_str(), "");
    }

    #[test]
    fn a_script_that_knows_one_site_key_is_loaded_for_each_and_its_glue_once() {
        let page = WidgetRenderer::new();
        page.script(&robo("one"));
        assert_eq!(
            page.script(&robo("two")).as_str(),
            "<script src=\"https://robo.example/api.js?render=two\" async defer></script>"
        );
    }

    #[test]
    fn the_first_language_counts_for_a_shared_script() {
        let page = WidgetRenderer::new();
        let german = robo("key").with_language("de").unwrap();
        let english = robo("key").with_language("en").unwrap();
        let html = page.script(&german);
        assert!(html.as_str().contains("?render=key&amp;hl=de\""), "{html}");
        assert_eq!(page.script(&english).as_str(), "");
    }

    #[test]
    fn a_nonce_is_on_every_script() {
        let page = WidgetRenderer::new().with_nonce("bm9uY2U=").unwrap();
        let html = page.html(&robo("key")).to_string();
        assert_eq!(html.matches("<script").count(), 2);
        assert_eq!(html.matches(" nonce=\"bm9uY2U=\"").count(), 2);
        assert!(
            !WidgetRenderer::new()
                .html(&robo("key"))
                .as_str()
                .contains("nonce")
        );
    }

    #[test]
    fn what_cannot_be_a_nonce_is_refused() {
        for bad in ["", " ", "a b", "\" onload=\"x", ATTACK, "a===", "'"] {
            assert_eq!(
                WidgetRenderer::new().with_nonce(bad).unwrap_err().field(),
                "nonce"
            );
        }
    }

    #[test]
    fn pages_can_be_shared_with_a_template_engine() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<WidgetRenderer>();
        shared::<Html>();
    }
}
