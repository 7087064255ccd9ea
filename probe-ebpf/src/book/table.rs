//! The ledger's table in a map, for the algorithm in the crate `ledger`.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use ledger::{Acquire, References, Release, Releaser, Table};
use probe_abi::{BUCKET_SLOTS, Bucket, NoteFlags, SlotNote, Word};

use crate::{
    book::{counters, owners, settings, steps, ways::Ledger},
    kernel::{clock, layout::layout},
    verifier::{
        atomic::{load, swap, xadd32},
        unknown::{opaque, unknown_zero},
    },
};

/// The table; the agent sets its size to a power of two, and maps it.
#[map]
static LEDGER: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[inline(always)]
fn word_at(bucket: *mut Bucket, slot: usize) -> *mut u64 {
    // SAFETY: masked to be below `BUCKET_SLOTS`, the length of the array.
    unsafe {
        (&raw mut (*bucket).words)
            .cast::<u64>()
            .add(slot & (BUCKET_SLOTS - 1))
    }
}

#[inline(always)]
fn note_at(bucket: *mut Bucket, slot: usize) -> *mut SlotNote {
    // SAFETY: as above.
    unsafe {
        (&raw mut (*bucket).notes)
            .cast::<SlotNote>()
            .add(slot & (BUCKET_SLOTS - 1))
    }
}

/// A field of a note: a plain integer that others may change meanwhile.
macro_rules! read_note {
    ($bucket:ident, $slot:ident, $field:ident) => {
        // SAFETY: a map value, aligned and alive.
        unsafe { (&raw const (*note_at($bucket, $slot)).$field).read_volatile() }
    };
}

macro_rules! write_note {
    ($bucket:ident, $slot:ident, $field:ident, $value:expr) => {
        // SAFETY: as above.
        unsafe { (&raw mut (*note_at($bucket, $slot)).$field).write_volatile($value) }
    };
}

impl<const RARE_IN_LINE: bool> Table for Ledger<RARE_IN_LINE> {
    type Bucket = *mut Bucket;

    #[inline(always)]
    fn shift(self) -> u32 {
        layout!(ledger_shift)
    }

    #[inline(always)]
    fn bucket(self, index: u32) -> Option<*mut Bucket> {
        LEDGER.get_ptr_mut(index)
    }

    #[inline(always)]
    fn word(self, bucket: *mut Bucket, slot: usize) -> Word {
        Word(load(word_at(bucket, slot)))
    }

    #[inline(always)]
    fn swap(self, bucket: *mut Bucket, slot: usize, old: u64, new: u64) -> bool {
        swap(word_at(bucket, slot), old, new)
    }

    #[inline(always)]
    fn force(self, bucket: *mut Bucket, slot: usize, new: u64) {
        // With compare-and-swap it does not come to that.
        if cfg!(feature = "baseline") {
            // SAFETY: a map value, aligned and alive; its word is busy, and so ours.
            unsafe { word_at(bucket, slot).write_volatile(new) };
        }
    }

    #[inline(always)]
    fn owner(self, bucket: *mut Bucket, slot: usize) -> u32 {
        u32::from(read_note!(bucket, slot, owner))
    }

    #[inline(always)]
    fn since(self, bucket: *mut Bucket, slot: usize) -> u64 {
        read_note!(bucket, slot, since_ns)
    }

    #[inline(always)]
    fn mapping(self, bucket: *mut Bucket, slot: usize) -> u64 {
        read_note!(bucket, slot, mapping)
    }

    #[inline(always)]
    fn gups(self, bucket: *mut Bucket, slot: usize) -> u32 {
        read_note!(bucket, slot, gups)
    }

    #[inline(always)]
    fn zaps(self, bucket: *mut Bucket, slot: usize) -> u32 {
        read_note!(bucket, slot, zaps)
    }

    #[inline(always)]
    fn opened(self, bucket: *mut Bucket, slot: usize) -> u32 {
        read_note!(bucket, slot, opened)
    }

    #[inline(always)]
    fn write_note(self, bucket: *mut Bucket, slot: usize, note: SlotNote) {
        // Field by field: a copy of the whole would take as much of the stack.
        write_note!(bucket, slot, since_ns, note.since_ns);
        write_note!(bucket, slot, mapping, note.mapping);
        write_note!(bucket, slot, gups, note.gups);
        write_note!(bucket, slot, zaps, note.zaps);
        write_note!(bucket, slot, owner, note.owner);
        write_note!(bucket, slot, flags, note.flags);
        write_note!(bucket, slot, order, note.order);
        write_note!(bucket, slot, opened, note.opened);
        write_note!(bucket, slot, memcg, note.memcg);
    }

    #[inline(always)]
    fn renew_note(self, bucket: *mut Bucket, slot: usize, references: &References) {
        write_note!(bucket, slot, since_ns, self.now());
        write_note!(bucket, slot, mapping, references.mapping);
        write_note!(bucket, slot, order, references.order as u8);
        write_note!(bucket, slot, flags, 0);
        write_note!(bucket, slot, memcg, references.memcg);
    }

    #[inline(always)]
    fn count_gup(self, bucket: *mut Bucket, slot: usize) {
        // SAFETY: a map value, aligned and alive.
        xadd32(unsafe { &raw mut (*note_at(bucket, slot)).gups }, 1);
    }

    #[inline(always)]
    fn count_zaps(self, bucket: *mut Bucket, slot: usize, n: u32) {
        // SAFETY: as above.
        xadd32(unsafe { &raw mut (*note_at(bucket, slot)).zaps }, n);
    }

    #[inline(always)]
    fn rename(self, bucket: *mut Bucket, slot: usize, owner: u32) {
        write_note!(bucket, slot, owner, owner as u16);
    }

    #[inline(always)]
    fn mark_guess(self, bucket: *mut Bucket, slot: usize) {
        write_note!(bucket, slot, flags, NoteFlags::GUESS);
    }

    #[inline(always)]
    fn now(self) -> u64 {
        clock::since_boot()
    }

    #[inline(always)]
    fn fit(self, owner: u32, releaser: &Releaser) -> u64 {
        owners::fit(owner, releaser)
    }

    #[inline(always)]
    fn kinship(self, one: u32, other: u32) -> u64 {
        owners::kinship(one, other)
    }

    #[inline(always)]
    fn held_since(self, owner: u32, since_ns: u64) {
        if RARE_IN_LINE {
            owners::held_since(owner, since_ns);
        } else {
            owners::held_since_apart(u64::from(owner), since_ns);
        }
    }

    #[inline(always)]
    fn level(self) -> u64 {
        settings::level()
    }

    #[inline(always)]
    fn raise_level(self, level: u64) -> bool {
        settings::raise(level)
    }

    #[inline(always)]
    fn lose(self, cause: usize, pages: u64) {
        counters::lose_in_line(cause, pages);
    }

    #[inline(always)]
    fn pass_over(self, key: u64, kind: u64, n: u64) {
        counters::pass_over(key, kind, n);
    }

    #[inline(always)]
    fn add_to_own(self, acquire: &mut Acquire) {
        steps::add_to_own(acquire);
    }

    #[inline(always)]
    fn open_slot(self, acquire: &mut Acquire) {
        steps::open_slot(acquire);
    }

    #[inline(always)]
    fn raise_hint(self, acquire: &mut Acquire) {
        steps::raise_hint(acquire);
    }

    #[inline(always)]
    fn make_room(self, acquire: &mut Acquire) {
        steps::make_room(acquire);
    }

    #[inline(always)]
    fn search(self, release: &mut Release) {
        steps::search(release);
    }

    #[inline(always)]
    fn mark_guesses(self, release: &mut Release) {
        steps::mark_guesses(release);
    }

    #[inline(always)]
    fn zero(self) -> u64 {
        unknown_zero()
    }

    #[inline(always)]
    fn opaque(self, number: u64) -> u64 {
        opaque(number)
    }
}
