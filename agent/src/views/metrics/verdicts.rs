//! The metrics of the judge: verdicts, which of them were wrong, races, and how false positives
//! end.

use estimator::{Estimator, Outcome};
use prometheus::{IntCounterVec, IntGaugeVec, Registry};
use verdicts::{Judge, Race, WrongVerdict};

use super::{
    durations::Durations,
    register::{counters, gauges, histograms, set},
};

const ENDS: [&str; 2] = ["guped_again", "out_of_sight"];

pub(super) struct VerdictMetrics {
    verdicts: IntCounterVec,
    wrong_verdicts: IntCounterVec,
    walk_races: IntCounterVec,
    walk_duration: Durations,
    heal_age: Durations,
    false_positives_open: IntGaugeVec,
    false_positives_unhealed: IntCounterVec,
}

impl VerdictMetrics {
    pub(super) fn new(it: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            verdicts: counters(
                it,
                "verdicts_total",
                "Verdicts of each estimator, by the kernel's own answer.",
                &["estimator", "verdict", "kernel"],
            )?,
            wrong_verdicts: counters(
                it,
                "wrong_verdicts_total",
                "Verdicts held against kernel and ledger together: pinned while both say not \
                 (false_positive), not pinned while one says so (false_negative); by what raced.",
                &["estimator", "error", "race"],
            )?,
            walk_races: counters(
                it,
                "walk_races_total",
                "Walks judged in which a zap decremented the mapcount, a GUP of the folio \
                 completed, the folio was under writeback, or the last two together. Absent where \
                 no hook sees it.",
                &["race"],
            )?,
            walk_duration: histograms(
                it,
                "mkclean_walk_seconds",
                "How long the walks took that were judged: the window of their races.",
                &[],
            )?,
            heal_age: histograms(
                it,
                "false_positive_heal_seconds",
                "Age of a false positive at the walk that healed it.",
                &["estimator"],
            )?,
            false_positives_open: gauges(
                it,
                "false_positives_open",
                "Folios wrongly called pinned that no later walk has healed yet.",
                &["estimator"],
            )?,
            false_positives_unhealed: counters(
                it,
                "false_positives_unhealed_total",
                "False positives that ended unhealed: the folio was GUPed again, or went out of \
                 sight.",
                &["estimator", "end"],
            )?,
        };
        metrics.at_zero();
        Ok(metrics)
    }

    /// A first verdict, or a first wrong one, is a step and not an appearance.
    fn at_zero(&self) {
        for estimator in Estimator::ALL {
            let name = estimator.name();
            for verdict in Outcome::ALL {
                for kernel in Outcome::ALL {
                    let labels = [name, verdict.name(), kernel.name()];
                    self.verdicts.with_label_values(&labels);
                }
            }
            for error in WrongVerdict::ALL {
                for race in Race::ALL {
                    let labels = [name, error.name(), race.name()];
                    self.wrong_verdicts.with_label_values(&labels);
                }
            }
            for end in ENDS {
                self.false_positives_unhealed
                    .with_label_values(&[name, end]);
            }
        }
    }

    pub(super) fn update(&self, judge: &Judge) {
        let walks = judge.walks();
        self.walk_duration.show(&[], &walks.duration);
        for (race, walks) in [
            ("zap", walks.zapped),
            ("gup", Some(walks.guped)),
            ("writeback", Some(walks.under_writeback)),
            ("gup_under_writeback", Some(walks.guped_under_writeback)),
        ] {
            if let Some(walks) = walks {
                set(&self.walk_races.with_label_values(&[race]), walks);
            }
        }
        for estimator in Estimator::ALL {
            self.update_one(judge, estimator);
        }
    }

    fn update_one(&self, judge: &Judge, estimator: Estimator) {
        let name = estimator.name();
        for verdict in Outcome::ALL {
            for kernel in Outcome::ALL {
                let labels = [name, verdict.name(), kernel.name()];
                let by_ledger = Outcome::ALL.into_iter().map(|ledger| {
                    let scoreboard = judge.scoreboard();
                    scoreboard.count(estimator, verdict, kernel, ledger)
                });
                set(&self.verdicts.with_label_values(&labels), by_ledger.sum());
            }
        }
        for error in WrongVerdict::ALL {
            for race in Race::ALL {
                let labels = [name, error.name(), race.name()];
                let walks = judge.errors().count(estimator, error, race);
                set(&self.wrong_verdicts.with_label_values(&labels), walks);
            }
        }
        let ended = judge.heals().of(estimator);
        self.heal_age.show(&[name], &ended.healed);
        self.false_positives_open
            .with_label_values(&[name])
            .set(ended.open.cast_signed());
        for (end, count) in ENDS.iter().zip([ended.guped_again, ended.out_of_sight]) {
            let counter = self
                .false_positives_unhealed
                .with_label_values(&[name, end]);
            set(&counter, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;
    use verdicts::Inputs;

    fn check(inputs: Inputs, line: &str, shown: Option<&str>) {
        let registry = Registry::new();
        let metrics = VerdictMetrics::new(&registry).unwrap();
        metrics.update(&Judge::new(16, inputs));
        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        let found = text.lines().find_map(|it| it.strip_prefix(line));
        assert_eq!(found, shown, "{line}");
    }

    #[test]
    fn a_race_without_its_hook_is_absent_and_not_zero() {
        let line = "pinscope_walk_races_total{race=\"zap\"} ";
        for (zaps, shown) in [(true, Some("0")), (false, None)] {
            check(Inputs { ptes: true, zaps }, line, shown);
        }
    }

    #[test]
    fn a_histogram_has_its_buckets_before_the_first_duration() {
        let line =
            "pinscope_false_positive_heal_seconds_bucket{estimator=\"two_walk\",le=\"+Inf\"} ";
        let inputs = Inputs {
            ptes: true,
            zaps: true,
        };
        check(inputs, line, Some("0"));
    }
}
