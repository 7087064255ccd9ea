//! `ledger`: pinned iff the book of GUPs and releases has one open.

use crate::transition::Transition;
use crate::{Answer, Ask, Compare, Relation, Site, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State;

impl State {
    #[inline]
    pub(crate) fn ask(self) -> Ask {
        Ask::Pins
    }

    #[inline]
    pub(crate) fn give<C: Compare>(self, answer: Answer, compare: C) -> Transition<Self> {
        let Answer::Number(pins) = answer else {
            return Transition::refused(answer);
        };
        Transition::End(
            if compare.holds(Site::LedgerPins, pins, Relation::Above, 0) {
                Verdict::Pinned
            } else {
                Verdict::NotPinned
            },
        )
    }
}
