use serde::Serialize;

use crate::interval::{ConfidenceInterval, Proportion, Z, float};

/// The agreement of two providers, for the visitors that both judged.
///
/// [`Statistics::pairs`](crate::Statistics::pairs) has one for each two providers. Agreement does
/// not show which provider is right.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Agreement {
    /// The name of the first provider.
    pub first: String,
    /// The name of the second provider.
    pub second: String,
    /// The verdicts of both, counted for the visitors that both judged.
    pub table: ContingencyTable,
    /// How many records are not in the table, because at least one of the two returned no verdict.
    pub excluded: u64,
    /// The share of visitors for whom the verdicts are equal. `None` when the table is empty.
    pub agreed: Option<Proportion>,
    /// The agreement beyond chance.
    pub kappa: Kappa,
}

/// The contingency table of the verdicts of two providers: how many visitors received which two
/// verdicts.
///
/// ```
/// use human_check_compare::ContingencyTable;
///
/// let table = ContingencyTable { both_human: 90, first_only: 4, second_only: 2, both_not: 4 };
/// assert_eq!(table.pairs(), 100);
/// assert_eq!(table.exchanged().first_only, 2);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ContingencyTable {
    /// Visitors that both providers judged to be human.
    pub both_human: u64,
    /// Visitors that only the first provider judged to be human.
    pub first_only: u64,
    /// Visitors that only the second provider judged to be human.
    pub second_only: u64,
    /// Visitors that neither provider judged to be human.
    pub both_not: u64,
}

impl ContingencyTable {
    /// Returns how many visitors both providers judged, which is the sum of the four counts.
    pub fn pairs(&self) -> u64 {
        self.both_human + self.first_only + self.second_only + self.both_not
    }

    /// Returns the table with the first and the second provider exchanged.
    #[must_use]
    pub fn exchanged(self) -> Self {
        Self {
            first_only: self.second_only,
            second_only: self.first_only,
            ..self
        }
    }

    /// Adds one visitor, with whether each provider judged it to be human.
    pub(crate) fn count(&mut self, first: bool, second: bool) {
        *match (first, second) {
            (true, true) => &mut self.both_human,
            (true, false) => &mut self.first_only,
            (false, true) => &mut self.second_only,
            (false, false) => &mut self.both_not,
        } += 1;
    }

    /// Returns whether a provider gave the same verdict for every visitor. Also for an empty table.
    pub(crate) fn is_one_sided(&self) -> bool {
        let first = self.both_human + self.first_only;
        let second = self.both_human + self.second_only;
        [first, second]
            .iter()
            .any(|n| [0, self.pairs()].contains(n))
    }
}

/// Cohen's kappa: agreement beyond chance, from -1 to 1. 1 is perfect agreement, 0 is that of
/// chance, and below 0 the providers agree less often than by chance.
///
/// If both providers pass 95 % of the visitors, they agree on nine tenths by chance alone. Kappa
/// takes that off.
///
/// ```
/// use human_check_compare::{ContingencyTable, Kappa};
///
/// let table = ContingencyTable { both_human: 20, first_only: 5, second_only: 10, both_not: 15 };
/// let Kappa::Estimate { kappa, interval, .. } = Kappa::of(table) else { panic!("undefined") };
/// assert!((kappa - 0.4).abs() < 1e-9);
/// assert!(interval.is_some_and(|interval| interval.low < kappa && kappa < interval.high));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kappa {
    /// An estimate from the verdicts.
    Estimate {
        /// The value of kappa, from -1 to 1.
        kappa: f64,
        /// Its large-sample standard error.
        standard_error: f64,
        /// The 95 % confidence interval. `None` if the providers never disagreed: the standard
        /// error is 0 then, which does not mean that they will agree on the next visitor.
        interval: Option<ConfidenceInterval>,
    },
    /// Kappa is undefined, because the table is empty, or one provider gave the same verdict for
    /// every visitor. Agreement cannot be distinguished from chance then.
    Undefined,
}

impl Kappa {
    /// Computes kappa from the table of two providers.
    ///
    /// With the shares pᵢⱼ of the table, its row sums pᵢ. and its column sums p.ᵢ, the agreement is
    /// pₒ = Σ pᵢᵢ, that of chance pₑ = Σ pᵢ. p.ᵢ, and κ = (pₒ − pₑ) / (1 − pₑ) (J. Cohen, *A
    /// coefficient of agreement for nominal scales*, Educational and Psychological Measurement 20,
    /// 1960). The interval is κ ± 1.96 SE, cut to −1 and 1, with the large-sample standard error of
    /// J. L. Fleiss, J. Cohen and B. S. Everitt, *Large sample standard errors of kappa and
    /// weighted kappa*, Psychological Bulletin 72, 1969:
    ///
    /// SE² = (Σ pᵢᵢ [1 − (pᵢ. + p.ᵢ)(1 − κ)]² + (1 − κ)² Σᵢ≠ⱼ pᵢⱼ (p.ᵢ + pⱼ.)² − [κ − pₑ (1 − κ)]²)
    /// / (n (1 − pₑ)²)
    pub fn of(table: ContingencyTable) -> Self {
        let count = table.pairs();
        if count == 0 || table.is_one_sided() {
            return Self::Undefined;
        }
        let n = float(count);
        let [yy, yn, ny, nn] = [
            table.both_human,
            table.first_only,
            table.second_only,
            table.both_not,
        ]
        .map(|cell| float(cell) / n);
        let (row_yes, row_no) = (yy + yn, ny + nn);
        let (column_yes, column_no) = (yy + ny, yn + nn);
        let by_chance = row_yes * column_yes + row_no * column_no;
        let kappa = (yy + nn - by_chance) / (1.0 - by_chance);
        let apart = 1.0 - kappa;
        let diagonal = yy * (1.0 - (row_yes + column_yes) * apart).powi(2)
            + nn * (1.0 - (row_no + column_no) * apart).powi(2);
        let beside = apart.powi(2)
            * (yn * (column_yes + row_no).powi(2) + ny * (column_no + row_yes).powi(2));
        let minus = (kappa - by_chance * apart).powi(2);
        // Rounding may leave a value below zero.
        let standard_error = ((diagonal + beside - minus).max(0.0) / n).sqrt() / (1.0 - by_chance);
        let disagreed = table.first_only + table.second_only > 0;
        Self::Estimate {
            kappa: kappa.clamp(-1.0, 1.0),
            standard_error: if disagreed { standard_error } else { 0.0 },
            interval: disagreed.then(|| ConfidenceInterval {
                low: (kappa - Z * standard_error).clamp(-1.0, 1.0),
                high: (kappa + Z * standard_error).clamp(-1.0, 1.0),
            }),
        }
    }
}

impl Agreement {
    /// Computes the agreement from the table of two providers.
    pub(crate) fn new(
        first: String,
        second: String,
        table: ContingencyTable,
        excluded: u64,
    ) -> Self {
        Self {
            first,
            second,
            table,
            excluded,
            agreed: Proportion::new(table.both_human + table.both_not, table.pairs()),
            kappa: Kappa::of(table),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kappa(cells: [u64; 4]) -> Kappa {
        Kappa::of(table(cells))
    }

    fn table([both_human, first_only, second_only, both_not]: [u64; 4]) -> ContingencyTable {
        ContingencyTable {
            both_human,
            first_only,
            second_only,
            both_not,
        }
    }

    /// The example of 50 grant proposals in textbooks and encyclopaedias has kappa 0.40. Its
    /// standard error by Fleiss, Cohen and Everitt, computed by hand, is the square root of 0.2016
    /// / (50 · 0.25).
    #[test]
    fn kappa_is_as_in_the_worked_examples() {
        let Kappa::Estimate {
            kappa: k,
            standard_error,
            interval: Some(interval),
        } = kappa([20, 5, 10, 15])
        else {
            panic!("it is defined")
        };
        assert!((k - 0.4).abs() < 1e-12);
        assert!((standard_error - 0.016_128_f64.sqrt()).abs() < 1e-12);
        assert!((standard_error - 0.127).abs() < 1e-4);
        assert!((interval.low - 0.151).abs() < 1e-3 && (interval.high - 0.649).abs() < 1e-3);
        // The same agreement of 60 %, and not the same kappa.
        for (cells, expected) in [([45, 15, 25, 15], 0.1304), ([25, 35, 5, 35], 0.2593)] {
            let Kappa::Estimate { kappa: k, .. } = kappa(cells) else {
                panic!("it is defined")
            };
            assert!((k - expected).abs() < 5e-5, "{k}");
        }
    }

    #[test]
    fn kappa_is_undefined_where_one_provider_has_one_verdict_for_all() {
        for cells in [
            [0, 0, 0, 0],
            [40, 0, 0, 0],
            [0, 0, 0, 40],
            [30, 0, 10, 0],
            [30, 10, 0, 0],
            [0, 0, 10, 30],
        ] {
            assert_eq!(kappa(cells), Kappa::Undefined, "{cells:?}");
        }
    }

    #[test]
    fn perfect_agreement_has_no_interval_and_perfect_disagreement_is_minus_one() {
        let Kappa::Estimate {
            kappa: k, interval, ..
        } = kappa([20, 0, 0, 20])
        else {
            panic!("it is defined")
        };
        assert_eq!((k, interval), (1.0, None));
        let Kappa::Estimate { kappa: k, .. } = kappa([0, 20, 20, 0]) else {
            panic!("it is defined")
        };
        assert_eq!(k, -1.0);
    }

    proptest! {
        #[test]
        fn kappa_is_bounded_symmetric_and_never_nan(cells in proptest::array::uniform4(0_u64..500)) {
            let table = table(cells);
            match (Kappa::of(table), Kappa::of(table.exchanged())) {
                (Kappa::Undefined, Kappa::Undefined) => {}
                (
                    Kappa::Estimate { kappa, standard_error, interval },
                    Kappa::Estimate { kappa: other, standard_error: other_error, .. },
                ) => {
                    prop_assert!((-1.0..=1.0).contains(&kappa));
                    prop_assert!(standard_error.is_finite() && standard_error >= 0.0);
                    prop_assert!((kappa - other).abs() < 1e-9);
                    prop_assert!((standard_error - other_error).abs() < 1e-9);
                    if let Some(interval) = interval {
                        prop_assert!(interval.low <= kappa && kappa <= interval.high);
                        prop_assert!(-1.0 <= interval.low && interval.high <= 1.0);
                    }
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
