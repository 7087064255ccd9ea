//! The hint on a place: a folio that prefers it may have a slot elsewhere.

use probe_abi::Word;

use crate::Table;

/// One attempt to put the hint on the place that a key prefers, and the doubt off it. False
/// to try again.
///
/// Whoever opens a slot elsewhere does this before the slot is visible, so that nobody
/// finds the one and not the other, and once more after it: whoever doubted the hint in
/// between has not seen the slot.
#[inline(always)]
pub fn raise_hint<T: Table>(table: T, key: u64) -> bool {
    let Some((bucket, slot)) = table.preferred(key) else {
        return true;
    };
    let word = table.word(bucket, slot);
    let hinted = (word.0 | Word::HINT) & !Word::DOUBT;
    word.0 == hinted || table.swap(bucket, slot, word.0, hinted)
}

/// Doubts the hint on a place, before the whole table is looked through for a folio
/// elsewhere that prefers it. False where there is no hint to be doubted, or not now.
#[inline(always)]
pub fn doubt_hint<T: Table>(table: T, bucket: T::Bucket, slot: usize) -> bool {
    let word = table.word(bucket, slot);
    word.0 & Word::HINT != 0
        && !word.is_busy()
        && table.swap(bucket, slot, word.0, word.0 | Word::DOUBT)
}

/// Takes the hint off a place if it is still doubted: the caller has looked, and found
/// nobody who needs it, nor did anybody come meanwhile who does.
#[inline(always)]
pub fn clear_hint<T: Table>(table: T, bucket: T::Bucket, slot: usize) -> bool {
    let word = table.word(bucket, slot);
    word.0 & Word::DOUBT != 0
        && !word.is_busy()
        && table.swap(bucket, slot, word.0, word.0 & !Word::PLACE)
}

/// Gives a slot that is ours its new word. Nobody changes a busy word but by raising the
/// hint, which then stays.
#[inline(always)]
pub(crate) fn unlock<T: Table>(table: T, bucket: T::Bucket, slot: usize, busy: u64, new: u64) {
    let hinted = |word: u64| (word | Word::HINT) & !Word::DOUBT;
    if !table.swap(bucket, slot, busy, new) && !table.swap(bucket, slot, hinted(busy), hinted(new))
    {
        table.force(bucket, slot, new);
    }
}
