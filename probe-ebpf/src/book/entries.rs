//! References on a folio, entered in the ledger or taken out: at the slot that the folio
//! prefers, or else the long way.

use core::mem::MaybeUninit;

use ledger::{Acquire, Rank, References, Release, Table as _, Totals};

use crate::{
    book::{
        counters,
        releaser::releaser,
        settings,
        ways::{Ledger, Long, Short},
    },
    kernel::folio::Folio,
    verifier::{
        scratch::{hand_back, lend},
        unknown::unknown_zero,
    },
};
use probe_abi::{BUCKET_SLOTS, Lost, Word, folio_key};

const SHORT: Short = Ledger;
const LONG: Long = Ledger;

/// Enters them if the slot that the folio prefers will do, which it nearly always does;
/// false if nothing was done. `head` is the folio's head page.
#[cfg(not(feature = "baseline"))]
#[inline(always)]
pub(crate) fn acquire_at_preferred(references: &References, head: u64) -> bool {
    ledger::keeps(references.key(), settings::level_and_learn_high(head))
        && ledger::acquire_at_preferred(SHORT, references)
}

/// The same wherever there is room; all else is behind that slot.
///
/// What the long way works on is made in place, its part that both ways need first: there
/// is room for one such only on the stack.
#[inline(always)]
pub(crate) fn acquire(references: References, head: u64) {
    let mut acquire = MaybeUninit::<Acquire>::uninit();
    let at = acquire.as_mut_ptr();
    // SAFETY: inside the value, and written before it is read.
    let references = unsafe {
        (&raw mut (*at).references).write(references);
        &(*at).references
    };
    // Learned here and not where a slot is opened the long way: few folios ever
    // need that.
    let level = settings::level_and_learn_high(head);
    if !ledger::keeps(references.key(), level) {
        SHORT.pass_over(references.key(), references.kind(), references.left);
        return;
    }
    if ledger::acquire_at_preferred(SHORT, references) {
        return;
    }
    // SAFETY: as above, and now the rest.
    let acquire = unsafe {
        (&raw mut (*at).buckets).write(LONG.buckets_of(references.key()));
        (&raw mut (*at).rank).write(Rank::TOMBSTONE);
        (&raw mut (*at).level).write(level);
        (&raw mut (*at).cleared).write(0);
        acquire.assume_init_mut()
    };
    let References { want, left, .. } = acquire.references;
    let Some(acquire) = lend(acquire) else {
        SHORT.pass_over(want >> Word::KEY_SHIFT, want & Word::GET, left);
        counters::lose(Lost::CONTENDED, left);
        return;
    };
    acquire.run(LONG);
    hand_back(acquire);
}

/// Takes out what is in the slot that the folio prefers; how many.
///
/// What a slot holds is in the book, whether the folio is passed over by now or not.
#[inline(always)]
pub(crate) fn release_at_preferred(references: &References) -> u64 {
    ledger::release_at_preferred(SHORT, references)
}

/// Takes them out. Returns how many of them the book should have held and did not.
#[inline(always)]
pub(crate) fn release(references: References) -> u64 {
    let left = references.left - release_at_preferred(&references);
    if left == 0 {
        return 0;
    }
    let rest = References { left, ..references };
    let unknown = if ledger::is_nowhere(SHORT, &rest) {
        left
    } else {
        let mut release = Release::of(LONG, rest, releaser());
        match lend(&mut release) {
            None => left,
            Some(release) => {
                let unknown = release.run(LONG);
                hand_back(release);
                unknown
            }
        }
    };
    if unknown == 0 {
        return 0;
    }
    SHORT.pass_over(rest.key(), rest.kind(), unknown.wrapping_neg());
    if ledger::keeps(rest.key(), settings::level()) {
        unknown
    } else {
        0
    }
}

/// What the ledger has of a folio.
#[inline(always)]
pub(crate) fn totals(folio: &Folio) -> Totals {
    let mut totals = Totals::none(unknown_zero());
    add_up(folio.address, folio.head.mapping(), &mut totals);
    totals
}

#[inline(never)]
fn add_up(address: u64, mapping: u64, totals: &mut Totals) {
    ledger::totals(LONG, folio_key(address), mapping, totals);
}

/// Notes `n` mapcount decrements by a zap, if the folio is in the book and `is_one` says that
/// they are; how many it were.
#[inline(always)]
pub(crate) fn note_zaps(address: u64, n: u32, is_one: impl Fn() -> bool) -> u64 {
    // First of all: nearly no folio is, and to look is cheaper than to unwind.
    if add_zaps(address, 0) == 0 || !is_one() {
        return 0;
    }
    add_zaps(address, n);
    u64::from(n)
}

/// 1 if the folio is in the book.
#[inline(never)]
fn add_zaps(address: u64, n: u32) -> u32 {
    u32::from(ledger::note_zaps(LONG, folio_key(address), n))
}

/// Takes the tombstones of a folio away that a walk found clean, unless it was GUPed since
/// the walk saw `totals`.
#[inline(never)]
pub(crate) fn close(address: u64, totals: &Totals) -> u32 {
    let key = folio_key(address);
    for index in LONG.buckets_of(key) {
        let Some(bucket) = LONG.bucket(index) else {
            return 0;
        };
        for slot in 0..BUCKET_SLOTS {
            let word: Word = LONG.word(bucket, slot);
            if word.is_empty() || word.key() != key {
                continue;
            }
            // Of one slot it is known what the walk saw; of several, only their sum.
            let gups = if totals.slots == 1 {
                totals.gups as u32
            } else {
                LONG.gups(bucket, slot)
            };
            ledger::close(LONG, bucket, slot, key, gups);
        }
    }
    1
}
