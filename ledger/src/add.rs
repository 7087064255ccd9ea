//! Adding to a slot that counts references of the folio already, and in whose name it counts
//! then.

use probe_abi::{Lost, NOBODY, Word};

use crate::{Kinship, References, Table};

/// Adds to a slot of this folio, whoever has it; false if it was changed meanwhile.
#[inline(always)]
pub(crate) fn add<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    references: &References,
) -> bool {
    let Some(before) = raise(table, bucket, slot, references) else {
        return false;
    };
    if before == 0 {
        table.renew_note(bucket, slot, references);
    }
    // Also where it was ours: it may have been emptied and reopened since.
    let owner = table.owner(bucket, slot);
    if owner != references.owner {
        mingle(table, bucket, slot, owner, before, references);
    }
    true
}

/// Adds to a slot of this folio; what it counted before, if it could be done.
#[inline(always)]
fn raise<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    references: &References,
) -> Option<u64> {
    let word = table.word(bucket, slot);
    let left = references.left;
    if word.0 & Word::IDENTITY != references.want
        || !has_room(word, left)
        || !table.swap(bucket, slot, word.0, word.0 + left)
    {
        return None;
    }
    table.count_gup(bucket, slot);
    Some(u64::from(word.count()))
}

/// Whether a slot can count so many more.
#[inline(always)]
pub(crate) fn has_room(word: Word, left: u64) -> bool {
    u64::from(word.count()) + left <= Word::COUNT
}

/// Two owners have one slot now. Of one process it keeps the name of one, and where a reader would
/// see the difference, that is a guess. Of two it counts for nobody in particular.
#[inline(always)]
fn mingle<T: Table>(
    table: T,
    bucket: T::Bucket,
    slot: usize,
    owner: u32,
    before: u64,
    references: &References,
) {
    let kinship = table.kinship(owner, references.owner);
    if kinship == Kinship::Stranger as u64 {
        table.rename(bucket, slot, NOBODY);
        // Pins that had no name are not lost once more.
        let named = |owner, pages| if owner == NOBODY { 0 } else { pages };
        let pages = named(owner, before) + named(references.owner, references.left);
        table.lose(Lost::OWNERS_FULL, pages);
        return;
    }
    if kinship < Kinship::Kin as u64 {
        table.mark_guess(bucket, slot);
    }
    if kinship == Kinship::Object as u64 {
        // Whoever releases for nobody in particular does not look at an object's slots, see
        // `Fit::ObjectOfAnother`.
        table.rename(bucket, slot, references.owner);
    }
}
