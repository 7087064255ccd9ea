//! One GUP for writing, fast or slow.
//!
//! The fast one reads the entry, takes its reference and reads the entry again, all without a lock. Both need a
//! writable entry; the slow one makes it writable by a fault, which needs the page lock that mkclean holds. GUPs for
//! reading are left out: they do not dirty the page, so writeback need not know them.

/// How far it has come. The number is that of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Gup {
    /// Not begun.
    Idle,
    /// Fast: has read a writable entry.
    Read(u8),
    /// Fast: has taken its reference, and has to look again.
    Taken(u8),
    /// Fast: found the entry unchanged; the flag is to be set.
    Kept(u8),
    /// Slow: has taken its reference under the lock; the flag is to be set.
    Slow(u8),
    /// The fast path failed; only the slow one is left.
    Retry,
    /// Complete: the page's count of holders has it.
    Done,
    /// There is none in a search of this size.
    Nobody,
}

impl Gup {
    /// It has begun, and is not complete.
    pub(crate) fn is_under_way(self) -> bool {
        match self {
            Self::Read(_) | Self::Taken(_) | Self::Kept(_) | Self::Slow(_) => true,
            Self::Idle | Self::Retry | Self::Done | Self::Nobody => false,
        }
    }
}
