use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use human_check_core::ConfigError;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::interval::float;

/// The prices of providers, from a file that the operator writes.
///
/// No prices are built in: they change, and contracts differ. The file is TOML, with a table for
/// each provider; the [front page](crate#the-price-file) describes it.
///
/// ```
/// use human_check_compare::Prices;
///
/// let file = r#"
///     [acme]
///     currency = "EUR"
///     flat_per_month = 20.0
///     free_per_month = 1000
///     tiers = [{ per_1000 = 2.0 }]
/// "#;
/// let prices = Prices::from_toml("prices.toml", file)?;
/// assert_eq!(prices.cost("acme", 3_000).amount, Some(24.0));
/// assert_eq!(prices.cost("other", 3_000).amount, None);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Prices(BTreeMap<String, Price>);

/// The prices of one provider.
#[derive(Clone, Debug, PartialEq)]
struct Price {
    currency: String,
    /// The fee of a month.
    flat: f64,
    /// How many checks of a month cost nothing.
    free: u64,
    /// For each tier, up to how many checks of a month it holds, and its price of 1,000 checks.
    tiers: Vec<(Option<u64>, f64)>,
}

/// The cost of one provider in a month.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MonthlyCost {
    /// The name of the provider.
    pub provider: String,
    /// The number of checks in the month.
    pub monthly_volume: u64,
    /// The currency, as a code of three letters. `None` if the file has no table for the provider.
    pub currency: Option<String>,
    /// The amount in that currency. `None` if the file has no price for the provider or for so many
    /// checks.
    pub amount: Option<f64>,
}

/// The table of a provider in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceTable {
    currency: Spanned<String>,
    #[serde(default)]
    flat_per_month: Option<Spanned<f64>>,
    #[serde(default)]
    free_per_month: u64,
    #[serde(default)]
    tiers: Vec<Spanned<Tier>>,
}

/// A tier of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    #[serde(default)]
    up_to: Option<u64>,
    per_1000: f64,
}

impl Prices {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the file and the line, and what to write instead.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new(
                name.clone(),
                format!("cannot be read ({})", error.kind()),
                "check the path and its permissions",
            )
        })?;
        Self::from_toml(&name, &text)
    }

    /// Reads `text` as the content of a file. Errors call the file `name`.
    ///
    /// # Errors
    ///
    /// As for [`from_file`](Self::from_file).
    pub fn from_toml(name: &str, text: &str) -> Result<Self, ConfigError> {
        let wrong = |span: Range<usize>, problem: &str, remedy: &'static str| {
            let start = text.get(..span.start).unwrap_or(text);
            let line = start.bytes().filter(|byte| *byte == b'\n').count() + 1;
            ConfigError::new(format!("{name}:{line}"), problem.to_owned(), remedy)
        };
        let tables: BTreeMap<String, PriceTable> = toml::from_str(text).map_err(|error| {
            wrong(
                error.span().unwrap_or(0..0),
                &format!("cannot be read: {}", error.message().replace('\n', " ")),
                "write a table for each provider, with currency, free_per_month, flat_per_month and tiers",
            )
        })?;
        let mut prices = BTreeMap::new();
        for (provider, table) in tables {
            let currency = table.currency.get_ref();
            let is_code = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
            if !is_code {
                return Err(wrong(
                    table.currency.span(),
                    "has a currency that is not a code",
                    "write three capital letters, such as EUR",
                ));
            }
            let is_amount = |amount: f64| amount.is_finite() && amount >= 0.0;
            if let Some(flat) = &table.flat_per_month
                && !is_amount(*flat.get_ref())
            {
                return Err(wrong(
                    flat.span(),
                    "has a flat fee that is not an amount",
                    "write zero or more",
                ));
            }
            let mut tiers: Vec<(Option<u64>, f64)> = Vec::new();
            for tier in &table.tiers {
                let (span, tier) = (tier.span(), tier.get_ref());
                if !is_amount(tier.per_1000) {
                    return Err(wrong(
                        span,
                        "has a price that is not an amount",
                        "write zero or more",
                    ));
                }
                let rises = match (tiers.last(), tier.up_to) {
                    (None, _) => true,
                    (Some((None, _)), _) => false,
                    (Some((Some(_), _)), None) => true,
                    (Some((Some(last), _)), Some(next)) => next > *last,
                };
                if !rises {
                    return Err(wrong(
                        span,
                        "has a tier whose up_to is not above that of the tier before",
                        "raise up_to from tier to tier, and leave it out in the last tier only",
                    ));
                }
                tiers.push((tier.up_to, tier.per_1000));
            }
            let price = Price {
                currency: currency.clone(),
                flat: table.flat_per_month.map_or(0.0, Spanned::into_inner),
                free: table.free_per_month,
                tiers,
            };
            prices.insert(provider, price);
        }
        Ok(Self(prices))
    }

    /// Returns what `provider` costs in a month with `monthly_volume` checks. The amount is unknown
    /// without a price for the provider, and for checks beyond its last tier.
    pub fn cost(&self, provider: &str, monthly_volume: u64) -> MonthlyCost {
        let price = self.0.get(provider);
        MonthlyCost {
            provider: provider.to_owned(),
            monthly_volume,
            currency: price.map(|price| price.currency.clone()),
            amount: price.and_then(|price| price.amount(monthly_volume)),
        }
    }
}

impl Price {
    /// Returns the cost of `volume` checks. Each check has the price of its tier, and the first
    /// ones of the month are free.
    fn amount(&self, volume: u64) -> Option<f64> {
        let (mut amount, mut from) = (self.flat, self.free.min(volume));
        for (up_to, per_1000) in &self.tiers {
            let until = up_to.unwrap_or(volume).min(volume);
            amount += float(until.saturating_sub(from)) / 1_000.0 * per_1000;
            from = from.max(until);
        }
        // A flat fee without tiers covers every volume.
        let all = from == volume || (self.tiers.is_empty() && self.flat > 0.0);
        all.then_some(amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[turnstile]
currency = "USD"
free_per_month = 1000000

[hcaptcha]
currency = "USD"
flat_per_month = 139
free_per_month = 100000
tiers = [
  { up_to = 200000, per_1000 = 1.0 },
  { per_1000 = 0.5 },
]
"#;

    #[test]
    fn each_check_costs_what_its_tier_says() {
        let prices = Prices::from_toml("prices.toml", FILE).unwrap();
        let cost = |provider, volume| prices.cost(provider, volume).amount;
        assert_eq!(cost("turnstile", 1_000_000), Some(0.0));
        assert_eq!(cost("turnstile", 1_000_001), None, "the file does not say");
        assert_eq!(cost("hcaptcha", 0), Some(139.0));
        assert_eq!(cost("hcaptcha", 150_000), Some(139.0 + 50.0));
        assert_eq!(cost("hcaptcha", 300_000), Some(139.0 + 100.0 + 50.0));
        assert_eq!(cost("captchala", 1), None);
    }

    #[test]
    fn the_example_of_the_front_page_is_read() {
        let page = include_str!("../README.md");
        let example = page.split("```toml").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let prices = Prices::from_toml("prices.toml", example).unwrap();
        let amount = prices.cost("hcaptcha", 600_000).amount;
        assert_eq!(amount, Some(99.0 + 400.0 + 80.0));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line) in [
            ("[a]\ncurrency = \"USD\"\ncurency = 1\n", "p.toml:3"),
            ("[a]\n\ncurrency = \"Euro\"\n", "p.toml:3"),
            ("[a]\ncurrency = \"EUR\"\nflat_per_month = -1\n", "p.toml:3"),
            (
                "[a]\ncurrency = \"EUR\"\nflat_per_month = nan\n",
                "p.toml:3",
            ),
            (
                "[a]\ncurrency = \"EUR\"\ntiers = [\n {up_to=5,per_1000=1},\n {up_to=5,per_1000=1}]\n",
                "p.toml:5",
            ),
            (
                "[a]\ncurrency = \"EUR\"\ntiers = [{per_1000=-1}]\n",
                "p.toml:3",
            ),
            ("[a]\ncurrency = \n", "p.toml:2"),
        ] {
            let error = Prices::from_toml("p.toml", text).unwrap_err();
            assert_eq!(error.field(), line, "{error}");
            assert!(!error.remedy().is_empty());
        }
    }
}
