//! `simple`, December 2018: walk, then read the combined count; pinned iff it is larger than the entries found.
//!
//! The flag is the result and no input: nothing but this rule sets it.

use crate::transition::Transition;
use crate::{Answer, Ask, Compare, Relation, Site, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Walk,
    Count { found: u32 },
    Settle { pinned: bool },
}

impl State {
    pub(crate) const START: Self = Self::Walk;

    #[inline]
    pub(crate) fn ask(self) -> Ask {
        match self {
            Self::Walk => Ask::Walk,
            Self::Count { .. } => Ask::Count,
            Self::Settle { pinned: true } => Ask::SetFlag,
            Self::Settle { pinned: false } => Ask::ClearFlag,
        }
    }

    #[inline]
    pub(crate) fn give<C: Compare>(self, answer: Answer, compare: C) -> Transition<Self> {
        match (self, answer) {
            (Self::Walk, Answer::Number(found)) => Transition::Then(Self::Count { found }),
            (Self::Count { found }, Answer::Number(count)) => {
                let pinned = compare.holds(Site::SimplePinned, count, Relation::Above, found);
                Transition::Then(Self::Settle { pinned })
            }
            (Self::Settle { pinned: true }, Answer::Done) => Transition::End(Verdict::Pinned),
            (Self::Settle { pinned: false }, Answer::Done) => Transition::End(Verdict::NotPinned),
            (Self::Walk | Self::Count { .. } | Self::Settle { .. }, _) => {
                Transition::refused(answer)
            }
        }
    }
}
