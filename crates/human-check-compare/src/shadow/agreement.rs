use serde::Serialize;

use crate::Proportion;
use crate::estimate::{kappa_interval, mcnemar_mid_p, paired_at_any_time, paired_at_one_look};
use crate::interval::{ConfidenceInterval, float};

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
    /// How many records are not in the table, because at least one of the two did not judge the
    /// visitor: no token arrived, the check failed, or the token proved nothing about a visitor, see
    /// [`ProviderStatistics::unusable`](crate::ProviderStatistics::unusable).
    pub excluded: u64,
    /// How many more visitors the first provider passed. `None` when the table is empty.
    pub difference: Option<PairedDifference>,
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
/// let Kappa::Estimate { kappa, interval } = Kappa::of(table) else { panic!("undefined") };
/// assert!((kappa - 0.4).abs() < 1e-9);
/// assert!(interval.low < kappa && kappa < interval.high);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kappa {
    /// An estimate from the verdicts.
    Estimate {
        /// The value of kappa, from -1 to 1.
        kappa: f64,
        /// The 95 % interval, from [`kappa_interval`]. It also holds where the providers seldom or
        /// never disagree.
        interval: ConfidenceInterval,
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
    /// 1960).
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
        let cells = [
            table.both_human,
            table.first_only,
            table.second_only,
            table.both_not,
        ];
        let Some(interval) = kappa_interval(cells) else {
            return Self::Undefined;
        };
        let kappa = kappa.clamp(-1.0, 1.0);
        Self::Estimate {
            kappa,
            // With perfect agreement, the posterior distribution stays below 1.
            interval: ConfidenceInterval {
                low: interval.low.min(kappa),
                high: interval.high.max(kappa),
            },
        }
    }
}

/// How many more visitors the first of two providers passed, of those that both judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PairedDifference {
    /// The share that the first passed, minus that of the second, from -1 to 1.
    pub difference: f64,
    /// Tango's 95 % interval, for one look at the end.
    pub one_look: ConfidenceInterval,
    /// An interval that holds at all looks together. `None` below 100 pairs.
    pub any_time: Option<ConfidenceInterval>,
    /// The mid-p-value of McNemar's test, for one look at the end: how probable so unequal counts
    /// are if both providers are equally strict.
    pub mid_p: f64,
}

/// The number of pairs for which the interval at any time is tightest.
const TUNED_TO: u64 = 10_000;

impl PairedDifference {
    /// Computes the difference from the table of two providers. `None` when it is empty.
    pub fn of(table: ContingencyTable) -> Option<Self> {
        let (first, second, pairs) = (table.first_only, table.second_only, table.pairs());
        let one_look = paired_at_one_look(first, second, pairs)?;
        Some(Self {
            difference: (float(first) - float(second)) / float(pairs),
            one_look,
            any_time: paired_at_any_time(first, second, pairs, TUNED_TO),
            mid_p: mcnemar_mid_p(first, second),
        })
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
            difference: PairedDifference::of(table),
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

    /// The example of 50 grant proposals in textbooks and encyclopaedias has kappa 0.40.
    #[test]
    fn kappa_is_as_in_the_worked_examples() {
        let Kappa::Estimate { kappa: k, interval } = kappa([20, 5, 10, 15]) else {
            panic!("it is defined")
        };
        assert!((k - 0.4).abs() < 1e-12);
        assert!((interval.low - 0.133).abs() < 1e-3 && (interval.high - 0.619).abs() < 1e-3);
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
    fn perfect_agreement_is_no_certainty() {
        let Kappa::Estimate { kappa: k, interval } = kappa([20, 0, 0, 20]) else {
            panic!("it is defined")
        };
        assert_eq!((k, interval.high), (1.0, 1.0));
        assert!(0.8 < interval.low && interval.low < 0.9, "{interval:?}");
        let Kappa::Estimate { kappa: k, .. } = kappa([0, 20, 20, 0]) else {
            panic!("it is defined")
        };
        assert_eq!(k, -1.0);
    }

    #[test]
    fn few_disagreements_do_not_make_kappa_certain() {
        let Kappa::Estimate { kappa: k, interval } = kappa([9_980, 10, 10, 0]) else {
            panic!("it is defined")
        };
        assert!(k.abs() < 0.002 && interval.low < k, "{k} {interval:?}");
        assert!(interval.high > 0.2, "{interval:?}");
    }

    #[test]
    fn the_difference_of_two_providers_is_seen_where_their_shares_overlap() {
        let table = table([2_645, 40, 75, 54]);
        let (first, second) = (
            Proportion::new(2_685, table.pairs()).unwrap(),
            Proportion::new(2_720, table.pairs()).unwrap(),
        );
        assert!(first.interval.high > second.interval.low, "they overlap");
        let difference = PairedDifference::of(table).unwrap();
        assert!(difference.one_look.high < 0.0 && difference.mid_p < 0.002);
        let none = ContingencyTable::default();
        assert_eq!(PairedDifference::of(none), None);
    }

    proptest! {
        // Each case draws two posterior distributions.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn kappa_is_bounded_symmetric_and_never_nan(cells in proptest::array::uniform4(0_u64..500)) {
            let table = table(cells);
            match (Kappa::of(table), Kappa::of(table.exchanged())) {
                (Kappa::Undefined, Kappa::Undefined) => {}
                (
                    Kappa::Estimate { kappa, interval },
                    Kappa::Estimate { kappa: other, interval: other_interval },
                ) => {
                    prop_assert!((-1.0..=1.0).contains(&kappa));
                    prop_assert!((kappa - other).abs() < 1e-9);
                    prop_assert!((interval.low - other_interval.low).abs() < 0.01);
                    prop_assert!(interval.low <= kappa && kappa <= interval.high);
                    prop_assert!(-1.0 <= interval.low && interval.high <= 1.0);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
