use std::fmt;
use std::sync::{Mutex, PoisonError};

use human_check_core::{ConfigError, Widget};

use super::nonce::checked_nonce;

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
mod tests;
