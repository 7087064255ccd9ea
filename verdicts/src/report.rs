//! The verdicts so far, as a report: the same whether they were reached live or
//! in a replay, to the byte.
//!
//! Nothing that a recording does not hold is in it: no totals, no clock.

mod disagreement;
mod text;

use std::collections::BTreeMap;

use estimator::{Doubt, Estimator, Outcome, Tally, Truth};
use serde::{Serialize, Serializer};

use crate::{
    histogram::Histogram,
    judge::{Errors, Inputs, Judge, Race, WrongVerdict},
    recording::Head,
};

use disagreement::Entry;
pub(crate) use disagreement::steps;

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    kernel: String,
    /// Version of the samples' layout.
    abi: u32,
    inputs: Inputs,
    samples: u64,
    /// Samples and pages lost, as far as they touch verdicts.
    lost: Lost,
    folios_forgotten: u64,
    walks: Walks,
    estimators: Vec<Scored>,
    /// The last few wrong verdicts of each kind by each estimator.
    disagreements: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Lost {
    samples: u64,
    pages: u64,
}

#[derive(Debug, Serialize)]
struct Walks {
    seconds: Buckets,
    /// Absent where no hook counts zaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    zapped: Option<u64>,
    guped: u64,
    under_writeback: u64,
    guped_under_writeback: u64,
}

#[derive(Debug, Serialize)]
struct Scored {
    estimator: &'static str,
    against_kernel: Score,
    against_ledger: Score,
    /// Walks by verdict, kernel's answer and ledger's answer; those that occurred.
    matrix: Vec<Cell>,
    doubts: BTreeMap<&'static str, u64>,
    /// Wrong verdicts by what raced.
    wrong: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    false_positives: FalsePositives,
}

#[derive(Debug, Serialize)]
struct Score {
    true_positive: u64,
    false_positive: u64,
    true_negative: u64,
    false_negative: u64,
    uncertain: u64,
    unscored: u64,
    precision: Option<f64>,
    recall: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Cell {
    verdict: &'static str,
    kernel: &'static str,
    ledger: &'static str,
    walks: u64,
}

/// How false positives ended.
#[derive(Debug, Serialize)]
struct FalsePositives {
    open: u64,
    healed_seconds: Buckets,
    guped_again: u64,
    out_of_sight: u64,
}

#[derive(Debug, Serialize)]
struct Buckets {
    count: u64,
    sum: f64,
    /// Bound, and how many did not exceed it.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_order")]
    buckets: Vec<(String, u64)>,
}

impl Report {
    /// The verdicts of `judge`.
    #[must_use]
    pub fn of(head: &Head, judge: &Judge) -> Self {
        let walks = judge.walks();
        Self {
            kernel: head.kernel.clone(),
            abi: probe_abi::ABI_VERSION,
            inputs: judge.inputs(),
            samples: judge.judged(),
            lost: Lost {
                samples: judge.losses().samples,
                pages: judge.losses().pages,
            },
            folios_forgotten: judge.forgotten(),
            walks: Walks {
                seconds: Buckets::of(&walks.duration),
                zapped: walks.zapped,
                guped: walks.guped,
                under_writeback: walks.under_writeback,
                guped_under_writeback: walks.guped_under_writeback,
            },
            estimators: Estimator::ALL
                .into_iter()
                .map(|it| Scored::of(judge, it))
                .collect(),
            disagreements: disagreement::all(judge.errors()),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        // No value in the report can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Scored {
    fn of(judge: &Judge, estimator: Estimator) -> Self {
        let board = judge.scoreboard();
        let score = |truth| Score::of(&board.tally(estimator, truth));
        let ended = judge.heals().of(estimator);
        Self {
            estimator: estimator.name(),
            against_kernel: score(Truth::Kernel),
            against_ledger: score(Truth::Ledger),
            matrix: matrix(judge, estimator),
            doubts: Doubt::ALL
                .into_iter()
                .map(|doubt| (doubt.name(), board.doubted(estimator, doubt)))
                .filter(|(_, walks)| *walks > 0)
                .collect(),
            wrong: wrong(judge.errors(), estimator),
            false_positives: FalsePositives {
                open: ended.open,
                healed_seconds: Buckets::of(&ended.healed),
                guped_again: ended.guped_again,
                out_of_sight: ended.out_of_sight,
            },
        }
    }
}

fn matrix(judge: &Judge, estimator: Estimator) -> Vec<Cell> {
    let mut cells = Vec::new();
    for verdict in Outcome::ALL {
        for kernel in Outcome::ALL {
            for ledger in Outcome::ALL {
                let walks = judge.scoreboard().count(estimator, verdict, kernel, ledger);
                if walks > 0 {
                    cells.push(Cell {
                        verdict: verdict.name(),
                        kernel: kernel.name(),
                        ledger: ledger.name(),
                        walks,
                    });
                }
            }
        }
    }
    cells
}

fn wrong(
    errors: &Errors,
    estimator: Estimator,
) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
    let by_race = |error| {
        Race::ALL
            .into_iter()
            .map(|race| (race.name(), errors.count(estimator, error, race)))
            .filter(|(_, walks)| *walks > 0)
            .collect()
    };
    WrongVerdict::ALL
        .into_iter()
        .map(|error| (error.name(), by_race(error)))
        .collect()
}

impl Score {
    fn of(tally: &Tally) -> Self {
        Self {
            true_positive: tally.true_positive,
            false_positive: tally.false_positive,
            true_negative: tally.true_negative,
            false_negative: tally.false_negative,
            uncertain: tally.uncertain,
            unscored: tally.unscored,
            precision: tally.precision(),
            recall: tally.recall(),
        }
    }
}

impl Buckets {
    fn of(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count(),
            sum: histogram.sum_seconds(),
            buckets: match histogram.count() {
                0 => Vec::new(),
                _ => histogram
                    .cumulative()
                    .map(|(bound, count)| (bound.to_string(), count))
                    .collect(),
            },
        }
    }
}

/// A map that keeps its order.
fn in_order<S: Serializer>(buckets: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(buckets.iter().map(|(bound, count)| (bound, count)))
}
