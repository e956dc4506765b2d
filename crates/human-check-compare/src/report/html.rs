use std::fmt::Write;

use super::escaped::escaped;
use super::plot::{PlotText, bars};
use super::{Report, differences, period, tables};

/// The style of the page. It overrides the colours of the plots, which are attributes.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#8a929c;--bar:#2456b8;--warn:#fff3d6}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#16191d;--line:#7b838d;--bar:#7fa8ff;--warn:#43350f}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1.5rem 0;width:100%}caption{text-align:left;font-weight:600;font-size:1.2rem}
th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left}
.scroll{overflow-x:auto}.warnings{background:var(--warn);padding:.5rem 1rem}
svg{width:100%;height:auto}svg text{fill:var(--ink)}svg line,svg polyline{stroke:var(--line)}svg rect{fill:var(--bar)}
";

/// Returns the report as one HTML page with tables and plots.
///
/// The page loads nothing, has no script, and follows the light or dark mode of the browser. Its
/// content-security-policy forbids both.
pub fn html(report: &Report) -> String {
    let statistics = &report.statistics;
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Comparison of verification providers</title><style>{STYLE}</style></head><body><main>\
         <h1>Comparison of verification providers</h1>"
    );
    if !statistics.warnings.is_empty() {
        page.push_str(
            "<section class=\"warnings\" aria-label=\"Warnings\"><h2>Read this first</h2><ul>",
        );
        for warning in &statistics.warnings {
            // Writing to a string never fails.
            let _ = write!(page, "<li>{}</li>", escaped(&warning.to_string()));
        }
        page.push_str("</ul></section>");
    }
    let _ = write!(page, "<p>{}</p>", escaped(&period(statistics)));
    for sentence in differences(statistics) {
        let _ = write!(page, "<p><strong>{}</strong></p>", escaped(&sentence));
    }
    for table in tables(report) {
        let _ = write!(
            page,
            "<div class=\"scroll\"><table><caption>{}</caption><thead><tr>",
            escaped(table.title)
        );
        for name in table.header {
            let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(&name));
        }
        page.push_str("</tr></thead><tbody>");
        for row in table.rows {
            page.push_str("<tr>");
            for (nth, cell) in row.iter().enumerate() {
                let cell = escaped(cell);
                let _ = if nth == 0 {
                    write!(page, "<th scope=\"row\">{cell}</th>")
                } else {
                    write!(page, "<td>{cell}</td>")
                };
            }
            page.push_str("</tr>");
        }
        page.push_str("</tbody></table></div>");
        if !table.note.is_empty() {
            let _ = write!(page, "<p>{}</p>", escaped(table.note));
        }
    }
    for plot in plots(report) {
        let _ = write!(page, "<figure>{plot}</figure>");
    }
    page.push_str("</main></body></html>\n");
    page
}

/// Returns the plots of a report, each with its caption.
fn plots(report: &Report) -> Vec<String> {
    let providers = &report.statistics.providers;
    let mut plots = Vec::new();
    let mut plot = |title: &str, labels: &[String], values: &[f64], axis: &str| {
        let pairs = labels.iter().zip(values);
        let described: Vec<_> = pairs
            .map(|(label, value)| format!("{label}: {value:.1}"))
            .collect();
        let text = PlotText {
            id: format!("plot-{}", plots.len()),
            title,
            description: format!("Bars, {axis}. {}", described.join(", ")),
        };
        if let Some(svg) = bars(&text, labels, values, axis) {
            plots.push(format!("<figcaption>{}</figcaption>{svg}", escaped(title)));
        }
    };
    let judged = || {
        providers
            .iter()
            .filter_map(|p| Some((p.provider.clone(), p.pass_rate?)))
    };
    let (names, rates): (Vec<_>, Vec<_>) = judged()
        .map(|(name, rate)| (name, rate.share * 100.0))
        .unzip();
    if !names.is_empty() {
        plot(
            "Proportion of judged visitors that passed",
            &names,
            &rates,
            "per cent",
        );
    }
    for provider in providers {
        if let Some(scores) = &provider.scores {
            let labels: Vec<_> = (0..20_u8)
                .map(|bin| format!("{:.2}", f64::from(bin) / 20.0))
                .collect();
            let values: Vec<_> = scores
                .bins
                .iter()
                .map(|n| crate::interval::float(*n))
                .collect();
            let title = format!("Scores of {}, 1 = human", provider.provider);
            plot(&title, &labels, &values, "visitors");
        }
        if let Some(latency) = &provider.latency {
            let labels = ["p50", "p90", "p95", "p99"].map(str::to_owned);
            let values = [latency.p50, latency.p90, latency.p95, latency.p99];
            let title = format!("Latency of {}", provider.provider);
            plot(&title, &labels, &values, "milliseconds");
        }
    }
    plots
}
