//! What the agent has found out about a slot and has taken off it here, so that a word is
//! changed in one way only.

use probe_abi::Word;

use crate::{Table, release::emptied};

/// Takes references off a slot that the kernel does not hold any more: their release was
/// not seen. At most `n`; how many.
///
/// By how much a folio's slots count too many is the same at every moment, whatever is
/// pinned and released meanwhile: only a release that is not seen changes it. So the word
/// need not be what the agent saw; but it must be the same folio's and owner's.
#[inline(always)]
pub fn write_off<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    want: u64,
    owner: u32,
    n: u64,
) -> u64 {
    let Some(word) = held(table, bucket, slot, want, owner) else {
        return 0;
    };
    let taken = n.min(u64::from(word.count()));
    let rest = if taken < u64::from(word.count()) {
        word.0 - taken
    } else {
        emptied(word, table.mapping(bucket, slot))
    };
    if table.swap(bucket, slot, word.0, rest) {
        taken
    } else {
        0
    }
}

/// Marks a slot's owner as a guess: what was written off another one's may have been its. False if
/// it has nothing of this folio any more, or is another owner's.
#[inline(always)]
pub fn mark_guess<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    want: u64,
    owner: u32,
) -> bool {
    let is_held = held(table, bucket, slot, want, owner).is_some();
    if is_held {
        table.mark_guess(bucket, slot);
    }
    is_held
}

/// The word of a slot that counts references of this folio and owner.
#[inline(always)]
fn held<T: Table>(table: T, bucket: T::Bucket, slot: usize, want: u64, owner: u32) -> Option<Word> {
    let word = table.word(bucket, slot);
    let is_it = word.0 & Word::IDENTITY == want && table.owner(bucket, slot) == owner;
    (is_it && word.count() > 0).then_some(word)
}

/// Empties a slot if its word still is `expected`, whatever it counts; how much that was,
/// plus one, or 0 if it was not changed.
#[inline(always)]
pub fn forget<T: Table>(table: T, bucket: T::Bucket, slot: usize, expected: Word) -> u64 {
    if expected.is_busy() || !table.swap(bucket, slot, expected.0, expected.0 & Word::PLACE) {
        return 0;
    }
    u64::from(expected.count()) + 1
}
