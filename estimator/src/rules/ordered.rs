//! `ordered` and `ordered_recheck`, 11 January 2019: take the flag, read the count, then walk.
//!
//! The answer is the flag as it stands at the end, so a GUP that sets it after it was taken is heard.

use crate::transition::Transition;
use crate::{Answer, Ask, Compare, Doubt, Relation, Site, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    mismatch: Mismatch,
    at: At,
}

/// What follows a walk that found fewer entries than were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mismatch {
    IsPinned,
    IsRechecked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Take,
    Count { was_set: bool },
    Walk { was_set: bool, count: u32 },
    SecondCount,
    SecondWalk { count: u32 },
    SetAgain,
    Settle,
}

impl State {
    pub(crate) const ONCE: Self = Self {
        mismatch: Mismatch::IsPinned,
        at: At::Take,
    };
    pub(crate) const RECHECKED: Self = Self {
        mismatch: Mismatch::IsRechecked,
        at: At::Take,
    };

    #[inline]
    pub(crate) fn ask(self) -> Ask {
        match self.at {
            At::Take => Ask::TakeFlag,
            At::Count { .. } | At::SecondCount => Ask::Count,
            At::Walk { .. } => Ask::Walk,
            At::SecondWalk { count } => Ask::RecheckWalk { read: count },
            At::SetAgain => Ask::SetFlag,
            At::Settle => Ask::ReadFlag,
        }
    }

    #[inline]
    pub(crate) fn give<C: Compare>(self, answer: Answer, compare: C) -> Transition<Self> {
        match (self.at, answer) {
            (At::Take, Answer::Flag(was_set)) => self.then(At::Count { was_set }),
            (At::Count { was_set }, Answer::Number(count)) => {
                self.then(At::Walk { was_set, count })
            }
            (At::Walk { was_set, count }, Answer::Number(found)) => {
                self.first_comparison(was_set, count, found, compare)
            }
            (At::SecondCount, Answer::Number(count)) => self.then(At::SecondWalk { count }),
            (At::SecondWalk { count }, Answer::Number(found)) => {
                if compare.holds(Site::RecheckMissing, found, Relation::Below, count) {
                    self.then(At::SetAgain)
                } else {
                    self.then(At::Settle)
                }
            }
            (At::SetAgain, Answer::Done) | (At::Settle, Answer::Flag(true)) => {
                Transition::End(Verdict::Pinned)
            }
            (At::Settle, Answer::Flag(false)) => Transition::End(Verdict::NotPinned),
            (
                At::Take
                | At::Count { .. }
                | At::Walk { .. }
                | At::SecondCount
                | At::SecondWalk { .. }
                | At::SetAgain
                | At::Settle,
                _,
            ) => Transition::refused(answer),
        }
    }

    #[inline]
    fn then(self, at: At) -> Transition<Self> {
        Transition::Then(Self { at, ..self })
    }

    #[inline]
    fn first_comparison<C: Compare>(
        self,
        was_set: bool,
        count: u32,
        found: u32,
        compare: C,
    ) -> Transition<Self> {
        if !was_set {
            return self.then(At::Settle);
        }
        if compare.holds(Site::OrderedIllegal, count, Relation::Below, found) {
            return Transition::End(Verdict::Uncertain(Doubt::Contradiction));
        }
        if !compare.holds(Site::OrderedMissing, found, Relation::Below, count) {
            return self.then(At::Settle);
        }
        match self.mismatch {
            Mismatch::IsPinned => self.then(At::SetAgain),
            Mismatch::IsRechecked => self.then(At::SecondCount),
        }
    }
}
