//! More owners of a folio than it has slots: which two have one together.

use probe_abi::{NOBODY, Word};

use crate::{
    Acquire, Place, References, Table,
    add::{add, has_room},
};

/// A slot that could be shared, as a number that is greater the better it is: 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Choice(pub u64);

impl Choice {
    /// No slot.
    pub const NONE: Self = Self(0);

    const PLACE_BITS: u32 = 8;
    const FREE_BITS: u32 = 24;

    /// `free`: at most [`Word::COUNT`].
    #[inline(always)]
    fn of(kinship: u64, free: u64, place: Place) -> Self {
        Self((kinship << Self::FREE_BITS | free) << Self::PLACE_BITS | place.0)
    }

    #[inline(always)]
    fn place(self) -> Place {
        Place(self.0 & ((1 << Self::PLACE_BITS) - 1))
    }
}

impl Acquire {
    /// Looks through one of the two buckets for the slot that is best to share: of the nearest
    /// kin, then one that has no name to lose, then the one with the fewest references.
    #[inline(always)]
    pub fn look_to_share<T: Table>(&self, table: T, which: u64) -> Choice {
        let which = (which & 1) as usize;
        let References { want, left, .. } = self.references;
        let mut best = table.zero();
        let Some(bucket) = table.bucket(self.buckets[which]) else {
            return Choice(best);
        };
        for slot in 0..T::SLOTS {
            let word = table.word(bucket, slot);
            if !table.equal(word.0 & Word::IDENTITY, want) || !has_room(word, left) {
                continue;
            }
            let owner = table.owner(bucket, slot);
            let kinship = table.kinship(owner, self.references.owner);
            let named = if owner == NOBODY { 0 } else { Word::COUNT };
            let free = Word::COUNT - (u64::from(word.count()) & named);
            let choice = Choice::of(kinship, free, Place::of::<T>(which, slot)).0;
            if table.opaque(best.wrapping_sub(choice)) as i64 <= 0 {
                best = choice;
            }
        }
        Choice(best)
    }

    /// Adds to the slot that was chosen, or goes over to the kind after it. False to go on.
    #[inline(always)]
    pub fn share<T: Table>(&mut self, table: T, choice: Choice) -> bool {
        let Some((which, slot)) = choice.place().get::<T>() else {
            self.rank = self.rank.next(table, self.references.want);
            return self.rank.is_an_end();
        };
        let Some(bucket) = table.bucket(self.buckets[which & 1]) else {
            return true;
        };
        let done = add(table, bucket, slot, &self.references);
        if done {
            self.references.left = 0;
        }
        done
    }
}
