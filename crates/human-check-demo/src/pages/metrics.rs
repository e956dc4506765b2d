//! The metrics, as text for scrapers and as a page for browsers.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use human_check_guard::integration::prefers_html;

use crate::app::App;
use crate::headers::Nonce;
use crate::page::{Frame, PAGES, show};

/// A metric with all its values: a row for each set of labels, a column for each part.
#[derive(Debug)]
struct Family {
    name: String,
    kind: String,
    means: &'static str,
    parts: Vec<String>,
    series: Vec<Series>,
}

/// The values of one set of labels.
#[derive(Debug)]
struct Series {
    labels: Vec<(String, String)>,
    values: Vec<String>,
}

#[derive(Debug, Template)]
#[template(path = "metrics.html")]
struct Shown {
    frame: Frame,
    host: String,
    families: Vec<Family>,
}

/// `GET /metrics`: text for scrapers, a page for browsers.
pub(crate) async fn page(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
) -> Response {
    let text = app.recorder().render();
    let header = |name| headers.get(name)?.to_str().ok();
    let mut response = if header(ACCEPT).is_some_and(prefers_html) {
        let shown = Shown {
            frame: Frame::new("Metrics", "/metrics", nonce),
            host: header(HOST).unwrap_or("localhost").to_owned(),
            families: families(&text),
        };
        show(StatusCode::OK, &shown, &[])
    } else {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        ([(CONTENT_TYPE, kind)], text).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(VARY, ACCEPT.into());
    response
}

/// Returns a sentence about a metric, or an empty text.
fn meaning(name: &str) -> &'static str {
    match name {
        "human_check_decisions_total" => "How each request was decided, by route.",
        "human_check_decision_duration_seconds" => {
            "How long a decision took, from the complete request on, in seconds."
        }
        "human_check_replays_total" => "Tokens that were refused as replays.",
        "human_check_comparisons_total" => "Visitors that two providers judged, by both verdicts.",
        "human_check_comparisons_dropped_total" => {
            "Comparisons that were dropped because too many were running."
        }
        "human_check_store_unavailable_total" => "How often the replay store was unavailable.",
        _ => "",
    }
}

/// Parses the text format, so that the page shows the values that a scraper gets.
fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap_or((declared, ""));
            families.push(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
                means: meaning(name),
                parts: Vec::new(),
                series: Vec::new(),
            });
        } else if let Some(family) = families.last_mut()
            && let Some(sample) = Sample::read(line, &family.name)
        {
            family.add(sample);
        }
    }
    for family in &mut families {
        family.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    families
}

impl Family {
    /// Adds a value, with a new row or column where needed.
    fn add(&mut self, sample: Sample) {
        let known = self.series.iter().position(|s| s.labels == sample.labels);
        let row = known.unwrap_or_else(|| {
            self.series.push(Series {
                labels: sample.labels,
                values: vec!["–".to_owned(); self.parts.len()],
            });
            self.series.len() - 1
        });
        let known = self.parts.iter().position(|part| *part == sample.part);
        let column = known.unwrap_or_else(|| {
            self.parts.push(sample.part);
            for series in &mut self.series {
                series.values.push("–".to_owned());
            }
            self.parts.len() - 1
        });
        self.series[row].values[column] = sample.value;
    }
}

/// One line of a metric.
struct Sample {
    part: String,
    labels: Vec<(String, String)>,
    value: String,
}

impl Sample {
    /// Parses a line. Labels come from fixed sets, so no label value contains a quote or a comma.
    fn read(line: &str, family: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}')?),
            None => (series, ""),
        };
        let mut part = match name.strip_prefix(family)? {
            "" => "value".to_owned(),
            part => part.trim_start_matches('_').to_owned(),
        };
        let mut named = Vec::new();
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=')?;
            let value = value.trim_matches('"');
            match (label, value) {
                ("quantile", share) => part = format!("p{:.0}", share.parse::<f64>().ok()? * 100.0),
                _ => named.push((label.to_owned(), value.to_owned())),
            }
        }
        Some(Self {
            part,
            labels: named,
            value: short(value),
        })
    }
}

/// Rounds a fraction to three digits. Whole numbers stay as they are.
fn short(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() && number.fract() != 0.0 => {
            let places = (0..9).find(|places| number.abs() * 10_f64.powi(*places) >= 100.0);
            let places = usize::try_from(places.unwrap_or(9)).unwrap_or(9);
            format!("{number:.places$}")
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_what_a_scraper_reads() {
        let text = "# TYPE a_total counter\na_total{route=\"signup\",decision=\"human\"} 2\n\n\
                    # TYPE b summary\nb{x=\"y\",quantile=\"0.5\"} 0.0123456\nb_count{x=\"y\"} 3\n\
                    nonsense\n";
        let families = families(text);
        assert_eq!(families.len(), 2);
        let counter = &families[0];
        let decision = ("decision".to_owned(), "human".to_owned());
        assert_eq!(counter.series[0].labels[1], decision);
        assert_eq!(counter.series[0].values, ["2"]);
        let summary = &families[1];
        assert_eq!(summary.parts, ["p50", "count"]);
        assert_eq!(summary.series[0].values, ["0.0123", "3"]);
    }
}
