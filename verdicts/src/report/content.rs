//! The report as data.

use std::collections::BTreeMap;

use estimator::{Doubt, Estimator, Outcome, Tally, Truth};
use serde::{Serialize, Serializer};

use crate::{
    histogram::Histogram,
    judge::{Errors, Findings, Inputs, Race, WrongVerdict},
    recording::Head,
};

use super::disagreement::{self, Entry};

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) kernel: String,
    /// Version of the samples' layout.
    pub(super) abi: u32,
    pub(super) inputs: Inputs,
    pub(super) samples: u64,
    /// Samples lost, and pages that the ledger may lack, as it was last told.
    pub(super) lost: Lost,
    pub(super) folios_forgotten: u64,
    pub(super) walks: Walks,
    pub(super) estimators: Vec<Scored>,
    /// The last few wrong verdicts of each kind by each estimator.
    pub(super) disagreements: Vec<Entry>,
}

#[derive(Debug, Serialize)]
pub(super) struct Lost {
    pub(super) samples: u64,
    pub(super) pages: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub(super) walks_paused: u32,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

#[derive(Debug, Serialize)]
pub(super) struct Walks {
    pub(super) seconds: Buckets,
    /// Absent where no hook counts zaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zapped: Option<u64>,
    pub(super) guped: u64,
    pub(super) under_writeback: u64,
    pub(super) guped_under_writeback: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Scored {
    pub(super) estimator: &'static str,
    pub(super) against_kernel: Score,
    pub(super) against_ledger: Score,
    /// Walks by verdict, kernel's answer and ledger's answer; those that occurred.
    pub(super) matrix: Vec<Cell>,
    pub(super) doubts: BTreeMap<&'static str, u64>,
    /// Wrong verdicts by what raced.
    pub(super) wrong: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    pub(super) false_positives: FalsePositives,
}

#[derive(Debug, Serialize)]
pub(super) struct Score {
    pub(super) true_positive: u64,
    pub(super) false_positive: u64,
    pub(super) true_negative: u64,
    pub(super) false_negative: u64,
    pub(super) uncertain: u64,
    pub(super) unscored: u64,
    pub(super) precision: Option<f64>,
    pub(super) recall: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) verdict: &'static str,
    pub(super) kernel: &'static str,
    pub(super) ledger: &'static str,
    pub(super) walks: u64,
}

/// How false positives ended.
#[derive(Debug, Serialize)]
pub(super) struct FalsePositives {
    pub(super) open: u64,
    pub(super) healed_seconds: Buckets,
    pub(super) guped_again: u64,
    pub(super) out_of_sight: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Buckets {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Bound, and how many did not exceed it.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_order")]
    pub(super) buckets: Vec<(String, u64)>,
}

impl Report {
    /// The verdicts that a judge found.
    #[must_use]
    pub fn of(head: &Head, findings: &Findings) -> Self {
        let walks = &findings.walks;
        Self {
            kernel: head.kernel.clone(),
            abi: probe_abi::ABI_VERSION,
            inputs: findings.inputs,
            samples: findings.judged,
            lost: Lost {
                samples: findings.losses.samples,
                pages: findings.losses.pages,
                walks_paused: findings.losses.pauses,
            },
            folios_forgotten: findings.forgotten,
            walks: Walks {
                seconds: Buckets::of(&walks.duration),
                zapped: walks.zapped,
                guped: walks.guped,
                under_writeback: walks.under_writeback,
                guped_under_writeback: walks.guped_under_writeback,
            },
            estimators: Estimator::ALL
                .into_iter()
                .map(|it| Scored::of(findings, it))
                .collect(),
            disagreements: disagreement::all(&findings.errors),
        }
    }
}

impl Scored {
    fn of(findings: &Findings, estimator: Estimator) -> Self {
        let board = &findings.scoreboard;
        let score = |truth| Score::of(&board.tally(estimator, truth));
        let ended = findings.ended(estimator);
        Self {
            estimator: estimator.name(),
            against_kernel: score(Truth::Kernel),
            against_ledger: score(Truth::Ledger),
            matrix: matrix(findings, estimator),
            doubts: Doubt::ALL
                .into_iter()
                .map(|doubt| (doubt.name(), board.doubted(estimator, doubt)))
                .filter(|(_, walks)| *walks > 0)
                .collect(),
            wrong: wrong(&findings.errors, estimator),
            false_positives: FalsePositives {
                open: ended.open,
                healed_seconds: Buckets::of(&ended.healed),
                guped_again: ended.guped_again,
                out_of_sight: ended.out_of_sight,
            },
        }
    }
}

fn matrix(findings: &Findings, estimator: Estimator) -> Vec<Cell> {
    let mut cells = Vec::new();
    for verdict in Outcome::ALL {
        for kernel in Outcome::ALL {
            for ledger in Outcome::ALL {
                let walks = findings
                    .scoreboard
                    .count(estimator, verdict, kernel, ledger);
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
