//! The scoreboard: how often each estimator was right, by two sources of truth.
//!
//! Pure counters; two boards add up to one. Which walks are judged is left to the caller.

use crate::{Doubt, Estimator, Judgement, Outcome, Verdict};

/// What an estimator is scored against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// The kernel's own answer.
    Kernel,
    /// The exact ledger.
    Ledger,
}

impl Truth {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Kernel, Self::Ledger];

    /// The estimator that tells it.
    #[must_use]
    pub const fn estimator(self) -> Estimator {
        match self {
            Self::Kernel => Estimator::Kernel,
            Self::Ledger => Estimator::Ledger,
        }
    }
}

/// An estimator against one truth, where both had an answer, and how often one of them had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    /// Pinned, and so it was.
    pub true_positive: u64,
    /// Pinned, and it was not.
    pub false_positive: u64,
    /// Not pinned, and it was not.
    pub true_negative: u64,
    /// Not pinned, and it was: the silent corruption.
    pub false_negative: u64,
    /// The estimator did not know.
    pub uncertain: u64,
    /// The estimator knew, the truth did not.
    pub unscored: u64,
}

impl Tally {
    /// Of what was called pinned, the share that was. `None` before anything was called so.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positive, self.false_positive)
    }

    /// Of what was pinned, the share that was called so. `None` before anything was.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positive, self.false_negative)
    }
}

/// Per estimator: its verdict × the kernel's answer × the ledger's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoreboard {
    cells: [Matrix; Estimator::COUNT],
    doubts: [[u64; Doubt::COUNT]; Estimator::COUNT],
}

type Matrix = [[[u64; Outcome::COUNT]; Outcome::COUNT]; Outcome::COUNT];

impl Scoreboard {
    /// A board without a walk.
    pub const EMPTY: Self = Self {
        cells: [[[[0; Outcome::COUNT]; Outcome::COUNT]; Outcome::COUNT]; Estimator::COUNT],
        doubts: [[0; Doubt::COUNT]; Estimator::COUNT],
    };

    /// Counts one walk, judged by every estimator in the order of [`Estimator::ALL`].
    pub fn record(&mut self, judged: &[Judgement; Estimator::COUNT]) {
        let outcomes = judged.map(|it| it.verdict.outcome());
        let kernel = outcomes[Estimator::Kernel as usize] as usize;
        let ledger = outcomes[Estimator::Ledger as usize] as usize;
        for (matrix, verdict) in self.cells.iter_mut().zip(outcomes) {
            let cell = &mut matrix[verdict as usize][kernel][ledger];
            *cell = cell.saturating_add(1);
        }
        for (doubts, judgement) in self.doubts.iter_mut().zip(judged) {
            if let Verdict::Uncertain(doubt) = judgement.verdict {
                let count = &mut doubts[doubt.index()];
                *count = count.saturating_add(1);
            }
        }
    }

    /// Adds what another board counted.
    pub fn merge(&mut self, other: &Self) {
        let theirs = other.cells.as_flattened().as_flattened().as_flattened();
        let ours = self
            .cells
            .as_flattened_mut()
            .as_flattened_mut()
            .as_flattened_mut();
        for (ours, theirs) in ours.iter_mut().zip(theirs) {
            *ours = ours.saturating_add(*theirs);
        }
        let theirs = other.doubts.as_flattened();
        for (ours, theirs) in self.doubts.as_flattened_mut().iter_mut().zip(theirs) {
            *ours = ours.saturating_add(*theirs);
        }
    }

    /// Walks of which the estimator was uncertain for this reason.
    #[must_use]
    pub fn doubted(&self, estimator: Estimator, doubt: Doubt) -> u64 {
        self.doubts[estimator as usize][doubt.index()]
    }

    /// Walks with this verdict, this answer of the kernel and this of the ledger.
    #[must_use]
    pub fn count(
        &self,
        estimator: Estimator,
        verdict: Outcome,
        kernel: Outcome,
        ledger: Outcome,
    ) -> u64 {
        self.cells[estimator as usize][verdict as usize][kernel as usize][ledger as usize]
    }

    /// Walks counted; the same for every estimator.
    #[must_use]
    pub fn walks(&self) -> u64 {
        let kernel = &self.cells[Estimator::Kernel as usize];
        kernel
            .as_flattened()
            .as_flattened()
            .iter()
            .fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// An estimator against one truth.
    #[must_use]
    pub fn tally(&self, estimator: Estimator, truth: Truth) -> Tally {
        let mut tally = Tally::default();
        for verdict in Outcome::ALL {
            for kernel in Outcome::ALL {
                for ledger in Outcome::ALL {
                    let actual = match truth {
                        Truth::Kernel => kernel,
                        Truth::Ledger => ledger,
                    };
                    let cell = tally.cell(verdict, actual);
                    *cell = cell.saturating_add(self.count(estimator, verdict, kernel, ledger));
                }
            }
        }
        tally
    }
}

impl Default for Scoreboard {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Tally {
    fn cell(&mut self, verdict: Outcome, actual: Outcome) -> &mut u64 {
        match (verdict, actual) {
            (Outcome::Uncertain, _) => &mut self.uncertain,
            (_, Outcome::Uncertain) => &mut self.unscored,
            (Outcome::Pinned, Outcome::Pinned) => &mut self.true_positive,
            (Outcome::Pinned, Outcome::NotPinned) => &mut self.false_positive,
            (Outcome::NotPinned, Outcome::NotPinned) => &mut self.true_negative,
            (Outcome::NotPinned, Outcome::Pinned) => &mut self.false_negative,
        }
    }
}

fn share(part: u64, rest: u64) -> Option<f64> {
    let whole = part as f64 + rest as f64;
    (whole > 0.0).then(|| part as f64 / whole)
}
