//! A folio as a whole: what all its slots add up to, and what a walk of it changes.

use probe_abi::{Kind, Word};

use crate::{Table, hint::unlock};

/// What the ledger knows of one folio, summed over its slots.
///
/// 64 bits from an unknown zero: a sum whose range the verifier can follow gives it a new
/// state at every slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Pins.
    pub pins: u64,
    /// Plain references.
    pub gets: u64,
    /// The slots' numbers of GUPs: a change is a GUP, or a slot more or less.
    pub gups: u64,
    /// Mapcount decrements by zaps, as far as they were noted.
    pub zaps: u64,
    /// Slots, tombstones included.
    pub slots: u64,
    /// When the first of them was opened, see [`probe_abi::opened_at`]; all ones without any.
    pub opened: u64,
}

impl Totals {
    /// Of a folio that the ledger does not have. `zero` may be one that the verifier does not
    /// know.
    #[must_use]
    #[inline(always)]
    pub const fn none(zero: u64) -> Self {
        Self {
            pins: zero,
            gets: zero,
            gups: zero,
            zaps: zero,
            slots: zero,
            opened: u64::MAX - zero,
        }
    }
}

/// Looks a folio up. `mapping` is what it is of now.
#[inline(always)]
pub fn totals<T: Table>(table: T, key: u64, mapping: u64, totals: &mut Totals) {
    let [first, second] = table.buckets_of(key);
    for (which, bucket) in [first, second].into_iter().enumerate() {
        // Of one folio in as many as there are buckets they are the same.
        if which == 1 && table.equal(u64::from(first), u64::from(second)) {
            return;
        }
        let Some(bucket) = table.bucket(bucket) else {
            return;
        };
        for slot in 0..T::SLOTS {
            let word = table.word(bucket, slot);
            if word.is_empty() || word.key() != key || word.is_busy() {
                continue;
            }
            // The frame was freed and is another file's now: that GUP was not of
            // this folio.
            if word.count() == 0 && table.mapping(bucket, slot) != mapping {
                continue;
            }
            match word.kind() {
                Kind::Pin => totals.pins += u64::from(word.count()),
                Kind::Get => totals.gets += u64::from(word.count()),
            }
            totals.gups += u64::from(table.gups(bucket, slot));
            totals.zaps += u64::from(table.zaps(bucket, slot));
            totals.slots += 1;
            totals.opened = totals.opened.min(u64::from(table.opened(bucket, slot)));
        }
    }
}

/// Notes `n` mapcount decrements by a zap. True if the folio is in the ledger.
#[inline(always)]
pub fn note_zaps<T: Table>(table: T, key: u64, n: u32) -> bool {
    for bucket in table.buckets_of(key) {
        let Some(bucket) = table.bucket(bucket) else {
            return false;
        };
        let slot = table.find(bucket, |word, _| !word.is_empty() && word.key() == key);
        if slot < T::SLOTS {
            table.count_zaps(bucket, slot, n);
            return true;
        }
    }
    false
}

/// Takes a tombstone away, after a walk that found its folio clean, unless it was GUPed
/// again since its number of GUPs was `gups`.
///
/// The word alone does not tell: a pin and a release bring it back to what it was. So it
/// is held while the number is looked at.
#[inline(always)]
pub fn close<T: Table>(table: T, bucket: T::Bucket, slot: usize, key: u64, gups: u32) -> bool {
    let word = table.word(bucket, slot);
    let is_tombstone =
        !word.is_empty() && word.key() == key && word.count() == 0 && !word.is_busy();
    if !is_tombstone || !table.swap(bucket, slot, word.0, word.0 | Word::BUSY) {
        return false;
    }
    let same = table.gups(bucket, slot) == gups;
    let rest = if same { word.0 & Word::PLACE } else { word.0 };
    unlock(table, bucket, slot, word.0 | Word::BUSY, rest);
    same
}
