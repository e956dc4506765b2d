use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::escaped::escaped;
use crate::{MonthlyCost, Proportion};

/// A table that both the terminal and the page show.
pub(super) struct Tabular {
    pub(super) title: &'static str,
    /// The text below the table.
    pub(super) note: &'static str,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Tabular {
    /// Returns the table as text, up to 120 columns wide.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(120)
            .set_header(&self.header)
            .add_rows(&self.rows);
        let note = match self.note {
            "" => String::new(),
            note => format!("{note}\n"),
        };
        format!("\n{}\n{table}\n{note}", self.title)
    }

    /// Returns the table as HTML.
    pub(super) fn html(&self) -> String {
        let cells = |cells: &[String], first: &str, other: &str, ends: [&str; 2]| -> String {
            let cell = |(nth, cell): (usize, &String)| match nth {
                0 => format!("{first}{}{}", escaped(cell), ends[0]),
                _ => format!("{other}{}{}", escaped(cell), ends[1]),
            };
            cells.iter().enumerate().map(cell).collect()
        };
        let head = "<th scope=\"col\">";
        let header = cells(&self.header, head, head, ["</th>", "</th>"]);
        let rows: String = self
            .rows
            .iter()
            .map(|row| {
                let cells = cells(row, "<th scope=\"row\">", "<td>", ["</th>", "</td>"]);
                format!("<tr>{cells}</tr>")
            })
            .collect();
        let note = match self.note {
            "" => String::new(),
            note => format!("<p>{}</p>", escaped(note)),
        };
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table><caption>{title}</caption><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>{note}",
            title = escaped(self.title)
        )
    }
}

pub(super) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The note below the table of costs.
const PRICES_NOTE: &str =
    "Prices are those of your price file; none are built in. Each visitor is one check.";

/// Returns a share in per cent with its interval, or a dash.
pub(super) fn percent(share: Option<Proportion>) -> String {
    share.map_or("–".to_owned(), |share| {
        let Proportion { interval, .. } = share;
        format!(
            "{:.1} % ({:.1}–{:.1})",
            share.share * 100.0,
            interval.low * 100.0,
            interval.high * 100.0
        )
    })
}

/// Returns the amount with its currency, or why it is unknown.
fn amount(cost: &MonthlyCost) -> String {
    match (&cost.currency, cost.amount) {
        (Some(currency), Some(amount)) => format!("{amount:.2} {currency}"),
        (Some(_), None) => "no price for this volume".to_owned(),
        (None, _) => "not in the price file".to_owned(),
    }
}

/// Returns the table of costs.
pub(super) fn costs(costs: &[MonthlyCost]) -> Tabular {
    let rows = costs.iter().map(|cost| {
        vec![
            cost.provider.clone(),
            cost.monthly_volume.to_string(),
            amount(cost),
        ]
    });
    Tabular {
        title: "Cost per month",
        note: PRICES_NOTE,
        header: names(&["provider", "checks", "cost"]),
        rows: rows.collect(),
    }
}
