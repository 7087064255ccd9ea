//! What kind of slot will do for a folio that has none yet, and what makes room when
//! there is none.

use probe_abi::{STRATA, Word, stratum};

use crate::{Acquire, Table};

/// What kind of slot is looked for. A number and no enumeration: the verifier would
/// follow each variant by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Rank(pub u64);

impl Rank {
    /// A tombstone of this folio.
    pub const TOMBSTONE: Self = Self(0);
    /// A free slot.
    pub const FREE: Self = Self(1);
    /// A tombstone of another folio.
    pub const OTHER_TOMBSTONE: Self = Self(2);
    /// For a pin: plain references, which the ledger may be right about or not.
    pub const REFERENCES: Self = Self(3);
    /// A slot of this folio that another owner has, see [`Acquire::look_to_share`].
    pub const SHARED: Self = Self(4);
    /// An end: somebody has to make room.
    pub const NO_ROOM: Self = Self(5);
    /// An end: the folio is no longer in the sample.
    pub const OUTSIDE: Self = Self(6);

    /// The next best kind, of which the verifier knows no more than of the first.
    #[inline(always)]
    pub(crate) fn next<T: Table>(self, table: T, want: u64) -> Self {
        let next = Self(self.0 + 1 + table.zero());
        // For a plain reference no other one has to go.
        if next == Self::REFERENCES && want & Word::GET != 0 {
            return Self(Self::SHARED.0 + table.zero());
        }
        next
    }

    #[inline(always)]
    pub(crate) const fn is_an_end(self) -> bool {
        self.0 >= Self::NO_ROOM.0
    }

    #[inline(always)]
    pub(crate) fn pattern<T: Table>(self, table: T, want: u64) -> Pattern {
        const ALL: u64 = !Word::PLACE;
        let (mask, bits) = match self {
            Self::TOMBSTONE => (ALL, want),
            Self::FREE => (ALL, 0),
            Self::OTHER_TOMBSTONE => (Word::COUNT | Word::BUSY, 0),
            Self::REFERENCES => (Word::GET | Word::BUSY, Word::GET),
            _ => (Word::IDENTITY, want),
        };
        // Unknown to the verifier, or it would search with each of them.
        Pattern {
            mask: mask + table.zero(),
            bits: bits + table.zero(),
        }
    }
}

/// Bits of a word, and what they must be.
#[derive(Clone, Copy)]
pub(crate) struct Pattern {
    mask: u64,
    bits: u64,
}

impl Pattern {
    #[inline(always)]
    pub(crate) fn fits<T: Table>(self, table: T, word: Word) -> bool {
        table.equal(word.0 & self.mask, self.bits)
    }
}

/// Rounds that it takes at most to make room.
pub const ROUNDS: usize = STRATA;

// Room is made in the folio's two buckets: slots of folios that the sample does not have are
// freed, and where there are none, the sample is halved.
impl Acquire {
    /// Frees one slot of the two buckets' if its folio is not in the sample any more.
    #[inline(always)]
    pub fn clear_slot<T: Table>(&mut self, table: T, index: u64) {
        let [first, second] = self.buckets;
        let bucket = if index & T::SLOTS as u64 == 0 {
            first
        } else {
            second
        };
        let Some(bucket) = table.bucket(bucket) else {
            return;
        };
        let slot = index as usize;
        let word = table.word(bucket, slot);
        if word.is_empty() || word.is_busy() || keeps(word.key(), self.level) {
            return;
        }
        if table.swap(bucket, slot, word.0, word.0 & Word::PLACE) {
            table.pass_over(word.key(), word.0 & Word::GET, u64::from(word.count()));
            self.cleared += 1;
        }
    }

    /// After the slots were looked at for this level: false to look again for the next.
    #[inline(always)]
    pub fn has_room<T: Table>(&mut self, table: T) -> bool {
        if self.cleared > 0 || !table.raise_level(self.level) {
            return true;
        }
        self.level = table.level();
        !keeps(self.references.key(), self.level)
    }

    /// What to look for now.
    #[inline(always)]
    pub(crate) fn rank_after_clearing<T: Table>(&self, table: T) -> Rank {
        let rank = if self.cleared > 0 {
            Rank::FREE
        } else if keeps(self.references.key(), self.level) {
            Rank::NO_ROOM
        } else {
            Rank::OUTSIDE
        };
        Rank(rank.0 + table.zero())
    }
}

/// Whether the ledger keeps the folio of this key.
#[must_use]
#[inline(always)]
pub fn keeps(key: u64, level: u64) -> bool {
    // Most of the time nothing is passed over.
    level == 0 || u64::from(stratum(key)) >= level
}
