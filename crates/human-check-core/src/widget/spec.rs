use super::WidgetApi;

/// The description of a provider's widget: its script, its element, its options and what it loads.
///
/// It is the same for every site key and every page. It is data, so a renderer needs no code for
/// single providers. An adapter publishes its description as a static that starts from
/// [`new`](Self::new), so that a field which is added later has a default:
///
/// ```
/// use human_check_core::adapter::{ChoiceAttribute, WidgetSources, WidgetSpec};
///
/// static ACME_WIDGET: WidgetSpec = WidgetSpec {
///     theme: Some(ChoiceAttribute { attribute: "data-theme", values: &["light", "dark"] }),
///     sources: WidgetSources { script: &["https://acme.example"], ..WidgetSources::NONE },
///     ..WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey")
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WidgetSpec {
    /// The URL of the script, without a query: an absolute URL, or a path on the page's own origin
    /// if the site serves the script itself.
    pub script: &'static str,
    /// Whether the script is a JavaScript module. Default `false`.
    pub module: bool,
    /// The file name of a style sheet in the folder of the script. Default none.
    pub stylesheet: Option<&'static str>,
    /// The name of the HTML element. Default `div`.
    pub element: &'static str,
    /// Names and values of query parameters that the script is always loaded with. Default none.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The query parameter that takes the site key, if the script needs it. Default none.
    pub site_key_parameter: Option<&'static str>,
    /// The query parameter that takes the language, if the script accepts one. Default none.
    pub language_parameter: Option<&'static str>,
    /// The class by which the script finds the element.
    pub class: &'static str,
    /// The attribute for the site key, or for what the widget has in its place, such as the URL of
    /// challenges.
    pub site_key_attribute: &'static str,
    /// The attribute for the action, if the widget accepts one. Default none.
    pub action: Option<TextAttribute>,
    /// The attribute for the binding, such as a session id, if the widget accepts one. Default
    /// none.
    pub binding: Option<TextAttribute>,
    /// The attribute for the language, if the element accepts one. Default none.
    pub language_attribute: Option<&'static str>,
    /// The attribute for the theme, and the themes, if there is a choice. Default none.
    pub theme: Option<ChoiceAttribute>,
    /// The attribute for the size, and the sizes, if there is a choice. Default none.
    pub size: Option<ChoiceAttribute>,
    /// The attribute that renames the form field which the provider's script adds. Default none.
    pub field_attribute: Option<&'static str>,
    /// Whether the page must write the form field itself, as a hidden input inside the element.
    /// Default `false`.
    pub hidden_input: bool,
    /// An inline script that writes the provider's tokens into the hidden input. Default none.
    ///
    /// It is the same for every page, and reads what it needs from the attributes of the element.
    /// The renderer writes it between script tags without escaping, so it must not contain `</` or
    /// `<!--`.
    pub glue: Option<&'static str>,
    /// How a page shows the widget by JavaScript. Default [`WidgetApi::Element`] without a function.
    pub api: WidgetApi,
    /// What a content security policy must allow. Default nothing.
    pub sources: WidgetSources,
    /// Whether browsers run the widget only on secure pages (HTTPS and localhost). Default `false`.
    pub secure_context: bool,
}

impl WidgetSpec {
    /// Creates the description of a widget that takes a site key and has no options.
    pub const fn new(
        script: &'static str,
        class: &'static str,
        site_key_attribute: &'static str,
    ) -> Self {
        Self {
            script,
            module: false,
            stylesheet: None,
            element: "div",
            parameters: &[],
            site_key_parameter: None,
            language_parameter: None,
            class,
            site_key_attribute,
            action: None,
            binding: None,
            language_attribute: None,
            theme: None,
            size: None,
            field_attribute: None,
            hidden_input: false,
            glue: None,
            api: WidgetApi::Element { attach: None },
            sources: WidgetSources::NONE,
            secure_context: false,
        }
    }

    /// Returns every attribute that an option of the widget is written to.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &'static str> {
        [
            Some(self.site_key_attribute),
            self.action.map(|text| text.attribute),
            self.binding.map(|text| text.attribute),
            self.language_attribute,
            self.theme.map(|choice| choice.attribute),
            self.size.map(|choice| choice.attribute),
            self.field_attribute,
        ]
        .into_iter()
        .flatten()
    }
}

/// An attribute with free text, and the characters and the length that the provider accepts.
#[derive(Clone, Copy, Debug)]
pub struct TextAttribute {
    /// The name of the attribute, such as `data-action`.
    pub attribute: &'static str,
    /// The characters that the text may have besides ASCII letters and digits.
    pub punctuation: &'static str,
    /// The maximum number of characters. The minimum is 1.
    pub max_chars: usize,
}

/// An attribute with a fixed set of values.
#[derive(Clone, Copy, Debug)]
pub struct ChoiceAttribute {
    /// The name of the attribute, such as `data-theme`.
    pub attribute: &'static str,
    /// The values that the provider accepts.
    pub values: &'static [&'static str],
}

/// What a widget loads, as source expressions of a content security policy, such as
/// `https://acme.example` or `'self'`.
#[derive(Clone, Copy, Debug)]
pub struct WidgetSources {
    /// The sources of `script-src`.
    pub script: &'static [&'static str],
    /// The sources of `frame-src`.
    pub frame: &'static [&'static str],
    /// The sources of `style-src`.
    pub style: &'static [&'static str],
    /// The sources of `connect-src`.
    pub connect: &'static [&'static str],
    /// The sources of `img-src`.
    pub img: &'static [&'static str],
    /// The sources of `worker-src`.
    pub worker: &'static [&'static str],
}

impl WidgetSources {
    /// No sources: the value to start from.
    pub const NONE: Self = Self {
        script: &[],
        frame: &[],
        style: &[],
        connect: &[],
        img: &[],
        worker: &[],
    };

    /// Returns the directives with their sources. A list of sources may be empty.
    pub fn directives(&self) -> [(&'static str, &'static [&'static str]); 6] {
        [
            ("script-src", self.script),
            ("frame-src", self.frame),
            ("style-src", self.style),
            ("connect-src", self.connect),
            ("img-src", self.img),
            ("worker-src", self.worker),
        ]
    }
}
