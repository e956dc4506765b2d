use std::fmt::Write;

use super::escaped::escaped;

/// Returns bars with their labels and values, as HTML.
pub(super) fn bars(title: &str, labels: &[String], values: &[f64], unit: &str) -> String {
    let max = values
        .iter()
        .copied()
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let mut html = format!(
        "<figure><p class=\"title\">{} ({unit})</p><div class=\"bars\">",
        escaped(title)
    );
    for (label, value) in labels.iter().zip(values) {
        let text = match unit {
            "visitors" => format!("{value:.0}"),
            _ => format!("{value:.1}"),
        };
        // Writing to a string never fails.
        let _ = write!(
            html,
            "<span>{}</span><i style=\"width:{:.1}%\"></i><span>{text}</span>",
            escaped(label),
            100.0 * value / max,
        );
    }
    html.push_str("</div></figure>");
    html
}

/// A difference with its interval, in percentage points, as a row of a forest plot.
pub(super) struct ForestRow {
    pub(super) label: String,
    pub(super) middle: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Returns differences on one axis with a line at 0, as HTML.
pub(super) fn forest(title: &str, rows: &[ForestRow], caption: &str) -> String {
    let reach = rows.iter().flat_map(|row| [row.low.abs(), row.high.abs()]);
    let reach = reach.fold(1.0, f64::max) * 1.05;
    let place = |points: f64| 50.0 + 50.0 * points / reach;
    let mut html = format!(
        "<figure><p class=\"title\">{}</p><div class=\"forest\">",
        escaped(title)
    );
    for row in rows {
        let tone = match (row.low > 0.0, row.high < 0.0) {
            (true, _) => " good",
            (_, true) => " bad",
            _ => "",
        };
        let _ = write!(
            html,
            "<span>{label}</span><div class=\"track\" role=\"img\" aria-label=\"{label}: {middle:.1} points, {low:.1} to {high:.1}\"><div class=\"zero\" style=\"left:50%\"></div><div class=\"range{tone}\" style=\"left:{left:.2}%;width:{width:.2}%\"></div><div class=\"dot{tone}\" style=\"left:{dot:.2}%\"></div></div>",
            label = escaped(&row.label),
            middle = row.middle,
            low = row.low,
            high = row.high,
            left = place(row.low),
            width = place(row.high) - place(row.low),
            dot = place(row.middle),
        );
    }
    let _ = write!(
        html,
        "<span></span><div class=\"axis\" aria-hidden=\"true\"><span style=\"left:0\">−{reach:.1} pp</span><span style=\"left:50%\">0</span><span style=\"left:100%\">{reach:.1} pp</span></div></div><figcaption>{}</figcaption></figure>",
        escaped(caption)
    );
    html
}

/// A day of a sequence: the difference and its interval, in percentage points.
pub(super) struct SequenceDay {
    pub(super) day: String,
    pub(super) middle: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Returns a difference by day with its band, a line at 0 and one at the margin, as HTML.
///
/// Shapes stretch with the page, and texts are HTML beside them, which keeps its size.
pub(super) fn sequence(title: &str, days: &[SequenceDay], margin: f64, caption: &str) -> String {
    // Early bands are wide: what is above 4 times the last one is cut off.
    let last = days
        .last()
        .map_or(1.0, |day| (day.high - day.low).abs() / 2.0);
    let middle = days.iter().map(|day| day.middle.abs()).fold(0.0, f64::max);
    let reach = (last * 4.0).max(middle * 1.5).max(margin * 1.5).max(1.0);
    let up = |points: f64| 50.0 - 50.0 * points.clamp(-reach, reach) / reach;
    #[allow(clippy::cast_precision_loss, reason = "few days")]
    let right = |nth: usize| 100.0 * nth as f64 / (days.len().max(2) - 1) as f64;
    let mut band = String::new();
    let mut line = String::new();
    for (nth, day) in days.iter().enumerate() {
        let _ = write!(band, "{:.2},{:.2} ", right(nth), up(day.high));
        let _ = write!(line, "{:.2},{:.2} ", right(nth), up(day.middle));
    }
    for (nth, day) in days.iter().enumerate().rev() {
        let _ = write!(band, "{:.2},{:.2} ", right(nth), up(day.low));
    }
    let at_margin = match margin > 0.0 {
        true => format!(
            "<line class=\"margin\" x1=\"0\" x2=\"100\" y1=\"{y:.2}\" y2=\"{y:.2}\"/>",
            y = up(-margin)
        ),
        false => String::new(),
    };
    let (first_day, last_day) = (days.first(), days.last());
    let name = |day: Option<&SequenceDay>| day.map_or(String::new(), |day| escaped(&day.day));
    let described = last_day.map_or(String::new(), |day| {
        format!(
            "{} on {}: {:.1} points, {:.1} to {:.1}",
            escaped(title),
            escaped(&day.day),
            day.middle,
            day.low,
            day.high
        )
    });
    format!(
        "<figure><p class=\"title\">{title}</p><div class=\"days\"><div class=\"up\" aria-hidden=\"true\"><span style=\"top:4%\">{reach:.1}</span><span style=\"top:50%\">0</span><span style=\"top:96%\">−{reach:.1}</span></div><svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{described}\"><polygon points=\"{band}\"/><line x1=\"0\" x2=\"100\" y1=\"50\" y2=\"50\"/>{at_margin}<polyline points=\"{line}\"/></svg><span></span><div class=\"axis\" aria-hidden=\"true\"><span style=\"left:0\">{first}</span><span style=\"left:100%\">{last}</span></div></div><figcaption>{caption}</figcaption></figure>",
        title = escaped(title),
        first = name(first_day),
        last = name(last_day),
        caption = escaped(caption),
    )
}
