//! The default page of a refusal, for browsers.

use crate::DenialReason;
use crate::page::escape;
use crate::selected::Selected;
use crate::tokens::TokenFields;

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

/// Returns the page for a refusal. With a challenge and the fields of the form, the visitor solves the
/// challenge here and sends the form again.
pub(crate) fn refusal_page(
    denial: DenialReason,
    selected: Option<&Selected>,
    form: Option<&KeptForm>,
) -> String {
    let (title, detail) = (denial.title(), denial.detail());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>{detail}</p>\n"
    );
    match (
        selected.filter(|selected| selected.widget().is_some()),
        form,
    ) {
        (Some(selected), Some(form)) => {
            page.push_str("<form method=\"post\">\n");
            for (name, value) in &form.0 {
                page.push_str("<input type=\"hidden\" name=\"");
                escape(name, &mut page);
                page.push_str("\" value=\"");
                escape(value, &mut page);
                page.push_str("\">\n");
            }
            page.push_str(selected.html().as_str());
            page.push_str("\n<p><button type=\"submit\">Continue</button></p>\n</form>\n");
            page.push_str("<p>If there is nothing to solve here, go back to the previous page. What you typed is usually still there.</p>\n");
        }
        _ => page.push_str(
            "<p>Go back to the previous page. What you typed is usually still there.</p>\n",
        ),
    }
    page
}
