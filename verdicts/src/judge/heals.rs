//! How false positives end: healed by a later walk, by a new pin, or out of sight.
//!
//! The mail of January 2019: "worst case is you report a page as pin while it has just been
//! release but next write back will catch that (unless page is GUPed again)".

use std::collections::HashMap;

use estimator::{Estimator, Outcome};
use foldhash::fast::RandomState;
use probe_abi::MkcleanSample;

use super::answers::{Answers, WrongVerdict};
use crate::histogram::{AGE_BOUNDS_NS, Histogram};

/// The false positives of all estimators that no walk has ended yet.
#[derive(Debug)]
pub(super) struct Heals {
    open: HashMap<u64, Open, RandomState>,
    capacity: usize,
    ended: [Ended; Estimator::COUNT],
}

/// How one estimator's false positives ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Still open.
    pub open: u64,
    /// Age at the first later walk that said "not pinned".
    pub healed: Histogram,
    /// The folio was GUPed again before a walk healed it.
    pub guped_again: u64,
    /// The frame went to another page, or there were too many to follow.
    pub out_of_sight: u64,
}

/// A folio of which at least one estimator wrongly says "pinned".
#[derive(Clone, Copy, Debug)]
struct Open {
    mapping: u64,
    index: u64,
    /// When each estimator first said so.
    since_ns: [Option<u64>; Estimator::COUNT],
}

impl Heals {
    pub(super) fn new(capacity: usize) -> Self {
        let none = || Ended {
            open: 0,
            healed: Histogram::new(&AGE_BOUNDS_NS),
            guped_again: 0,
            out_of_sight: 0,
        };
        Self {
            open: HashMap::default(),
            capacity,
            ended: std::array::from_fn(|_| none()),
        }
    }

    /// How those of each estimator ended.
    pub(super) fn ended(&self) -> &[Ended; Estimator::COUNT] {
        &self.ended
    }

    /// Takes note of one walk. `guped` is whether a GUP came since the one before,
    /// `open_before` whether that left a false positive, as far as is known.
    /// Whether this one does is returned.
    pub(super) fn note(
        &mut self,
        sample: &MkcleanSample,
        answers: &Answers,
        guped: bool,
        open_before: Option<bool>,
    ) -> bool {
        let mut open =
            open_before != Some(false) && !self.open.is_empty() && self.end(sample, answers, guped);
        if answers.any_wrong && answers.held == Some(false) {
            for estimator in Estimator::ALL {
                if answers.error(estimator) == Some(WrongVerdict::FalsePositive) {
                    self.begin(sample, estimator);
                    open = true;
                }
            }
        }
        open
    }

    /// Gives up what is open: walks that may have healed it were lost.
    pub(super) fn forget_all(&mut self) {
        self.open.clear();
        for ended in &mut self.ended {
            ended.out_of_sight += ended.open;
            ended.open = 0;
        }
    }

    fn begin(&mut self, sample: &MkcleanSample, estimator: Estimator) {
        if self.open.len() >= self.capacity && !self.open.contains_key(&sample.folio) {
            self.forget_all();
        }
        let open = self.open.entry(sample.folio).or_insert(Open {
            mapping: sample.mapping,
            index: sample.index,
            since_ns: [None; Estimator::COUNT],
        });
        let since = &mut open.since_ns[estimator as usize];
        if since.is_none() {
            *since = Some(sample.at_ns);
            self.ended[estimator as usize].open += 1;
        }
    }

    /// Ends what this walk ends, and says whether any is still open.
    fn end(&mut self, sample: &MkcleanSample, answers: &Answers, guped: bool) -> bool {
        let Some(open) = self.open.get_mut(&sample.folio) else {
            return false;
        };
        let same = open.mapping == sample.mapping && open.index == sample.index;
        for (estimator, since) in Estimator::ALL.into_iter().zip(&mut open.since_ns) {
            let Some(since_ns) = *since else { continue };
            let ended = &mut self.ended[estimator as usize];
            if !same {
                ended.out_of_sight += 1;
            } else if guped || answers.held == Some(true) {
                ended.guped_again += 1;
            } else if answers.of_one(estimator) == Outcome::NotPinned {
                // Samples of different CPUs may come out of order.
                ended.healed.add(sample.at_ns.saturating_sub(since_ns));
            } else {
                continue;
            }
            ended.open -= 1;
            *since = None;
        }
        let none_left = open.since_ns.iter().all(Option::is_none);
        if none_left {
            self.open.remove(&sample.folio);
        }
        !none_left
    }
}
