//! The default page of a refusal, for browsers.

use crate::page::{LanguageIndex, escape};
use crate::selected::Selected;
use crate::tokens::TokenFields;
use crate::{DenialReason, Html, Text, Texts, WidgetRenderer};

/// The most bytes of a form that the page sends again.
pub(crate) const MAX_FORM_BYTES: usize = 16_384;
/// The most fields of such a form. Each takes about 40 bytes in the page, besides its name and value.
pub(crate) const MAX_FORM_FIELDS: usize = 256;

/// The fields of a urlencoded form, without tokens and offers, which the page of a refusal sends
/// again.
#[derive(Clone, Default)]
pub(crate) struct KeptForm(Vec<(String, String)>);

impl KeptForm {
    /// Reads the fields of a urlencoded body. `None` if it is too long, or not UTF-8, because the page
    /// would then send other fields.
    pub(crate) fn read(fields: &TokenFields, body: &[u8]) -> Option<Self> {
        if body.len() > MAX_FORM_BYTES {
            return None;
        }
        Self::of(fields, form_urlencoded::parse(body).into_owned())
    }

    /// Keeps the fields of a form. `None` if they are too many, or not UTF-8.
    pub(crate) fn of(
        fields: &TokenFields,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Option<Self> {
        let pairs = pairs.into_iter().take(MAX_FORM_FIELDS + 1);
        let pairs: Vec<_> = pairs
            .filter(|(name, _)| fields.find(name).is_none())
            .collect();
        let is_utf8 = |text: &str| !text.contains(char::REPLACEMENT_CHARACTER);
        let is_kept = pairs.len() <= MAX_FORM_FIELDS
            && pairs
                .iter()
                .all(|(name, value)| is_utf8(name) && is_utf8(value));
        is_kept.then_some(Self(pairs))
    }
}

impl std::fmt::Debug for KeptForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptForm({} fields)", self.0.len())
    }
}

/// What the page of a refusal shows.
///
/// [`GuardBuilder::with_refusal_page`](crate::GuardBuilder::with_refusal_page) passes it to the
/// application.
#[derive(Debug)]
pub struct RefusalView<'a> {
    pub(super) denial: DenialReason,
    pub(super) selected: Option<&'a Selected>,
    pub(super) form: Option<&'a KeptForm>,
    pub(super) texts: &'a Texts,
    pub(super) language: LanguageIndex,
}

impl RefusalView<'_> {
    /// Returns why the request is refused.
    pub fn denial(&self) -> DenialReason {
        self.denial
    }

    /// Returns the account that the visitor meets now, for a refusal that a new challenge may change.
    /// Its [`html`](Selected::html) is the widget.
    pub fn selected(&self) -> Option<&Selected> {
        self.selected
    }

    /// Returns the tag of the visitor's language, for the attribute `lang` of the page.
    pub fn language(&self) -> &str {
        self.texts.tag(self.language)
    }

    /// Returns a text in the visitor's language. It is not escaped for HTML.
    pub fn text(&self, text: Text) -> &str {
        self.texts.of(self.language, text)
    }

    /// Returns the fields of the form that was refused, as hidden inputs of a form that sends it again.
    /// `None` if the guard does not have them, or if the form was on a page of another origin.
    pub fn kept_fields(&self) -> Option<Html> {
        let form = self.form?;
        let mut html = String::new();
        for (name, value) in &form.0 {
            html.push_str("<input type=\"hidden\" name=\"");
            escape(name, &mut html);
            html.push_str("\" value=\"");
            escape(value, &mut html);
            html.push_str("\">\n");
        }
        Some(Html::trusted(html))
    }

    /// Returns the page that the guard shows by default. With a challenge and the fields of the form, the
    /// visitor solves the challenge here and sends the form again.
    pub fn default_page(&self) -> String {
        let escaped = |text| {
            let mut escaped = String::new();
            escape(self.text(text), &mut escaped);
            escaped
        };
        let (language, title) = (self.language(), escaped(self.denial.title()));
        let detail = escaped(self.denial.detail());
        let page = format!(
            "<!doctype html>\n<html lang=\"{language}\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <main>\n<h1>{title}</h1>\n<p>{detail}</p>\n"
        );
        let widget = self.selected.filter(|selected| selected.widget().is_some());
        match (widget, self.kept_fields()) {
            (Some(selected), Some(fields)) => {
                let renderer = WidgetRenderer::new().with_noscript(self.text(Text::PageNoscript));
                let (go_on, nothing) = (
                    escaped(Text::PageContinue),
                    escaped(Text::PageNothingToSolve),
                );
                format!(
                    "{page}<form method=\"post\">\n{fields}{}\n<p><button type=\"submit\">{go_on}</button>\
                     </p>\n</form>\n<p>{nothing}</p>\n</main>\n",
                    selected.html_with(&renderer)
                )
            }
            _ => format!("{page}<p>{}</p>\n</main>\n", escaped(Text::PageBack)),
        }
    }
}
