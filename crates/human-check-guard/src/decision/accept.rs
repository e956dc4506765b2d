/// Returns whether a client prefers HTML to JSON, by the value of its `Accept` header.
///
/// True only if the value names `text/html` and ranks it above `application/json` and
/// `application/problem+json`. Browsers send such a value when they navigate. `*/*` alone comes
/// from scripts and means JSON.
///
/// ```
/// use human_check_guard::integration::prefers_html;
///
/// assert!(prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"));
/// assert!(!prefers_html("*/*"));
/// ```
pub fn prefers_html(accept: &str) -> bool {
    let mut html = 0;
    let mut json = 0;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1_000, thousandths);
        if kind.eq_ignore_ascii_case("text/html") {
            html = html.max(quality);
        } else if kind.eq_ignore_ascii_case("application/json")
            || kind.eq_ignore_ascii_case("application/problem+json")
        {
            json = json.max(quality);
        }
    }
    html > json
}

/// Returns a weight in thousandths (RFC 9110, section 12.4.2: up to three decimals). An invalid
/// weight is 0.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1_000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::prefers_html;

    #[test]
    fn only_an_explicit_and_preferred_html_counts() {
        for (accept, html) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("TEXT/HTML", true),
            ("", false),
            ("*/*", false),
            ("text/*", false),
            ("application/json", false),
            ("text/html, application/json", false),
            ("text/html;q=0.5, application/json;q=0.4", true),
            ("text/html;q=0.4, application/problem+json;q=0.5", false),
            ("text/html;q=0", false),
            ("text/html;q=banana", false),
            ("text/html;q=NaN", false),
            ("text/html;q=7", false),
            (";;;,,q=1;text/html", false),
        ] {
            assert_eq!(prefers_html(accept), html, "{accept}");
        }
    }
}
