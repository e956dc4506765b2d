use super::escaped::escaped;

/// The style of a page. Plots are boxes and shapes whose texts keep their size on a narrow screen.
const STYLE: &str = include_str!("page.css");

/// Returns an HTML page with this title and this content, which is HTML.
///
/// The page loads nothing and has no script, and its content security policy forbids both.
pub(super) fn page_of(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head><body><main>{content}</main></body></html>\n",
        escaped(title)
    )
}
