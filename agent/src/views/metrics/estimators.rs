//! The walks that were judged: verdicts, which of them were wrong, races, and how false positives
//! end.

use estimator::{Estimator, Outcome};
use hooks::Feeds;
use verdicts::{Race, WrongVerdict};

use super::{
    family::{Metric, counter, gauge, histogram},
    labels::{END, ESTIMATOR, KERNEL, MET, RACE, VERDICT, WRONG},
};

const WALKS: &[Feeds] = &[Feeds::Walks];

/// A verdict is wrong or right only where the ledger is.
const JUDGED: &[Feeds] = &[Feeds::Walks, Feeds::Pins, Feeds::PinsReleased];

pub(super) const ESTIMATORS: &[Metric] = &[
    counter(
        "samples_issued_total",
        "Samples that walks wanted to send: those delivered and those lost.",
        |it, out| out.one(it.totals.samples_issued),
    )
    .from(WALKS),
    counter(
        "samples_delivered_total",
        "Samples that came through the ring.",
        |it, out| out.one(it.delivered),
    )
    .from(WALKS),
    counter("samples_judged_total", "Samples judged.", |it, out| {
        out.one(it.findings.judged);
    })
    .from(WALKS),
    counter(
        "verdicts_total",
        "Verdicts of each estimator, by the kernel's own answer.",
        |it, out| {
            for estimator in Estimator::ALL {
                for verdict in Outcome::ALL {
                    for kernel in Outcome::ALL {
                        let board = &it.findings.scoreboard;
                        let by_ledger = Outcome::ALL
                            .into_iter()
                            .map(|ledger| board.count(estimator, verdict, kernel, ledger));
                        let labels = [estimator.name(), verdict.name(), kernel.name()];
                        out.count(&labels, by_ledger.sum());
                    }
                }
            }
        },
    )
    .by(&[ESTIMATOR, VERDICT, KERNEL])
    .from(WALKS),
    counter(
        "wrong_verdicts_total",
        "Wrong verdicts, by kernel and ledger together: pinned while both say not pinned \
         (false_positive), not pinned while one says pinned (false_negative); by what raced.",
        |it, out| {
            for estimator in Estimator::ALL {
                for error in WrongVerdict::ALL {
                    for race in Race::ALL {
                        let labels = [estimator.name(), error.name(), race.name()];
                        out.count(&labels, it.findings.errors.count(estimator, error, race));
                    }
                }
            }
        },
    )
    .by(&[ESTIMATOR, WRONG, RACE])
    .from(JUDGED),
    counter(
        "walk_races_total",
        "Walks judged in which a zap decremented the mapcount, a GUP of the folio completed, the \
         folio was under writeback, or the last two together. Absent where no hook sees it.",
        |it, out| {
            let walks = &it.findings.walks;
            for (race, walks) in [
                ("zap", walks.zapped),
                ("gup", Some(walks.guped)),
                ("writeback", Some(walks.under_writeback)),
                ("gup_under_writeback", Some(walks.guped_under_writeback)),
            ] {
                if let Some(walks) = walks {
                    out.count(&[race], walks);
                }
            }
        },
    )
    .by(&[MET])
    .from(WALKS),
    histogram(
        "mkclean_walk_seconds",
        "How long the walks took that were judged: the window of their races.",
        |it, out| out.histogram(&[], &it.findings.walks.duration),
    )
    .from(WALKS),
    histogram(
        "false_positive_heal_seconds",
        "Age of a false positive at the walk that healed it.",
        |it, out| {
            for estimator in Estimator::ALL {
                out.histogram(&[estimator.name()], &it.findings.ended(estimator).healed);
            }
        },
    )
    .by(&[ESTIMATOR])
    .from(WALKS),
    gauge(
        "false_positives_open",
        "Folios wrongly called pinned that no later walk has healed yet.",
        |it, out| {
            for estimator in Estimator::ALL {
                out.count(&[estimator.name()], it.findings.ended(estimator).open);
            }
        },
    )
    .by(&[ESTIMATOR])
    .from(WALKS),
    counter(
        "false_positives_unhealed_total",
        "False positives that ended unhealed: the folio was GUPed again, or went out of sight.",
        |it, out| {
            for estimator in Estimator::ALL {
                let ended = it.findings.ended(estimator);
                out.count(&[estimator.name(), "guped_again"], ended.guped_again);
                out.count(&[estimator.name(), "out_of_sight"], ended.out_of_sight);
            }
        },
    )
    .by(&[ESTIMATOR, END])
    .from(WALKS),
];
