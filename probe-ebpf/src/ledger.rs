//! The ledger: how many references on which folio were taken and not yet given
//! back, and by whom. Slots and their words are described in `probe_abi::ledger`.
//!
//! Lock-free, where the kernel has compare-and-swap: one is a pin or a release.
//! Bounded: a key has two buckets of eight slots; how one is found when they are
//! full is `place`'s business.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, helpers::bpf_ktime_get_ns, macros::map, maps::Array};
use probe_abi::{
    BUCKET_SLOTS, Bucket, Kind, Lost, Word, bucket_of, folio_key, hash_of, preferred_slot_of,
    second_hash_of,
};

use crate::{
    atomic::{load, swap, xadd32},
    counters,
    folio::Folio,
    layout::layout,
    place, release,
    repeat::{ends, repeat},
    scratch::{Handle, Kept, Raw, handle, kept, lent, with},
    settings,
    unknown::{equal, opaque, unknown_zero},
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

/// References on a folio, that are taken or given back.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct References {
    /// The slot's word with no count: key and kind.
    pub(crate) want: u64,
    /// How many are not yet entered, or taken out.
    pub(crate) left: u64,
    /// `folio->mapping`.
    pub(crate) mapping: u64,
    /// The memory cgroup's word, of those that are taken.
    pub(crate) memcg: u64,
    /// Pages of the folio.
    pub(crate) pages: u32,
    /// In whose name they are taken.
    pub(crate) owner: u32,
}

impl References {
    /// `n` references of a kind (0 or [`Word::GET`]) on the folio of a head page.
    #[inline(always)]
    pub(crate) fn on(head: u64, kind: u64, n: u64, mapping: u64) -> Self {
        Self {
            want: folio_key(head) << Word::KEY_SHIFT | kind,
            left: n,
            mapping,
            memcg: 0,
            pages: 1,
            owner: 0,
        }
    }

    /// Takes them into the book if the slot that the folio prefers will do, which it
    /// nearly always does; false if nothing was done. `head` is the folio's head page.
    #[cfg(not(feature = "baseline"))]
    #[inline(always)]
    pub(crate) fn take_at_preferred(self, head: u64) -> bool {
        settings::keeps(self.key(), settings::level_and_learn_high(head))
            && place::at_preferred(&self)
    }

    /// The same wherever there is room; all else is behind that slot.
    #[inline(always)]
    pub(crate) fn take(self, head: u64) {
        // Learned here and not where a slot is opened the long way: few folios ever
        // need that.
        let level = settings::level_and_learn_high(head);
        if !settings::keeps(self.key(), level) {
            self.pass_over(self.left);
            return;
        }
        if place::at_preferred(&self) {
            return;
        }
        if with(&mut Entry::of(self, level), Entry::enter).is_none() {
            self.pass_over(self.left);
            counters::lose(Lost::CONTENDED, self.left);
        }
    }

    /// Gives back what is in the slot that the folio prefers; how many.
    ///
    /// What a slot holds is in the book, whether the folio is passed over by now or not;
    /// only where user space has another way to change a word than the probes have
    /// (`baseline`), is such a slot user space's alone.
    #[inline(always)]
    pub(crate) fn give_back_at_preferred(self) -> u64 {
        if cfg!(feature = "baseline") && !settings::keeps(self.key(), settings::level()) {
            return 0;
        }
        release::from_preferred(&self)
    }

    /// Gives them back. Returns how many of them the book should have held and
    /// did not.
    #[inline(always)]
    pub(crate) fn give_back(self) -> u64 {
        let left = self.left - self.give_back_at_preferred();
        if left == 0 {
            return 0;
        }
        let rest = Self { left, ..self };
        let level = settings::level();
        if !settings::keeps(self.key(), level) {
            rest.pass_over(left.wrapping_neg());
            return 0;
        }
        let unknown = with(&mut Entry::of(rest, level), Entry::remove).unwrap_or(left);
        if unknown > 0 {
            self.pass_over(unknown.wrapping_neg());
        }
        unknown
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> u64 {
        self.want >> Word::KEY_SHIFT
    }

    /// The place that the folio prefers: a slot of a bucket.
    #[inline(always)]
    pub(crate) fn preferred(&self) -> Option<(*mut Bucket, usize)> {
        // Opaque, or the compiler reckons it twice, in part.
        let hash = opaque(hash_of(self.key()));
        let bucket = bucket_ptr(bucket_of(hash, layout!(ledger_shift)))?;
        Some((bucket, preferred_slot_of(hash)))
    }

    #[inline(always)]
    fn pass_over(&self, n: u64) {
        counters::pass_over(self.key(), self.want & Word::GET, n);
    }
}

/// References on their way into the book, or out of it, where the preferred slot
/// was not enough.
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) references: References,
    pub(crate) buckets: [u32; 2],
    /// What is looked for next, see `place`.
    pub(crate) rank: u64,
    /// Sampling level at the last look.
    pub(crate) level: u64,
    /// Process that gives them back, 0 where that is not known.
    pub(crate) releaser: u64,
}

kept!(Entry, ENTRY_CELLS);

impl Entry {
    #[inline(always)]
    fn of(references: References, level: u64) -> Self {
        Self {
            references,
            buckets: buckets_of(references.key()),
            rank: 0,
            level,
            releaser: 0,
        }
    }

    #[inline(always)]
    fn enter(&mut self) {
        // Twice in a row is rare: no loop for the first time.
        if add_to_own(self.handle()) == 0 {
            self.attempt(try_add);
        }
        if self.references.left == 0 {
            return;
        }
        self.attempt(try_open);
        // Each round passes over half of what was kept before.
        if self.rank == place::NO_ROOM {
            place::make_room(self.handle());
            self.attempt(try_open);
        }
        let left = self.references.left;
        if left == 0 {
            return;
        }
        self.references.pass_over(left);
        match self.rank {
            place::OUTSIDE => {}
            place::NO_ROOM => counters::lose(Lost::LEDGER_FULL, left),
            _ => counters::lose(Lost::CONTENDED, left),
        }
    }

    /// How many were not there.
    #[inline(always)]
    fn remove(&mut self) -> u64 {
        self.releaser = release::releaser();
        if self.releaser != 0 {
            release::from_own(self.handle());
        }
        self.attempt(release::attempt);
        self.references.left
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
    let references = entry.references;
    for bucket in entry.buckets {
        let Some(bucket) = bucket_ptr(bucket) else {
            return 1;
        };
        let slot = find(bucket, |word, slot| {
            equal(word.0 & Word::IDENTITY, references.want)
                && owner_of(bucket, slot) == references.owner
        });
        if slot < NONE {
            found = true;
            if place::add(bucket, slot, &references) {
                entry.references.left = 0;
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
    let shift = layout!(ledger_shift);
    [hash_of(key), second_hash_of(key)].map(|hash| bucket_of(hash, shift))
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
