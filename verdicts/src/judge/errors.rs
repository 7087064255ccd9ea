//! Wrong verdicts, counted by what raced, and the last of each kind kept to be
//! understood.

use std::collections::VecDeque;

use estimator::{Estimator, Flags, Observations};
use probe_abi::MkcleanSample;

use super::{answers::WrongVerdict, race::Race};

/// Kept of each kind of error by each estimator.
const KEPT: usize = 2;

/// A walk that an estimator judged wrongly, with all that its judgement came from.
#[derive(Clone, Copy, Debug)]
pub struct Disagreement {
    /// How many samples were judged before.
    pub number: u64,
    /// The walk.
    pub sample: MkcleanSample,
    /// What it shows.
    pub seen: Observations,
    /// The flags before the walk.
    pub flags: Flags,
    /// What raced with it.
    pub race: Race,
}

/// Wrong verdicts so far.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    counts: [[[u64; Race::COUNT]; WrongVerdict::COUNT]; Estimator::COUNT],
    last: [[VecDeque<Disagreement>; WrongVerdict::COUNT]; Estimator::COUNT],
}

impl Errors {
    /// Takes note of one wrong verdict.
    pub(super) fn note(&mut self, estimator: Estimator, error: WrongVerdict, walk: Disagreement) {
        self.counts[estimator as usize][error as usize][walk.race as usize] += 1;
        let last = &mut self.last[estimator as usize][error as usize];
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(walk);
    }

    /// How often an estimator was wrong so, by what raced.
    #[must_use]
    pub fn count(&self, estimator: Estimator, error: WrongVerdict, race: Race) -> u64 {
        self.counts[estimator as usize][error as usize][race as usize]
    }

    /// The last ones, oldest first.
    pub fn last(
        &self,
        estimator: Estimator,
        error: WrongVerdict,
    ) -> impl Iterator<Item = &Disagreement> {
        self.last[estimator as usize][error as usize].iter()
    }
}
