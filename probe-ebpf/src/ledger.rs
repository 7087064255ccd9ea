//! The ledger: how many references on which folio were taken and not yet given
//! back. Slots and their words are described in `probe_abi::ledger`.
//!
//! Lock-free: one compare-and-swap is a pin or a release. Bounded: a key has
//! two buckets of eight slots; when both are full, a slot that only remembers a
//! past GUP makes room, and when there is none the pin is counted as lost.

use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::{bindings::BPF_F_MMAPABLE, helpers::bpf_ktime_get_ns, macros::map, maps::Array};
use probe_abi::{
    BUCKET_SLOTS, Bucket, Kind, Lost, SlotNote, Word, bucket_of, folio_key, second_bucket_of,
};

use crate::{counters, folio::Folio, layout::layout};

/// The table; the agent sets its size to a power of two, and maps it.
#[map]
static LEDGER: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// How often a word is tried again after another CPU changed it.
const RETRIES: usize = 8;

/// What the ledger knows of one folio, summed over its slots.
#[derive(Clone, Copy, Default)]
pub(crate) struct Book {
    pub(crate) pins: u32,
    pub(crate) gets: u32,
    pub(crate) gups: u32,
    pub(crate) zaps: u32,
    pub(crate) slots: u32,
}

/// Takes `n` references of `kind` on `folio` into the book.
#[inline(never)]
pub(crate) fn pin(folio: &Folio, kind: Kind, n: u32) {
    let want = Word::empty(folio_key(folio.address), kind);
    let pages = folio.pages;
    let mapping = folio.head.mapping();
    let buckets = buckets_of(want.key());
    for bucket in buckets {
        if add_to_open_slot(bucket, want, n) {
            return;
        }
    }
    for bucket in buckets {
        if open_slot(bucket, want, n, mapping, pages) {
            return;
        }
    }
    counters::lose(Lost::LEDGER_FULL, u64::from(n));
}

/// Gives `n` references of `kind` back. Returns how many the book did not hold.
#[inline(never)]
pub(crate) fn release(address: u64, kind: Kind, n: u32, forget: u32) -> u32 {
    let want = Word::empty(folio_key(address), kind);
    let mut left = n;
    for bucket in buckets_of(want.key()) {
        left = take_from(bucket, want, left, forget);
        if left == 0 {
            break;
        }
    }
    left
}

/// Looks a folio up.
#[inline(never)]
pub(crate) fn look_up(address: u64, book: &mut Book) {
    let key = folio_key(address);
    for bucket in buckets_of(key) {
        let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
            return;
        };
        for slot in 0..BUCKET_SLOTS {
            let word = read_word(word_ptr(bucket, slot));
            if word.is_empty() || word.key() != key || word.is_busy() {
                continue;
            }
            match word.kind() {
                Kind::Pin => book.pins += word.count(),
                Kind::Get => book.gets += word.count(),
            }
            let note = note_ptr(bucket, slot);
            // SAFETY: a map value; the fields are plain integers that may be stale.
            unsafe {
                book.gups = book
                    .gups
                    .wrapping_add((&raw const (*note).gups).read_volatile());
                book.zaps = book
                    .zaps
                    .wrapping_add((&raw const (*note).zaps).read_volatile());
            }
            book.slots += 1;
        }
    }
}

/// Notes `n` mapcount decrements by a zap. True if the folio is in the book.
#[inline(never)]
pub(crate) fn note_zaps(address: u64, n: u32) -> u32 {
    let key = folio_key(address);
    for bucket in buckets_of(key) {
        let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
            return 0;
        };
        for slot in 0..BUCKET_SLOTS {
            let word = read_word(word_ptr(bucket, slot));
            if word.is_empty() || word.key() != key {
                continue;
            }
            let note = note_ptr(bucket, slot);
            // SAFETY: a map value, aligned and alive.
            xadd32(unsafe { &raw mut (*note).zaps }, n);
            return 1;
        }
    }
    0
}

/// Closes the book of a folio that a walk found settled: its slots without
/// references become free.
#[inline(never)]
pub(crate) fn settle(address: u64) -> u32 {
    let key = folio_key(address);
    for bucket in buckets_of(key) {
        let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
            return 0;
        };
        for slot in 0..BUCKET_SLOTS {
            let at = word_ptr(bucket, slot);
            let word = read_word(at);
            if !word.is_empty() && word.key() == key && word.count() == 0 && !word.is_busy() {
                swap(at, word.0, 0);
            }
        }
    }
    1
}

#[inline(always)]
fn buckets_of(key: u64) -> [u32; 2] {
    let mask = layout!(ledger_mask);
    [bucket_of(key, mask), second_bucket_of(key, mask)]
}

#[inline(always)]
fn add_to_open_slot(bucket: u32, want: Word, n: u32) -> bool {
    let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
        return false;
    };
    for slot in 0..BUCKET_SLOTS {
        let at = word_ptr(bucket, slot);
        let mut word = read_word(at);
        for _ in 0..RETRIES {
            if word.0 & !Word::COUNT != want.0 {
                break;
            }
            if u64::from(word.count()) + u64::from(n) > Word::COUNT {
                break;
            }
            let seen = swap(at, word.0, word.0 + u64::from(n));
            if seen == word.0 {
                let note = note_ptr(bucket, slot);
                // SAFETY: a map value, aligned and alive.
                unsafe {
                    if word.count() == 0 {
                        (&raw mut (*note).since_ns).write_volatile(bpf_ktime_get_ns());
                    }
                    xadd32(&raw mut (*note).gups, 1);
                }
                return true;
            }
            word = Word(seen);
        }
    }
    false
}

#[inline(always)]
fn open_slot(bucket: u32, want: Word, n: u32, mapping: u64, pages: u32) -> bool {
    let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
        return false;
    };
    // First a free slot, then one that only remembers.
    for evict in [false, true] {
        for slot in 0..BUCKET_SLOTS {
            let at = word_ptr(bucket, slot);
            let word = read_word(at);
            let usable = word.is_empty() || (evict && word.count() == 0 && !word.is_busy());
            if !usable || swap(at, word.0, want.0 | Word::BUSY) != word.0 {
                continue;
            }
            let note = note_ptr(bucket, slot);
            // SAFETY: the slot is ours while its word is busy.
            unsafe {
                note.write(SlotNote {
                    since_ns: bpf_ktime_get_ns(),
                    mapping,
                    pages,
                    gups: 1,
                    zaps: 0,
                    reserved: 0,
                });
            }
            // Publishes the note: a full barrier, where a plain store is none.
            swap(at, want.0 | Word::BUSY, want.0 + u64::from(n));
            return true;
        }
    }
    false
}

#[inline(always)]
fn take_from(bucket: u32, want: Word, n: u32, forget: u32) -> u32 {
    let mut left = n;
    let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
        return left;
    };
    for slot in 0..BUCKET_SLOTS {
        let at = word_ptr(bucket, slot);
        let mut word = read_word(at);
        for _ in 0..RETRIES {
            if word.0 & !Word::COUNT != want.0 || word.count() == 0 {
                break;
            }
            let taken = if word.count() < left {
                word.count()
            } else {
                left
            };
            let rest = word.0 - u64::from(taken);
            let next = if forget == 1 && Word(rest).count() == 0 {
                0
            } else {
                rest
            };
            let seen = swap(at, word.0, next);
            if seen == word.0 {
                left -= taken;
                break;
            }
            word = Word(seen);
        }
        if left == 0 {
            break;
        }
    }
    left
}

#[inline(always)]
fn word_ptr(bucket: *mut Bucket, slot: usize) -> *mut u64 {
    // SAFETY: `slot` is below `BUCKET_SLOTS`, the length of the array.
    unsafe { (&raw mut (*bucket).words).cast::<u64>().add(slot) }
}

#[inline(always)]
fn note_ptr(bucket: *mut Bucket, slot: usize) -> *mut SlotNote {
    // SAFETY: as above.
    unsafe { (&raw mut (*bucket).notes).cast::<SlotNote>().add(slot) }
}

#[inline(always)]
fn read_word(at: *const u64) -> Word {
    // SAFETY: a map value, aligned; 64-bit loads do not tear.
    Word(unsafe { at.read_volatile() })
}

/// Compare-and-swap; returns what was there.
#[inline(always)]
fn swap(at: *mut u64, old: u64, new: u64) -> u64 {
    // SAFETY: a map value, aligned and alive.
    unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new).0
    }
}

#[inline(always)]
fn xadd32(at: *mut u32, n: u32) {
    // SAFETY: a map value, aligned and alive.
    unsafe {
        core::intrinsics::atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(at, n);
    }
}
