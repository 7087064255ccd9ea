//! The metrics of the judge: wrong verdicts, races, and how false positives end.

use estimator::Estimator;
use prometheus::IntCounterVec;

use verdicts::{Judge, Race, WrongVerdict};

use super::Metrics;

const ENDS: [&str; 2] = ["guped_again", "out_of_sight"];

/// A first wrong verdict is a step and not an appearance.
pub(super) fn at_zero(metrics: &Metrics) {
    for estimator in Estimator::ALL {
        for error in WrongVerdict::ALL {
            for race in Race::ALL {
                let labels = [estimator.name(), error.name(), race.name()];
                metrics.wrong_verdicts.with_label_values(&labels);
            }
        }
        for end in ENDS {
            metrics
                .false_positives_unhealed
                .with_label_values(&[estimator.name(), end]);
        }
    }
}

pub(super) fn update(metrics: &Metrics, judge: &Judge) {
    let walks = judge.walks();
    metrics.walk_duration.show(&[], &walks.duration);
    for (race, walks) in [
        ("zap", walks.zapped),
        ("gup", Some(walks.guped)),
        ("writeback", Some(walks.under_writeback)),
        ("gup_under_writeback", Some(walks.guped_under_writeback)),
    ] {
        if let Some(walks) = walks {
            set(&metrics.walk_races, &[race], walks);
        }
    }
    for estimator in Estimator::ALL {
        let name = estimator.name();
        for error in WrongVerdict::ALL {
            for race in Race::ALL {
                let labels = [name, error.name(), race.name()];
                let walks = judge.errors().count(estimator, error, race);
                set(&metrics.wrong_verdicts, &labels, walks);
            }
        }
        let ended = judge.heals().of(estimator);
        metrics.heal_age.show(&[name], &ended.healed);
        metrics
            .false_positives_open
            .with_label_values(&[name])
            .set(ended.open.cast_signed());
        for (end, count) in ENDS.iter().zip([ended.guped_again, ended.out_of_sight]) {
            set(&metrics.false_positives_unhealed, &[name, end], count);
        }
    }
}

fn set(counters: &IntCounterVec, labels: &[&str], total: u64) {
    super::set(&counters.with_label_values(labels), total);
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdicts::Inputs;

    fn check(inputs: Inputs, line: &str, shown: Option<&str>) {
        let metrics = Metrics::new().unwrap();
        update(&metrics, &Judge::new(16, inputs));
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
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
