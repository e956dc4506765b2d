use std::fmt;
use std::sync::{Mutex, PoisonError};

use human_check_core::adapter::WidgetApi;
use human_check_core::{ConfigError, Widget};

use super::nonce::checked_nonce;
use super::script_file::{DIGEST, page_script_file_name};

/// HTML markup whose values are already escaped. [`WidgetRenderer`] creates it.
///
/// Template engines escape text, so tell them that this is markup:
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
    /// Creates markup from text that is escaped already.
    pub(crate) fn trusted(markup: String) -> Self {
        Self(markup)
    }

    /// Returns the markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Consumes the value and returns the markup.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Renders the widgets of one page, with each script once.
///
/// A renderer keeps track of the scripts that it has written, so create one for each response. A
/// script may be in the head of the page or beside the element. An element must be inside its form.
/// For a page with one form and without a content security policy,
/// [`Guard::html`](crate::Guard::html) is enough.
///
/// ```
/// # use human_check_core::{Provider, Widget};
/// # use human_check_core::adapter::WidgetSpec;
/// # use human_check_guard::WidgetRenderer;
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # static SPEC: WidgetSpec =
/// #     WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey");
/// # let widget = Widget::new(&ACME, "key", &SPEC)?;
/// let page = WidgetRenderer::new().with_nonce("bm9uY2U")?;
/// let head = page.script(&widget);
/// let form = format!("<form method=\"post\">{}<button>Go</button></form>", page.element(&widget));
/// assert_eq!(
///     head.as_str(),
///     r#"<script src="https://acme.example/api.js" async defer nonce="bm9uY2U"></script>"#
/// );
/// assert!(form.contains(r#"<div class="acme" data-sitekey="key"></div>"#));
/// assert_eq!(page.script(&widget).as_str(), "", "the script is on the page already");
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// The only inline script that a widget can have is the provider's
/// [glue](human_check_core::adapter::WidgetSpec::glue). It is a constant and contains no data of
/// the application. Where the policy forbids inline scripts, the nonce allows it.
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
    has_page_script: bool,
}

/// What identifies a script. The language does not: a provider's script has one language for the
/// whole page.
#[derive(Debug, Eq, PartialEq)]
struct Script {
    url: String,
    site_key: Option<String>,
}

impl WidgetRenderer {
    /// Creates a renderer for a page on which no script is written yet.
    pub fn new() -> Self {
        Self {
            nonce: None,
            noscript: "JavaScript is needed to complete the human check.".to_owned(),
            written: Mutex::default(),
        }
    }

    /// Sets the nonce of every script and style sheet. Default: no nonce.
    ///
    /// The content security policy of the page needs the same nonce, see
    /// [`CspSources::with_nonce`](crate::CspSources::with_nonce).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the nonce is not base64 or base64url.
    pub fn with_nonce(mut self, nonce: &str) -> Result<Self, ConfigError> {
        self.nonce = Some(checked_nonce(nonce)?);
        Ok(self)
    }

    /// Returns the nonce, for further scripts of the page. `None` if there is none.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Sets the plain text for visitors without JavaScript. Default: an English sentence,
    /// "JavaScript is needed to complete the human check."
    #[must_use]
    pub fn with_noscript(mut self, text: impl Into<String>) -> Self {
        self.noscript = text.into();
        self
    }

    /// Returns the scripts, and the style sheet, that the widget needs and that this renderer has
    /// not written yet.
    ///
    /// If two widgets share a script that has a language, the language of the first widget counts.
    pub fn script(&self, widget: &Widget) -> Html {
        let mut html = String::new();
        let spec = widget.spec();
        let script = Script {
            url: widget.script_url().to_owned(),
            site_key: spec
                .site_key_parameter
                .map(|_| widget.site_key().to_owned()),
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // A frame has no script.
        let has_script = spec.api != WidgetApi::Frame;
        if has_script && !written.scripts.contains(&script) {
            written.scripts.push(script);
            if let Some(href) = widget.stylesheet_href() {
                html.push_str("<link rel=\"stylesheet\"");
                attribute(&mut html, "href", &href);
                self.push_nonce(&mut html);
                html.push('>');
            }
            html.push_str("<script");
            if spec.module {
                html.push_str(" type=\"module\"");
            }
            attribute(&mut html, "src", &widget.script_src());
            html.push_str(" async defer");
            self.push_nonce(&mut html);
            html.push_str("></script>");
        }
        if let Some(glue) = spec.glue.filter(|glue| !written.glues.contains(glue)) {
            written.glues.push(glue);
            html.push_str("<script");
            self.push_nonce(&mut html);
            html.push('>');
            html.push_str(glue);
            html.push_str("</script>");
        }
        Html(html)
    }

    /// Returns the element that becomes the widget, to be placed inside a form. Each form needs
    /// one.
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
            // Browsers restore the value of a hidden input, which would be a used token.
            html.push_str(" value=\"\" autocomplete=\"off\">");
        }
        html.push_str("</");
        html.push_str(element);
        html.push_str("><noscript><p>");
        escape(&self.noscript, &mut html);
        html.push_str("</p></noscript>");
        Html(html)
    }

    /// Returns the scripts and the element of a widget, to be placed inside a form.
    pub fn html(&self, widget: &Widget) -> Html {
        let mut html = self.script(widget).0;
        html.push_str(&self.element(widget).0);
        Html(html)
    }

    /// Returns the scripts and elements of several widgets, for a form that accepts several
    /// providers.
    pub fn html_of<'a>(&self, widgets: impl IntoIterator<Item = &'a Widget>) -> Html {
        Html(
            widgets
                .into_iter()
                .map(|widget| self.html(widget).0)
                .collect(),
        )
    }

    /// Returns the tag of the page script, which shows the widgets of all places, and one that loads its
    /// second file early. The second time it returns nothing.
    ///
    /// `path` is where the routes of the framework's `page_routes` are mounted, such as `/human-check`.
    pub fn page_script(&self, path: &str) -> Html {
        let mut html = String::new();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut written.has_page_script, true) {
            let path = path.trim_end_matches('/');
            let src = format!("{path}/{}", page_script_file_name());
            html.push_str("<script type=\"module\"");
            attribute(&mut html, "src", &src);
            self.push_nonce(&mut html);
            html.push_str("></script><link rel=\"modulepreload\"");
            let widgets = format!("{path}/widgets-{}.js", *DIGEST);
            attribute(&mut html, "href", &widgets);
            self.push_nonce(&mut html);
            html.push('>');
        }
        Html(html)
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

/// Writes an attribute. The name needs no escaping: it is a constant of the provider, or limited to
/// `[a-z0-9-]` by the widget.
pub(crate) fn attribute(html: &mut String, name: &str, value: &str) {
    html.push(' ');
    html.push_str(name);
    html.push_str("=\"");
    escape(value, html);
    html.push('"');
}

/// Writes text in escaped form, for an element or an attribute.
pub(crate) fn escape(text: &str, into: &mut String) {
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
