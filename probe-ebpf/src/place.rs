//! Where a pin goes in the ledger when its owner has no slot of the folio yet,
//! and what makes room when there is none.

use probe_abi::{BUCKET_SLOTS, Bucket, Lost, STRATA, SlotNote, Word};

use crate::{
    atomic::{swap, xadd32},
    counters,
    ledger::{
        Entry, NONE, References, bucket_ptr, find, note_ptr, now, owner_of, read_word, word_ptr,
    },
    owners::NOBODY,
    repeat::{needs, repeat},
    scratch::{Handle, Kept, Raw, kept, lent, passed, with},
    settings,
    unknown::{equal, unknown_zero},
};

// What is looked for, best first. The entry carries the number from one attempt
// to the next.

/// A slot of this folio that only remembers.
const REMEMBERS: u64 = 0;
/// A free slot.
const FREE: u64 = 1;
/// A slot of another folio that only remembers.
const IDLE: u64 = 2;
/// For a pin: plain references, which the book may be right about or not.
const REFERENCES: u64 = 3;
/// A slot of this folio that another owner has.
const SHARED: u64 = 4;
/// No slot: somebody has to make room.
pub(crate) const NO_ROOM: u64 = 5;
/// The end: the folio is no longer in the sample.
pub(crate) const OUTSIDE: u64 = 6;

/// Bits of a word, and what they must be.
#[derive(Clone, Copy)]
struct Pattern {
    mask: u64,
    bits: u64,
}

impl Pattern {
    #[inline(always)]
    fn of(entry: &Entry) -> Self {
        let (mask, bits) = match entry.rank {
            REMEMBERS => (u64::MAX, entry.references.want),
            FREE => (u64::MAX, 0),
            IDLE => (Word::COUNT | Word::BUSY, 0),
            REFERENCES => (Word::GET | Word::BUSY, Word::GET),
            _ => (Word::IDENTITY, entry.references.want),
        };
        // Unknown to the verifier, or it would search with each of them.
        Self {
            mask: mask + unknown_zero(),
            bits: bits + unknown_zero(),
        }
    }

    #[inline(always)]
    fn fits(self, word: Word) -> bool {
        equal(word.0 & self.mask, self.bits)
    }
}

/// One attempt to find a slot and to open it. 0 to go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn open_slot(entry: Handle<Entry>) -> i64 {
    let Some(entry) = lent::<Entry>(entry) else {
        return 1;
    };
    let pattern = Pattern::of(entry);
    for bucket in entry.buckets {
        let Some(bucket) = bucket_ptr(bucket) else {
            return 1;
        };
        let slot = find(bucket, |word, _| pattern.fits(word));
        if slot < NONE {
            if !take_slot(bucket, slot, entry, pattern) {
                return 0;
            }
            entry.references.left = 0;
            return 1;
        }
    }
    entry.rank += 1 + unknown_zero();
    // For a plain reference no other one has to go.
    if entry.rank == REFERENCES && entry.references.want & Word::GET != 0 {
        entry.rank = SHARED + unknown_zero();
    }
    i64::from(entry.rank >= NO_ROOM)
}

/// Passes over half of all folios, if that is what it takes, until one of the
/// two buckets has room or the folio itself is passed over. Plain references
/// alone are no reason to.
///
/// A function of its own only where there is room for one more frame.
#[cfg_attr(not(feature = "baseline"), unsafe(no_mangle), inline(never))]
#[cfg_attr(feature = "baseline", inline(always))]
pub(crate) extern "C" fn make_room(entry: Handle<Entry>) -> u64 {
    let Some(entry) = lent::<Entry>(entry) else {
        return 0;
    };
    if entry.references.want & Word::GET != 0 {
        return 0;
    }
    let mut clearing = Clearing {
        buckets: entry.buckets,
        key: entry.references.key(),
        level: entry.level,
        cleared: unknown_zero(),
    };
    with(&mut clearing, |clearing| {
        repeat(STRATA as u32, clear, clearing.raw());
        entry.level = clearing.level;
        if clearing.cleared > 0 {
            entry.rank = FREE + unknown_zero();
        } else if !settings::keeps(entry.references.key(), clearing.level) {
            entry.rank = OUTSIDE + unknown_zero();
        }
    });
    0
}

/// Frees the slots of both buckets whose folios the sample does not have; if
/// there are none, the sample is halved. 1 at the end.
#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn clear(round: u64, clearing: Raw) -> i64 {
    needs(round);
    repeat(2 * BUCKET_SLOTS as u32, clear_one, clearing);
    let Some(clearing) = passed::<Clearing>(clearing) else {
        return 1;
    };
    if clearing.cleared > 0 || !settings::raise(clearing.level) {
        return 1;
    }
    clearing.level = settings::level();
    i64::from(!settings::keeps(clearing.key, clearing.level))
}

#[repr(C)]
struct Clearing {
    buckets: [u32; 2],
    key: u64,
    level: u64,
    cleared: u64,
}

kept!(Clearing, CLEARING_CELLS);

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn clear_one(index: u64, clearing: Raw) -> i64 {
    let Some(clearing) = passed::<Clearing>(clearing) else {
        return 1;
    };
    let [first, second] = clearing.buckets;
    let bucket = if index & BUCKET_SLOTS as u64 == 0 {
        first
    } else {
        second
    };
    let Some(bucket) = bucket_ptr(bucket) else {
        return 1;
    };
    let at = word_ptr(bucket, index as usize);
    let word = read_word(at);
    if word.is_empty() || word.is_busy() || settings::keeps(word.key(), clearing.level) {
        return 0;
    }
    if swap(at, word.0, 0) {
        evict(word);
        clearing.cleared += 1;
    }
    0
}

/// Enters at the slot that a folio prefers, if that is free, remembers the folio or
/// is this owner's: true if done. If another owner has it, it learns of this one.
#[inline(always)]
pub(crate) fn at_preferred(references: &References) -> bool {
    let Some((bucket, slot)) = references.preferred() else {
        return false;
    };
    let at = word_ptr(bucket, slot);
    let word = read_word(at);
    if word.is_empty() || word.0 == references.want {
        return claim(bucket, slot, word, references, |_| {});
    }
    if word.0 & Word::IDENTITY != references.want {
        return false;
    }
    if owner_of(bucket, slot) == references.owner {
        return add(bucket, slot, references);
    }
    // Without the mark a release may take from the wrong owner of the two.
    if word.0 & Word::OTHERS == 0 {
        swap(at, word.0, word.0 | Word::OTHERS);
    }
    false
}

/// Adds to a slot that this owner has; false if it no longer is.
#[inline(always)]
pub(crate) fn add(bucket: *mut Bucket, slot: usize, references: &References) -> bool {
    let Some(before) = raise(bucket, slot, references) else {
        return false;
    };
    if before == 0 {
        let note = note_ptr(bucket, slot);
        // SAFETY: a map value, aligned and alive.
        unsafe {
            (&raw mut (*note).since_ns).write_volatile(now());
            (&raw mut (*note).memcg).write_volatile(references.memcg);
        }
    }
    if owner_of(bucket, slot) != references.owner {
        // It was emptied and reopened for somebody else since its owner was read.
        disown(bucket, slot, before, references);
    }
    true
}

/// Makes the slot that was found this entry's; false if it no longer fits.
#[inline(always)]
fn take_slot(bucket: *mut Bucket, slot: usize, entry: &Entry, pattern: Pattern) -> bool {
    if entry.rank == SHARED {
        share(bucket, slot, &entry.references)
    } else {
        let word = read_word(word_ptr(bucket, slot));
        pattern.fits(word) && claim(bucket, slot, word, &entry.references, evict)
    }
}

/// Adds to another owner's slot: more owners than slots. From then on it counts
/// for nobody in particular.
#[inline(always)]
fn share(bucket: *mut Bucket, slot: usize, references: &References) -> bool {
    let Some(before) = raise(bucket, slot, references) else {
        return false;
    };
    disown(bucket, slot, before, references);
    true
}

/// Adds to a slot of this folio; what it counted before, if it could be done.
#[inline(always)]
fn raise(bucket: *mut Bucket, slot: usize, references: &References) -> Option<u64> {
    let at = word_ptr(bucket, slot);
    let word = read_word(at);
    let left = references.left;
    let fits = u64::from(word.count()) + left <= Word::COUNT;
    if word.0 & Word::IDENTITY != references.want || !fits || !swap(at, word.0, word.0 + left) {
        return None;
    }
    let note = note_ptr(bucket, slot);
    // SAFETY: a map value, aligned and alive.
    xadd32(unsafe { &raw mut (*note).gups }, 1);
    Some(u64::from(word.count()))
}

/// Takes the owner's name from a slot that two share. Pins that had none are not
/// lost once more.
#[inline(always)]
fn disown(bucket: *mut Bucket, slot: usize, before: u64, references: &References) {
    let mut pages = 0;
    if owner_of(bucket, slot) != NOBODY {
        pages += before;
    }
    if references.owner != NOBODY {
        pages += references.left;
    }
    // SAFETY: a map value, aligned and alive.
    unsafe { (&raw mut (*note_ptr(bucket, slot)).owner).write_volatile(NOBODY) };
    counters::lose(Lost::OWNERS_FULL, pages);
}

/// Claims a slot whose word was `old`, writes its note, and publishes the entry;
/// false if it no longer is. `evict` is given what the slot had of another folio.
#[inline(always)]
fn claim(
    bucket: *mut Bucket,
    slot: usize,
    old: Word,
    references: &References,
    evict: impl Fn(Word),
) -> bool {
    let at = word_ptr(bucket, slot);
    let new = references.want + references.left;
    if references.left > Word::COUNT || !swap(at, old.0, new | Word::BUSY) {
        return false;
    }
    if old.count() > 0 {
        evict(old);
    }
    let note = note_ptr(bucket, slot);
    // What is remembered of this folio outlives the change of owner.
    let (mut gups, mut zaps) = (1, 0);
    if old.0 == references.want {
        // SAFETY: the slot is ours while its word is busy.
        let was = unsafe { note.read() };
        gups = was.gups.wrapping_add(1);
        zaps = was.zaps;
    }
    // SAFETY: as above.
    unsafe {
        note.write(SlotNote {
            since_ns: now(),
            mapping: references.mapping,
            pages: references.pages,
            gups,
            zaps,
            owner: references.owner,
            memcg: references.memcg,
        });
    }
    // A full barrier, so that nobody sees the word without its note.
    if !swap(at, new | Word::BUSY, new) {
        // Only the lock of the baseline flavour refuses: nobody changes a busy word.
        // SAFETY: as above.
        unsafe { at.write_volatile(new) };
    }
    true
}

/// What had to make room is outstanding still, only not in the book.
#[inline(always)]
fn evict(old: Word) {
    let count = u64::from(old.count());
    counters::pass_over(old.key(), old.0 & Word::GET, count);
    if old.0 & Word::GET != 0 {
        counters::lose(Lost::LEDGER_FULL, count);
    }
}
