//! From which slot of a folio a release takes.
//!
//! The kernel does not say whose reference it drops. A folio with one slot leaves no
//! question. Of several slots it is the one whose owner fits the releaser best, see
//! [`crate::Fit`]; among equals the one that was pinned last, because what is held for long is
//! released last. Where equals have different owners, that is a guess and is marked; owners that
//! no reader tells apart are not different, see [`Kinship::Kin`].
//!
//! A releaser may also be in doubt: who fits worse may be meant, see [`Releaser::doubt`]. A task
//! that ends a request of an io_uring releases what another process registered, where that was
//! unregistered meanwhile; and a ring that buffers were cloned into releases another ring's.

use probe_abi::Word;

use crate::{Kinship, References, Releaser, Table};

/// `PAGE_MAPPING_ANON`, the bit of `folio->mapping` that tells anonymous memory.
const MAPPING_ANON: u64 = 1;

/// Bits of [`Release::best`] that tell the slot, and its time.
const SLOT_BITS: u32 = 4;
const TIME_BITS: u32 = 56;

/// References on their way out of the ledger, where the preferred slot was not enough.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// What is released.
    pub references: References,
    /// The folio's two buckets.
    pub buckets: [u32; 2],
    /// Who releases.
    pub releaser: Releaser,
    /// The best slot found, with its rank and time, which of the two buckets it is in, and
    /// its owner.
    best: u64,
    best_bucket: u64,
    best_owner: u64,
    /// Whether another owner's slot fits as well as that, and a reader would see the difference.
    rivals: u64,
    /// Whether it was so for any that was taken.
    guesses: u64,
    /// Attempts that found no slot, in a row.
    misses: u64,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Attempt {
    /// There may be more.
    GoOn = 0,
    /// All is taken, or there is nothing left to take.
    Done = 1,
}

/// Takes what there is out of the slot that the folio prefers, if no other slot of it
/// can be anywhere; how many.
#[inline(always)]
pub fn release_at_preferred<T: Table>(table: T, references: &References) -> u64 {
    let Some((bucket, slot)) = table.preferred(references.key()) else {
        return 0;
    };
    let word = table.word(bucket, slot);
    let alone = word.0 & !Word::COUNT == references.want;
    if !alone || word.count() == 0 {
        return 0;
    }
    take(table, bucket, slot, word, references)
}

/// Whether the ledger has nothing of what is released: not at the preferred slot, and no
/// hint that it is elsewhere.
#[inline(always)]
pub fn is_nowhere<T: Table>(table: T, references: &References) -> bool {
    let Some((bucket, slot)) = table.preferred(references.key()) else {
        return true;
    };
    let word = table.word(bucket, slot);
    word.0 & Word::HINT == 0 && !holds(table, word, references.want)
}

impl Release {
    /// `releaser`: as far as it is known.
    #[must_use]
    #[inline(always)]
    pub fn of<T: Table>(table: T, references: References, releaser: Releaser) -> Self {
        Self {
            references,
            buckets: table.buckets_of(references.key()),
            releaser,
            best: 0,
            best_bucket: 0,
            best_owner: 0,
            rivals: 0,
            guesses: 0,
            misses: 0,
        }
    }

    /// Takes them out; how many were not there.
    #[inline(always)]
    pub fn run<T: Table>(&mut self, table: T) -> u64 {
        table.search(self);
        if self.guesses != 0 {
            table.mark_guesses(self);
        }
        self.references.left
    }

    /// Looks through one of the two buckets for the best slot; with the first of them the
    /// search begins anew.
    #[inline(always)]
    pub fn look<T: Table>(&mut self, table: T, which: u64) {
        if which == 0 {
            self.best = table.zero();
            self.rivals = table.zero();
        }
        let index = self.buckets[(which & 1) as usize];
        let Some(bucket) = table.bucket(index) else {
            return;
        };
        for slot in 0..T::SLOTS {
            if !holds(table, table.word(bucket, slot), self.references.want) {
                continue;
            }
            let owner = u64::from(table.owner(bucket, slot));
            let fit = table.fit(owner as u32, &self.releaser);
            let found = candidate(fit, table.since(bucket, slot), slot);
            // By bits, not by comparing: the verifier would follow each outcome of each
            // slot.
            let best_fit = self.best >> (TIME_BITS + SLOT_BITS);
            let nearer = table
                .opaque(found >> (TIME_BITS + SLOT_BITS))
                .wrapping_sub(best_fit) as i64;
            let doubt = self.releaser.doubt;
            if nearer > 0 && doubt == 0 {
                self.rivals = table.zero();
            }
            let worse = if nearer > 0 { best_fit } else { fit };
            if (nearer == 0 || table.opaque(doubt) >> (worse & 7) & 1 != 0)
                && self.best != 0
                && owner != self.best_owner
                && table.kinship(owner as u32, self.best_owner as u32) < Kinship::Kin as u64
            {
                self.rivals = 1 + table.zero();
            }
            if table.opaque(found.wrapping_sub(self.best)) as i64 > 0 {
                self.best = found;
                self.best_bucket = which;
                self.best_owner = owner;
            }
        }
    }

    /// Takes from the best slot.
    #[inline(always)]
    pub fn take_best<T: Table>(&mut self, table: T) -> Attempt {
        if self.best == 0 {
            self.misses += 1;
            // While this one searched, another release may have emptied the slot it
            // came for and a pin filled the one it had passed: look more than once.
            return if self.misses > 2 {
                Attempt::Done
            } else {
                Attempt::GoOn
            };
        }
        self.misses = 0;
        let slot = (self.best & ((1 << SLOT_BITS) - 1)) as usize - 1;
        let index = self.buckets[(self.best_bucket & 1) as usize];
        let Some(bucket) = table.bucket(index) else {
            return Attempt::Done;
        };
        let word = table.word(bucket, slot);
        if holds(table, word, self.references.want) {
            let taken = take(table, bucket, slot, word, &self.references);
            self.references.left -= taken;
            if taken > 0 {
                self.guesses |= self.rivals;
            }
        }
        if self.references.left == 0 {
            Attempt::Done
        } else {
            Attempt::GoOn
        }
    }

    /// Marks what is left of the folio in one of the two buckets: whose it is, is a guess.
    #[inline(always)]
    pub fn mark_guesses<T: Table>(&self, table: T, which: u64) {
        let index = self.buckets[(which & 1) as usize];
        let Some(bucket) = table.bucket(index) else {
            return;
        };
        for slot in 0..T::SLOTS {
            if holds(table, table.word(bucket, slot), self.references.want) {
                table.mark_guess(bucket, slot);
            }
        }
    }
}

/// A slot as a number that is greater the better it is: how well its owner fits, when its
/// count last left zero, and which slot it is, plus one.
#[inline(always)]
fn candidate(fit: u64, since_ns: u64, slot: usize) -> u64 {
    // In units of 64 ns; 63 bits in all, so that differences are numbers with a sign.
    let since = (since_ns >> 6) & ((1 << TIME_BITS) - 1);
    fit << (TIME_BITS + SLOT_BITS) | since << SLOT_BITS | (slot as u64 + 1)
}

#[inline(always)]
fn holds<T: Table>(table: T, word: Word, want: u64) -> bool {
    table.equal(word.0 & Word::IDENTITY, want) && word.count() > 0
}

/// Takes what there is, at most what is asked for, out of a slot with references;
/// returns how many: none if its word no longer is what it was.
#[inline(always)]
fn take<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    word: Word,
    references: &References,
) -> u64 {
    let (owner, since_ns) = (table.owner(bucket, slot), table.since(bucket, slot));
    let count = u64::from(word.count());
    let taken = count.min(references.left);
    let rest = if taken < count {
        word.0 - taken
    } else {
        emptied(word, references.mapping)
    };
    if !table.swap(bucket, slot, word.0, rest) {
        return 0;
    }
    if taken == count {
        table.held_since(owner, since_ns);
    }
    taken
}

/// What is left of a word whose last reference is gone: a tombstone, so that the next walk
/// of a file's folio knows that it was GUPed. Nothing writes an anonymous folio back
/// through mkclean: of that there is nothing to remember.
#[inline(always)]
pub(crate) fn emptied(word: Word, mapping: u64) -> u64 {
    if mapping & MAPPING_ANON != 0 {
        word.0 & Word::PLACE
    } else {
        word.0 & (Word::IDENTITY | Word::PLACE)
    }
}
