//! `two_walk`, the mail of 3 January 2019, and `two_walk_fixed`, which repairs its last comparison.
//!
//! Left out: the mail's early return for a page that is not mapped. Such a page gives 0 entries and the shadow pins.

use crate::transition::Transition;
use crate::{Answer, Ask, Compare, Doubt, Relation, Site, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    last: Last,
    at: At,
}

/// The comparison after the second walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Last {
    AsPosted,
    Fixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    FirstCount,
    FirstWalk { count: u32 },
    Flag { count: u32, found: u32 },
    SecondCount { found: u32 },
    SecondWalk { found: u32, count: u32 },
    Clear,
}

impl State {
    pub(crate) const AS_POSTED: Self = Self {
        last: Last::AsPosted,
        at: At::FirstCount,
    };
    pub(crate) const FIXED: Self = Self {
        last: Last::Fixed,
        at: At::FirstCount,
    };

    #[inline]
    pub(crate) fn ask(self) -> Ask {
        match self.at {
            At::FirstCount | At::SecondCount { .. } => Ask::Count,
            At::FirstWalk { .. } => Ask::Walk,
            At::Flag { .. } => Ask::ReadFlag,
            At::SecondWalk { .. } => Ask::MarkerWalk,
            At::Clear => Ask::ClearFlag,
        }
    }

    #[inline]
    pub(crate) fn give<C: Compare>(self, answer: Answer, compare: C) -> Transition<Self> {
        match (self.at, answer) {
            (At::FirstCount, Answer::Number(count)) => self.then(At::FirstWalk { count }),
            (At::FirstWalk { count }, Answer::Number(found)) => {
                self.then(At::Flag { count, found })
            }
            (At::Flag { .. }, Answer::Flag(false)) => Transition::End(Verdict::NotPinned),
            (At::Flag { count, found }, Answer::Flag(true)) => {
                self.first_comparison(count, found, compare)
            }
            (At::SecondCount { found }, Answer::Number(count)) => {
                if compare.holds(Site::TwoWalkForSure, count, Relation::Above, found) {
                    Transition::End(Verdict::Pinned)
                } else {
                    self.then(At::SecondWalk { found, count })
                }
            }
            (At::SecondWalk { found, count }, Answer::Number(markers)) => {
                if self.all_zapped(found, count, markers, compare) {
                    self.then(At::Clear)
                } else {
                    Transition::End(Verdict::Pinned)
                }
            }
            (At::Clear, Answer::Done) => Transition::End(Verdict::NotPinned),
            (
                At::FirstCount
                | At::FirstWalk { .. }
                | At::Flag { .. }
                | At::SecondCount { .. }
                | At::SecondWalk { .. }
                | At::Clear,
                _,
            ) => Transition::refused(answer),
        }
    }

    #[inline]
    fn then(self, at: At) -> Transition<Self> {
        Transition::Then(Self { at, ..self })
    }

    #[inline]
    fn first_comparison<C: Compare>(self, count: u32, found: u32, compare: C) -> Transition<Self> {
        if compare.holds(Site::TwoWalkIllegal, count, Relation::Below, found) {
            Transition::End(Verdict::Uncertain(Doubt::Contradiction))
        } else if compare.holds(Site::TwoWalkEqual, count, Relation::Equal, found) {
            self.then(At::Clear)
        } else {
            self.then(At::SecondCount { found })
        }
    }

    #[inline]
    fn all_zapped<C: Compare>(self, found: u32, count: u32, markers: u32, compare: C) -> bool {
        match self.last {
            Last::AsPosted => {
                let bound = found.saturating_add(markers);
                compare.holds(Site::TwoWalkZapped, count, Relation::AtMost, bound)
            }
            // An entry that was found and zapped since is in `found` and no longer in `count`.
            Last::Fixed => {
                let bound = found.saturating_sub(markers);
                compare.holds(Site::TwoWalkFixedZapped, count, Relation::AtMost, bound)
            }
        }
    }
}
