//! The ledger: how many references on which folio were taken and not yet given
//! back. Slots and their words are described in `probe_abi::ledger`.
//!
//! Lock-free: one compare-and-swap is a pin or a release. Bounded: a key has
//! two buckets of eight slots; when both are full, a slot that only remembers a
//! past GUP makes room, and when there is none the pin is counted as lost.

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::{bpf_ktime_get_ns, bpf_loop},
    macros::map,
    maps::Array,
};
use probe_abi::{
    BUCKET_SLOTS, Bucket, Kind, Lost, SlotNote, Word, bucket_of, folio_key, second_bucket_of,
};

use crate::{counters, folio::Folio, layout::layout, unknown::unknown_zero};

/// The table; the agent sets its size to a power of two, and maps it.
#[map]
static LEDGER: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// How often the buckets are searched again because another CPU changed a word
/// first. Each time some CPU has got on, so this many in a row means trouble.
const ATTEMPTS: u32 = 256;

/// No such slot.
const NONE: usize = BUCKET_SLOTS;

/// What the ledger knows of one folio, summed over its slots.
///
/// 64 bits from an unknown zero, for the verifier: a sum whose range it can
/// follow gives it a new state at every slot.
#[derive(Clone, Copy)]
pub(crate) struct Book {
    pub(crate) pins: u64,
    pub(crate) gets: u64,
    pub(crate) gups: u64,
    pub(crate) zaps: u64,
    pub(crate) slots: u64,
}

impl Book {
    /// Looks a folio up.
    #[inline(always)]
    pub(crate) fn of(folio: &Folio) -> Self {
        let zero = unknown_zero();
        let mut book = Self {
            pins: zero,
            gets: zero,
            gups: zero,
            zaps: zero,
            slots: zero,
        };
        look_up(folio.address, folio.head.mapping(), &mut book);
        book
    }
}

/// References on their way into the book, or out of it.
#[repr(C)]
struct Entry {
    want: u64,
    buckets: [u32; 2],
    /// References not yet entered.
    left: u64,
    mapping: u64,
    pages: u32,
    /// 1 to free a slot whose count becomes zero.
    forget: u32,
    /// 1 once an attempt found no place for another reason than contention.
    full: u64,
}

impl Entry {
    #[inline(always)]
    fn new(folio: &Folio, kind: Kind, n: u32, forget: bool) -> Self {
        let want = Word::empty(folio_key(folio.address), kind);
        let mask = layout!(ledger_mask);
        Self {
            want: want.0,
            buckets: [
                bucket_of(want.key(), mask),
                second_bucket_of(want.key(), mask),
            ],
            left: u64::from(n) + unknown_zero(),
            mapping: folio.head.mapping(),
            pages: folio.pages,
            forget: u32::from(forget),
            full: unknown_zero(),
        }
    }

    /// Tries until done; what is left could not be entered.
    #[inline(always)]
    fn attempt(&mut self, step: extern "C" fn(u64, *mut c_void) -> i64) {
        // SAFETY: the callback has the signature the helper wants, and the entry
        // outlives the loop.
        unsafe {
            bpf_loop(
                ATTEMPTS,
                step as *mut c_void,
                (&raw mut *self).cast::<c_void>(),
                0,
            )
        };
    }
}

/// Takes `n` references of `kind` on `folio` into the book.
#[inline(always)]
pub(crate) fn pin(folio: &Folio, kind: Kind, n: u32) {
    let mut entry = Entry::new(folio, kind, n, false);
    entry.attempt(try_pin);
    if entry.left > 0 {
        let cause = if entry.full == 1 {
            Lost::LEDGER_FULL
        } else {
            Lost::CONTENDED
        };
        counters::lose(cause, entry.left);
    }
}

/// Gives `n` references of `kind` back. With `forget`, the slot is free once its
/// count is zero. Returns how many references the book did not hold.
#[inline(always)]
pub(crate) fn release(folio: &Folio, kind: Kind, n: u32, forget: bool) -> u64 {
    let mut entry = Entry::new(folio, kind, n, forget);
    entry.attempt(try_release);
    entry.left
}

extern "C" fn try_pin(_attempt: u64, entry: *mut c_void) -> i64 {
    // SAFETY: the pointer that `attempt` passed.
    let entry = unsafe { &mut *entry.cast::<Entry>() };
    let want = Word(entry.want);
    let mut found = false;
    for bucket in entry.buckets {
        let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
            return 1;
        };
        let slot = find(bucket, |word| word.0 & !Word::COUNT == want.0);
        if slot < NONE {
            found = true;
            if add(bucket, slot, want, entry.left) {
                entry.left = 0;
                return 1;
            }
        }
    }
    if found {
        return 0;
    }
    let mut full = true;
    for bucket in entry.buckets {
        let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
            return 1;
        };
        // A free slot, or else one that only remembers.
        let mut slot = find(bucket, Word::is_empty);
        if slot >= NONE {
            slot = find(bucket, |word| word.count() == 0 && !word.is_busy());
        }
        if slot < NONE {
            full = false;
            if open(bucket, slot, entry) {
                entry.left = 0;
                return 1;
            }
        }
    }
    entry.full = u64::from(full);
    i64::from(full)
}

extern "C" fn try_release(attempt: u64, entry: *mut c_void) -> i64 {
    // SAFETY: the pointer that `attempt` passed.
    let entry = unsafe { &mut *entry.cast::<Entry>() };
    let want = Word(entry.want);
    let mut found = false;
    for bucket in entry.buckets {
        let Some(bucket) = LEDGER.get_ptr_mut(bucket) else {
            return 1;
        };
        let slot = find(bucket, |word| {
            word.0 & !Word::COUNT == want.0 && word.count() > 0
        });
        if slot < NONE {
            found = true;
            entry.left -= take(bucket, slot, want, entry.left, entry.forget);
            if entry.left == 0 {
                return 1;
            }
        }
    }
    // While this one searched, another release may have emptied the slot it
    // came for and a pin filled the one it had passed: look more than once.
    i64::from(!found && attempt >= 2)
}

#[inline(never)]
fn look_up(address: u64, mapping: u64, book: &mut Book) {
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
            let note = note_ptr(bucket, slot);
            // SAFETY: a map value; the field is a plain integer that may be stale.
            let remembered = unsafe { (&raw const (*note).mapping).read_volatile() };
            // The frame was freed and is another file's now: that GUP was not of
            // this folio.
            if word.count() == 0 && remembered != mapping {
                continue;
            }
            match word.kind() {
                Kind::Pin => book.pins += u64::from(word.count()),
                Kind::Get => book.gets += u64::from(word.count()),
            }
            // SAFETY: as above.
            unsafe {
                book.gups += u64::from((&raw const (*note).gups).read_volatile());
                book.zaps += u64::from((&raw const (*note).zaps).read_volatile());
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

/// First slot whose word passes, or [`NONE`].
///
/// The sum with an unknown zero keeps the verifier from following each of the
/// eight outcomes to the end of the program: they look alike to it.
#[inline(always)]
fn find(bucket: *mut Bucket, passes: impl Fn(Word) -> bool) -> usize {
    let zero = unknown_zero() as usize;
    for slot in 0..BUCKET_SLOTS {
        if passes(read_word(word_ptr(bucket, slot))) {
            return slot + zero;
        }
    }
    NONE + zero
}

/// Adds to a slot that is open for this folio; false if it no longer is.
#[inline(always)]
fn add(bucket: *mut Bucket, slot: usize, want: Word, n: u64) -> bool {
    let at = word_ptr(bucket, slot);
    let word = read_word(at);
    let fits = u64::from(word.count()) + n <= Word::COUNT;
    if word.0 & !Word::COUNT != want.0 || !fits || !swap(at, word.0, word.0 + n) {
        return false;
    }
    let note = note_ptr(bucket, slot);
    if word.count() == 0 {
        // SAFETY: a map value, aligned and alive; the helper has no precondition.
        unsafe { (&raw mut (*note).since_ns).write_volatile(bpf_ktime_get_ns()) };
    }
    // SAFETY: a map value, aligned and alive.
    xadd32(unsafe { &raw mut (*note).gups }, 1);
    true
}

/// Claims a slot without references, writes its note, and publishes the entry.
#[inline(always)]
fn open(bucket: *mut Bucket, slot: usize, entry: &Entry) -> bool {
    let at = word_ptr(bucket, slot);
    let old = read_word(at);
    let new = entry.want + entry.left;
    if old.count() > 0 || old.is_busy() || !swap(at, old.0, new | Word::BUSY) {
        return false;
    }
    // SAFETY: the slot is ours while its word is busy; the helper has no
    // precondition.
    unsafe {
        note_ptr(bucket, slot).write(SlotNote {
            since_ns: bpf_ktime_get_ns(),
            mapping: entry.mapping,
            pages: entry.pages,
            gups: 1,
            zaps: 0,
            reserved: 0,
        });
    }
    // A full barrier, so that nobody sees the word without its note.
    swap(at, new | Word::BUSY, new)
}

/// Takes up to `n` out of a slot; returns how many.
#[inline(always)]
fn take(bucket: *mut Bucket, slot: usize, want: Word, n: u64, forget: u32) -> u64 {
    let at = word_ptr(bucket, slot);
    let word = read_word(at);
    if word.0 & !Word::COUNT != want.0 || word.count() == 0 {
        return 0;
    }
    let taken = u64::from(word.count()).min(n);
    let rest = word.0 - taken;
    let empties = forget == 1 && Word(rest).count() == 0;
    if swap(at, word.0, if empties { 0 } else { rest }) {
        taken
    } else {
        0
    }
}

#[inline(always)]
fn word_ptr(bucket: *mut Bucket, slot: usize) -> *mut u64 {
    // SAFETY: masked to be below `BUCKET_SLOTS`, the length of the array.
    unsafe {
        (&raw mut (*bucket).words)
            .cast::<u64>()
            .add(slot & (BUCKET_SLOTS - 1))
    }
}

#[inline(always)]
fn note_ptr(bucket: *mut Bucket, slot: usize) -> *mut SlotNote {
    // SAFETY: as above.
    unsafe {
        (&raw mut (*bucket).notes)
            .cast::<SlotNote>()
            .add(slot & (BUCKET_SLOTS - 1))
    }
}

#[inline(always)]
fn read_word(at: *const u64) -> Word {
    // SAFETY: a map value, aligned; 64-bit loads do not tear.
    Word(unsafe { at.read_volatile() })
}

/// Compare-and-swap: whether `old` was there.
#[inline(always)]
fn swap(at: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: a map value, aligned and alive.
    let (seen, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(at, old, new)
    };
    seen == old
}

#[inline(always)]
fn xadd32(at: *mut u32, n: u32) {
    // SAFETY: a map value, aligned and alive.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(at, n) };
}
