//! `ledger`: pinned iff the book of GUPs and PUPs has one open.

use crate::machine::Outcome;
use crate::{Answer, Ask, Compare, Relation, Site, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State;

impl State {
    #[inline]
    pub(crate) fn ask(self) -> Ask {
        Ask::Pins
    }

    #[inline]
    pub(crate) fn give<C: Compare>(self, answer: Answer, compare: C) -> Outcome<Self> {
        let Answer::Number(pins) = answer else {
            return Outcome::refused(answer);
        };
        Outcome::End(
            if compare.holds(Site::LedgerPins, pins, Relation::Above, 0) {
                Verdict::Pinned
            } else {
                Verdict::NotPinned
            },
        )
    }
}
