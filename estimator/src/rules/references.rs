//! `expected_refs` and `kernel`: what the kernel's own counters say.
//!
//! `expected_refs` reads what explains references before the references, as `migrate_folio()` does.

use crate::transition::Transition;
use crate::{Answer, Ask, Compare, Pincount, Relation, Site, Verdict};

/// `GUP_PIN_COUNTING_BIAS`: what one `FOLL_PIN` adds to the reference count of a small folio.
const PIN_BIAS: u32 = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Explained,
    Refcount { explained: u32 },
    KernelPincount,
    KernelRefcount,
}

impl State {
    pub(crate) const EXPECTED: Self = Self::Explained;
    pub(crate) const KERNEL: Self = Self::KernelPincount;

    #[inline]
    pub(crate) fn ask(self) -> Ask {
        match self {
            Self::Explained => Ask::Explained,
            Self::Refcount { .. } | Self::KernelRefcount => Ask::Refcount,
            Self::KernelPincount => Ask::Pincount,
        }
    }

    #[inline]
    pub(crate) fn give<C: Compare>(self, answer: Answer, compare: C) -> Transition<Self> {
        let pinned = match (self, answer) {
            (Self::Explained, Answer::Number(explained)) => {
                return Transition::Then(Self::Refcount { explained });
            }
            (Self::KernelPincount, Answer::Pincount(Pincount::Absent)) => {
                return Transition::Then(Self::KernelRefcount);
            }
            (Self::Refcount { explained }, Answer::Refcount(refcount)) => {
                let references = refcount.cast_unsigned();
                compare.holds(Site::Unexplained, references, Relation::Above, explained)
            }
            (Self::KernelPincount, Answer::Pincount(Pincount::Exact(pins))) => {
                // The kernel asks for more than zero of a signed count.
                let pins = u32::try_from(pins).unwrap_or(0);
                compare.holds(Site::KernelPincount, pins, Relation::Above, 0)
            }
            (Self::KernelRefcount, Answer::Refcount(refcount)) => {
                let references = refcount.cast_unsigned();
                compare.holds(Site::KernelBias, references, Relation::AtLeast, PIN_BIAS)
            }
            (
                Self::Explained
                | Self::Refcount { .. }
                | Self::KernelPincount
                | Self::KernelRefcount,
                _,
            ) => return Transition::refused(answer),
        };
        Transition::End(if pinned {
            Verdict::Pinned
        } else {
            Verdict::NotPinned
        })
    }
}
