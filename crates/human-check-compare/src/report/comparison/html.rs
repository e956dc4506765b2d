use std::fmt::Write;

use super::super::escaped::escaped;
use super::super::page::page_of;
use super::super::plot::bars;
use super::content::{Report, differences, period, tables};

/// Returns the report as one HTML page with tables and plots.
///
/// The page loads nothing, has no script, and follows the light or dark mode of the browser. Its
/// content-security-policy forbids both.
pub fn html(report: &Report) -> String {
    let statistics = &report.statistics;
    let title = "Comparison of verification providers";
    let mut page = format!("<h1>{title}</h1>");
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
        page.push_str(&table.html());
    }
    for plot in plots(report) {
        page.push_str(&plot);
    }
    page_of(title, &page)
}

/// Returns the plots of a report, each with its caption.
fn plots(report: &Report) -> Vec<String> {
    let providers = &report.statistics.providers;
    let mut plots = Vec::new();
    let mut plot = |title: &str, labels: &[String], values: &[f64], unit: &str| {
        plots.push(bars(title, labels, values, unit));
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
