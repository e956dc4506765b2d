//! The default page of a refusal, for browsers.

use crate::DenialReason;
use crate::page::escape;
use crate::selected::Selected;
use crate::tokens::TokenFields;

/// The most bytes of a form that the page sends again.
pub(crate) const MAX_FORM_BYTES: usize = 16_384;

/// The fields of a urlencoded form, without tokens and offers, which the page of a refusal sends
/// again.
#[derive(Clone, Default)]
pub(crate) struct KeptForm(Vec<(String, String)>);

impl KeptForm {
    /// Reads the fields of a urlencoded body. `None` if it is too long.
    pub(crate) fn read(fields: &TokenFields, body: &[u8]) -> Option<Self> {
        if body.len() > MAX_FORM_BYTES {
            return None;
        }
        let pairs = form_urlencoded::parse(body).into_owned();
        Some(Self::of(fields, pairs))
    }

    /// Keeps the fields of a form.
    pub(crate) fn of(
        fields: &TokenFields,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .filter(|(name, _)| fields.find(name).is_none())
                .collect(),
        )
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
        }
        _ => page.push_str(
            "<p>Go back to the previous page. What you typed is usually still there.</p>\n",
        ),
    }
    page
}
