//! Entering references: at the slot that the folio prefers, or else wherever the two
//! buckets have room.

use probe_abi::{Lost, SlotNote, Word, opened_at};

use crate::{
    References, Table,
    add::{add, has_room},
    hint::unlock,
    room::Rank,
};

/// References on their way into the ledger, where the preferred slot did not do.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Acquire {
    /// What is entered.
    pub references: References,
    /// The folio's two buckets.
    pub buckets: [u32; 2],
    /// What kind of slot is looked for next.
    pub rank: Rank,
    /// Sampling level at the last look.
    pub level: u64,
    /// Slots that were freed to make room.
    pub cleared: u64,
}

/// A slot of the two buckets, as a number: 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Place(pub u64);

impl Place {
    /// No slot.
    pub const NONE: Self = Self(0);

    #[inline(always)]
    pub(crate) fn of<T: Table>(which: usize, slot: usize) -> Self {
        Self((which * T::SLOTS + slot + 1) as u64)
    }

    /// Which of the two buckets, and which of its slots.
    #[inline(always)]
    pub(crate) fn get<T: Table>(self) -> Option<(usize, usize)> {
        let at = (self.0 as usize).checked_sub(1)?;
        Some((at / T::SLOTS, at % T::SLOTS))
    }
}

/// Enters at the slot that a folio prefers, if that is free, a tombstone of the folio, or
/// this owner's: true if done, otherwise nothing was done.
#[inline(always)]
pub fn acquire_at_preferred<T: Table>(table: T, references: &References) -> bool {
    let Some((bucket, slot)) = table.preferred(references.key()) else {
        return false;
    };
    let word = table.word(bucket, slot);
    let bare = word.0 & !Word::PLACE;
    if bare == 0 || bare == references.want {
        return claim(table, bucket, slot, word, references, |_| {});
    }
    word.0 & Word::IDENTITY == references.want
        && table.owner(bucket, slot) == references.owner
        && add(table, bucket, slot, references)
}

impl Acquire {
    /// `level`: what was just looked at.
    #[must_use]
    #[inline(always)]
    pub fn of<T: Table>(table: T, references: References, level: u64) -> Self {
        Self {
            references,
            buckets: table.buckets_of(references.key()),
            rank: Rank::TOMBSTONE,
            level,
            cleared: 0,
        }
    }

    /// Enters them, or counts why not.
    #[inline(always)]
    pub fn run<T: Table>(&mut self, table: T) {
        table.add_to_own(self);
        if self.references.left == 0 {
            return;
        }
        // Before the slot is visible, and once more after: in between, whoever cleans up
        // may have found that nobody needs the hint.
        table.raise_hint(self);
        table.open_slot(self);
        // Each round gives up half of what was kept before.
        if self.rank == Rank::NO_ROOM {
            self.make_room(table);
            if !self.rank.is_an_end() {
                table.open_slot(self);
            }
        }
        let left = self.references.left;
        if left == 0 {
            table.raise_hint(self);
            return;
        }
        table.pass_over(self.references.key(), self.references.kind(), left);
        if self.rank == Rank::NO_ROOM {
            table.lose(Lost::LEDGER_FULL, left);
        } else if self.rank != Rank::OUTSIDE {
            table.lose(Lost::CONTENDED, left);
        }
    }

    /// Adds to this owner's slot of the folio, if there is one. False to try again: another
    /// CPU changed it.
    #[inline(always)]
    pub fn add_step<T: Table>(&mut self, table: T) -> bool {
        let mut found = false;
        let references = self.references;
        for bucket in self.buckets {
            let Some(bucket) = table.bucket(bucket) else {
                return true;
            };
            let slot = table.find(bucket, |word, slot| {
                table.equal(word.0 & Word::IDENTITY, references.want)
                    && table.owner(bucket, slot) == references.owner
                    && has_room(word, references.left)
            });
            if slot < T::SLOTS {
                found = true;
                if add(table, bucket, slot, &references) {
                    self.references.left = 0;
                    return true;
                }
            }
        }
        !found
    }

    /// Looks for a slot of the kind that is next best: its place, if there is one.
    #[inline(always)]
    pub fn look<T: Table>(&self, table: T) -> Place {
        let pattern = self.rank.pattern(table, self.references.want);
        for (which, bucket) in self.buckets.into_iter().enumerate() {
            let Some(bucket) = table.bucket(bucket) else {
                return Place::NONE;
            };
            let slot = table.find(bucket, |word, _| pattern.fits(table, word));
            if slot < T::SLOTS {
                return Place::of::<T>(which, slot);
            }
        }
        Place::NONE
    }

    /// Opens the slot that was found, or goes over to the kind after it, if there is one. False to
    /// go on.
    #[inline(always)]
    pub fn open<T: Table>(&mut self, table: T, place: Place) -> bool {
        let Some((which, slot)) = place.get::<T>() else {
            self.rank = self.rank.next(table, self.references.want);
            return self.rank.is_an_end();
        };
        let Some(bucket) = table.bucket(self.buckets[which & 1]) else {
            return true;
        };
        let word = table.word(bucket, slot);
        let references = &self.references;
        // It may be another one by now.
        let done = self.rank.pattern(table, references.want).fits(table, word)
            && claim(table, bucket, slot, word, references, |it| evict(table, it));
        if done {
            self.references.left = 0;
        }
        done
    }

    /// Plain references alone are no reason to give up what is kept.
    #[inline(always)]
    fn make_room<T: Table>(&mut self, table: T) {
        if self.references.kind() == Word::GET {
            return;
        }
        self.cleared = table.zero();
        table.make_room(self);
        self.rank = self.rank_after_clearing(table);
    }
}

/// Claims a slot whose word was `old`, writes its note, and publishes the entry;
/// false if it no longer is. `evict` is given what the slot had of another folio.
///
/// The hint stays: it belongs to the place.
#[inline(always)]
fn claim<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    old: Word,
    references: &References,
    evict: impl Fn(Word),
) -> bool {
    if references.left > Word::COUNT {
        return false;
    }
    let place = old.0 & Word::PLACE;
    let new = references.want + references.left;
    if !table.swap(bucket, slot, old.0, new | Word::BUSY | place) {
        return false;
    }
    let now = table.now();
    // What was counted of this folio outlives the change of owner. Otherwise a count
    // begins where no earlier one of this slot is likely to have been.
    let (mut gups, mut zaps, mut opened) = (seed(now), 0, opened_at(now));
    if old.0 & Word::IDENTITY == references.want {
        if table.mapping(bucket, slot) == references.mapping {
            gups = table.gups(bucket, slot).wrapping_add(1);
            zaps = table.zaps(bucket, slot);
            opened = table.opened(bucket, slot);
        }
    } else if old.0 & !Word::PLACE != 0 {
        evict(old);
    }
    table.write_note(
        bucket,
        slot,
        SlotNote {
            since_ns: now,
            mapping: references.mapping,
            gups,
            zaps,
            owner: references.owner as u16,
            flags: 0,
            order: references.order as u8,
            opened,
            memcg: references.memcg,
        },
    );
    unlock(table, bucket, slot, new | Word::BUSY | place, new | place);
    true
}

/// A number of GUPs to begin with: it changes every microsecond.
#[inline(always)]
fn seed(now_ns: u64) -> u32 {
    (now_ns >> 10) as u32
}

/// What had to make room is outstanding still, only not in the ledger.
#[inline(always)]
fn evict<T: Table>(table: T, old: Word) {
    let count = u64::from(old.count());
    if count == 0 {
        table.lose(Lost::TOMBSTONES, 1);
        return;
    }
    let kind = old.0 & Word::GET;
    table.pass_over(old.key(), kind, count);
    if kind == Word::GET {
        table.lose(Lost::LEDGER_FULL, count);
    }
}
