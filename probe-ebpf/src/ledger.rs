//! The ledger: how many references on which folio were taken and not yet given
//! back, and by whom. Slots and their words are described in `probe_abi::ledger`.
//!
//! Lock-free, where the kernel has compare-and-swap: one is a pin or a release.
//! Bounded: a key has two buckets of eight slots; how one is found when they are
//! full is `place`'s business.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, helpers::bpf_ktime_get_ns, macros::map, maps::Array};
use probe_abi::{BUCKET_SLOTS, Bucket, Kind, Lost, Word, bucket_of, folio_key, second_bucket_of};

use crate::{
    atomic::{load, swap, xadd32},
    counters,
    folio::Folio,
    layout::layout,
    place, release,
    repeat::{ends, repeat},
    scratch::{Handle, Kept, Raw, handle, kept, lent, with},
    settings,
    unknown::{equal, unknown_zero},
};

/// The table; the agent sets its size to a power of two, and maps it.
#[map]
static LEDGER: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// How often the buckets are searched again because another CPU changed a word
/// first. Each time some CPU has got on, so this many in a row means trouble.
const ATTEMPTS: u32 = 256;

/// No such slot.
pub(crate) const NONE: usize = BUCKET_SLOTS;

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
pub(crate) struct Entry {
    /// The slot's word with no count: key and kind.
    pub(crate) want: u64,
    pub(crate) buckets: [u32; 2],
    /// References not yet entered.
    pub(crate) left: u64,
    pub(crate) mapping: u64,
    pub(crate) memcg: u64,
    pub(crate) pages: u32,
    pub(crate) owner: u32,
    /// What is looked for next, see `place`.
    pub(crate) rank: u64,
    /// Sampling level at the last look.
    pub(crate) level: u64,
    /// Process that gives them back, 0 where that is not known.
    pub(crate) releaser: u64,
}

kept!(Entry, ENTRY_CELLS);

impl Entry {
    /// `n` references of a kind (0 or [`Word::GET`]) on the folio of a head page.
    #[inline(always)]
    pub(crate) fn new(head: u64, kind: u64, n: u64, owner: u32, mapping: u64) -> Self {
        let key = folio_key(head);
        Self {
            want: key << Word::KEY_SHIFT | kind,
            buckets: buckets_of(key),
            left: n,
            mapping,
            memcg: 0,
            pages: 1,
            owner,
            rank: 0,
            level: settings::level(),
            releaser: 0,
        }
    }

    /// Takes them into the book, in the name of the owner.
    #[inline(always)]
    pub(crate) fn pin(&mut self, head: u64, memcg: u64, pages: u32) {
        let (key, kind, n) = (self.key(), self.want & Word::GET, self.left);
        if with(self, |it| it.try_pin(head, memcg, pages)).is_none() {
            counters::pass_over(key, kind, n);
            counters::lose(Lost::CONTENDED, n);
        }
    }

    #[inline(always)]
    fn try_pin(&mut self, head: u64, memcg: u64, pages: u32) {
        if !settings::keeps(self.key(), self.level) {
            self.pass_over(self.left);
            return;
        }
        self.memcg = memcg;
        self.pages = pages;
        // Here and not where a slot is opened the long way: few folios ever need that.
        settings::learn_high(head);
        if place::at_preferred(self) {
            return;
        }
        // Twice in a row is rare: no loop for the first time.
        if add_to_own(self.handle()) == 0 {
            self.attempt(try_add);
        }
        if self.left == 0 {
            return;
        }
        self.attempt(try_open);
        // Each round passes over half of what was kept before.
        if self.rank == place::NO_ROOM {
            place::make_room(self.handle());
            self.attempt(try_open);
        }
        if self.left == 0 {
            return;
        }
        self.pass_over(self.left);
        match self.rank {
            place::OUTSIDE => {}
            place::NO_ROOM => counters::lose(Lost::LEDGER_FULL, self.left),
            _ => counters::lose(Lost::CONTENDED, self.left),
        }
    }

    /// Gives them back. Returns how many of them the book should have held and
    /// did not.
    #[inline(always)]
    pub(crate) fn release(&mut self) -> u64 {
        let (key, kind, n) = (self.key(), self.want & Word::GET, self.left);
        with(self, Self::try_release).unwrap_or_else(|| {
            counters::pass_over(key, kind, n.wrapping_neg());
            n
        })
    }

    #[inline(always)]
    fn try_release(&mut self) -> u64 {
        if !settings::keeps(self.key(), self.level) {
            self.pass_over(self.left.wrapping_neg());
            return 0;
        }
        if !release::from_preferred(self) {
            self.releaser = release::releaser();
            if self.releaser != 0 {
                release::from_own(self.handle());
            }
            self.attempt(release::attempt);
        }
        if self.left > 0 {
            self.pass_over(self.left.wrapping_neg());
        }
        self.left
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> u64 {
        self.want >> Word::KEY_SHIFT
    }

    #[inline(always)]
    fn pass_over(&self, n: u64) {
        counters::pass_over(self.key(), self.want & Word::GET, n);
    }

    /// Tries until done; what is left could not be entered.
    #[inline(always)]
    fn attempt(&mut self, step: extern "C" fn(u64, Raw) -> i64) {
        repeat(ATTEMPTS, step, self.raw());
    }
}

extern "C" fn try_add(_attempt: u64, entry: Raw) -> i64 {
    ends(add_to_own(handle(entry)))
}

extern "C" fn try_open(_attempt: u64, entry: Raw) -> i64 {
    ends(place::open_slot(handle(entry)))
}

/// Adds to this owner's slot of the folio, if there is one. 0 if another CPU
/// changed it meanwhile.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn add_to_own(entry: Handle<Entry>) -> i64 {
    let Some(entry) = lent::<Entry>(entry) else {
        return 1;
    };
    let mut found = false;
    for bucket in entry.buckets {
        let Some(bucket) = bucket_ptr(bucket) else {
            return 1;
        };
        let slot = find(bucket, |word, slot| {
            equal(word.0 & Word::IDENTITY, entry.want) && owner_of(bucket, slot) == entry.owner
        });
        if slot < NONE {
            found = true;
            if place::add(bucket, slot, entry) {
                entry.left = 0;
                return 1;
            }
        }
    }
    i64::from(!found)
}

#[inline(never)]
fn look_up(address: u64, mapping: u64, book: &mut Book) {
    let key = folio_key(address);
    for bucket in buckets_of(key) {
        let Some(bucket) = bucket_ptr(bucket) else {
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
        let Some(bucket) = bucket_ptr(bucket) else {
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
        let Some(bucket) = bucket_ptr(bucket) else {
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
pub(crate) fn bucket_ptr(bucket: u32) -> Option<*mut Bucket> {
    LEDGER.get_ptr_mut(bucket)
}

/// First slot whose word passes, or [`NONE`].
///
/// The sum with an unknown zero keeps the verifier from following each of the
/// eight outcomes to the end of the program: they look alike to it.
#[inline(always)]
pub(crate) fn find(bucket: *mut Bucket, passes: impl Fn(Word, usize) -> bool) -> usize {
    let zero = unknown_zero() as usize;
    for slot in 0..BUCKET_SLOTS {
        if passes(read_word(word_ptr(bucket, slot)), slot) {
            return slot + zero;
        }
    }
    NONE + zero
}

#[inline(always)]
pub(crate) fn word_ptr(bucket: *mut Bucket, slot: usize) -> *mut u64 {
    // SAFETY: masked to be below `BUCKET_SLOTS`, the length of the array.
    unsafe {
        (&raw mut (*bucket).words)
            .cast::<u64>()
            .add(slot & (BUCKET_SLOTS - 1))
    }
}

#[inline(always)]
pub(crate) fn note_ptr(bucket: *mut Bucket, slot: usize) -> *mut probe_abi::SlotNote {
    // SAFETY: as above.
    unsafe {
        (&raw mut (*bucket).notes)
            .cast::<probe_abi::SlotNote>()
            .add(slot & (BUCKET_SLOTS - 1))
    }
}

#[inline(always)]
pub(crate) fn owner_of(bucket: *mut Bucket, slot: usize) -> u32 {
    // SAFETY: a map value; the field is a plain integer that may be stale.
    unsafe { (&raw const (*note_ptr(bucket, slot)).owner).read_volatile() }
}

#[inline(always)]
pub(crate) fn since(bucket: *mut Bucket, slot: usize) -> u64 {
    // SAFETY: as above.
    load(unsafe { &raw const (*note_ptr(bucket, slot)).since_ns })
}

#[inline(always)]
pub(crate) fn read_word(at: *const u64) -> Word {
    Word(load(at))
}

/// Now, as the kernel's monotonic clock counts.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_ktime_get_ns() }
}
