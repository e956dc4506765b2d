/// What is always true of a provider's page widget: its script, its markup and what it loads.
///
/// Data and nothing else, so that a renderer needs to know no provider. Adapters publish theirs as a
/// static that starts from [`new`](Self::new), so that a field added later is no change for them:
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
    /// Where the script comes from, without a query: an absolute address, or a path on the page's own
    /// origin where a site serves it itself.
    pub script: &'static str,
    /// Whether the script is a module.
    pub module: bool,
    /// A style sheet that stands beside the script, by its file name.
    pub stylesheet: Option<&'static str>,
    /// The name of the element.
    pub element: &'static str,
    /// Query parameters that the script is always loaded with.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The query parameter that takes the site key, where the script wants it.
    pub site_key_parameter: Option<&'static str>,
    /// The query parameter that takes the language, where the script wants it.
    pub language_parameter: Option<&'static str>,
    /// The class by which the script finds the element.
    pub class: &'static str,
    /// The attribute for the site key, or for whatever else tells the widget whose challenges to show.
    pub site_key_attribute: &'static str,
    /// The attribute for the action, where the widget carries one.
    pub action: Option<TextAttribute>,
    /// The attribute for what ties the answer to a session, where the widget carries one.
    pub binding: Option<TextAttribute>,
    /// The attribute for the language, where the element wants it.
    pub language_attribute: Option<&'static str>,
    /// The themes, where there is a choice.
    pub theme: Option<ChoiceAttribute>,
    /// The sizes, where there is a choice.
    pub size: Option<ChoiceAttribute>,
    /// The attribute that renames the field which the provider's script adds to the form.
    pub field_attribute: Option<&'static str>,
    /// Whether the page has to add the field itself, as a hidden input inside the element.
    pub hidden_input: bool,
    /// A script that carries the provider's answers into the hidden input.
    ///
    /// It is the same for every page and reads what it needs from the element's attributes. It
    /// goes between script tags as it is, so it must not hold `</`, nor `<!--`.
    pub glue: Option<&'static str>,
    /// What a Content-Security-Policy has to allow.
    pub sources: WidgetSources,
    /// Whether browsers run it on secure pages only (HTTPS and localhost).
    pub secure_context: bool,
}

impl WidgetSpec {
    /// A widget that takes a site key and knows no options.
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
            sources: WidgetSources::NONE,
            secure_context: false,
        }
    }

    /// Every attribute that one of the options above is written to.
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

/// An attribute with free text, and which text the provider takes.
#[derive(Clone, Copy, Debug)]
pub struct TextAttribute {
    /// The attribute's name.
    pub attribute: &'static str,
    /// What may stand beside ASCII letters and digits.
    pub punctuation: &'static str,
    /// The most characters it takes.
    pub max_chars: usize,
}

/// An attribute with a choice of values.
#[derive(Clone, Copy, Debug)]
pub struct ChoiceAttribute {
    /// The attribute's name.
    pub attribute: &'static str,
    /// The values the provider knows.
    pub values: &'static [&'static str],
}

/// What a widget loads, as source expressions of a Content-Security-Policy.
#[derive(Clone, Copy, Debug)]
pub struct WidgetSources {
    /// For `script-src`.
    pub script: &'static [&'static str],
    /// For `frame-src`.
    pub frame: &'static [&'static str],
    /// For `style-src`.
    pub style: &'static [&'static str],
    /// For `connect-src`.
    pub connect: &'static [&'static str],
    /// For `img-src`.
    pub img: &'static [&'static str],
    /// For `worker-src`.
    pub worker: &'static [&'static str],
}

impl WidgetSources {
    /// Nothing at all, to start from.
    pub const NONE: Self = Self {
        script: &[],
        frame: &[],
        style: &[],
        connect: &[],
        img: &[],
        worker: &[],
    };

    /// The directives and their sources.
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
