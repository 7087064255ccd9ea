//! What each thread is doing: the GUP call it is inside of, and the owner that
//! its last one was booked to.
//!
//! An array of entries instead of a hash map: a look-up is a few loads, an entry
//! that its thread does not need just now is the next one's, and nothing has to
//! be deleted when a thread ends.

use probe_abi::CALL_FRAMES;

use crate::{
    book::paths::{PATHS, Path},
    verifier::{
        atomic::{load, swap},
        table::Table,
    },
};

/// Entries; a power of two.
const ENTRIES: u32 = 4096;

/// Entries that a thread may use.
const WAYS: u32 = 4;

/// One thread. While `call` names a function, nobody else touches the entry.
#[repr(C)]
pub(crate) struct Thread {
    /// Thread id below, and above it the GUP function it is inside of (or `ROLLBACK`), plus one;
    /// all zero while nobody has the entry.
    call: u64,
    /// The page array to be filled, or the folio itself for `folio_add_pin*()`, where
    /// the entry of the call was seen.
    pub(crate) pages: u64,
    /// Whether it is where the kernel may roll pins back itself; see `rollback`.
    pub(crate) rolls_back: u64,
    /// `gup_flags`.
    pub(crate) flags: u32,
    /// The owner of the last call, and its record's tag then.
    pub(crate) owner: u32,
    pub(crate) owner_tag: u64,
    /// Whose thread it was at the last call: when it began, its address space, cgroup and
    /// user. The paths below are of that one.
    pub(crate) start_ns: u64,
    pub(crate) mm: u64,
    pub(crate) cgroup: u64,
    pub(crate) uid: u32,
    /// The path that is forgotten next.
    pub(crate) turn: u32,
    /// The ring that the call is for, if it is for long.
    pub(crate) object: u64,
    /// The path that the last call took, which the next one most likely takes too.
    pub(crate) recent: u64,
    /// Where the stack of the call under way begins.
    pub(crate) stack: u64,
    /// That stack, unwound.
    pub(crate) frame_count: u32,
    pub(crate) inner_frames: u32,
    pub(crate) frames: [u64; CALL_FRAMES],
    pub(crate) paths: [Path; PATHS],
}

// Not a map of many values: to find one of them takes the kernel ten instructions.
#[unsafe(link_section = ".bss.threads")]
static THREADS: Table<Thread, { ENTRIES as usize }> = Table::zeroed();

impl Thread {
    /// The function that the thread is inside of.
    #[inline(always)]
    pub(crate) fn inside(this: *mut Self) -> Option<u32> {
        // SAFETY: a map value, aligned and alive.
        let call = load(unsafe { &raw const (*this).call });
        ((call >> 32) as u32).checked_sub(1)
    }

    /// Whether it is this thread's, which is inside `function`.
    #[inline(always)]
    pub(crate) fn is_inside(this: *mut Self, tid: u32, function: u32) -> bool {
        // SAFETY: as above.
        load(unsafe { &raw const (*this).call }) == in_call(tid, function)
    }

    /// The thread is inside `function` from now on.
    #[inline(always)]
    pub(crate) fn enter(this: *mut Self, tid: u32, function: u32) {
        // SAFETY: as above; the entry is this thread's.
        unsafe { (&raw mut (*this).call).write_volatile(in_call(tid, function)) };
    }

    /// And no longer.
    #[inline(always)]
    pub(crate) fn leave(this: *mut Self, tid: u32) {
        // SAFETY: as above.
        unsafe { (&raw mut (*this).call).write_volatile(u64::from(tid)) };
    }
}

/// The entry that this thread has.
#[inline(always)]
pub(crate) fn of(tid: u32) -> Option<*mut Thread> {
    for way in 0..WAYS {
        let thread = THREADS.at(place(tid, way));
        // SAFETY: a map value, aligned and alive.
        if load(unsafe { &raw const (*thread).call }) as u32 == tid {
            return Some(thread);
        }
    }
    None
}

/// That entry, entered into `function`; or else one that no call needs, taken
/// over; `None` if there is none. The function that the thread was inside of
/// already, if there is one: then nothing was changed.
#[inline(always)]
pub(crate) fn enter(tid: u32, function: u32) -> Option<(*mut Thread, Option<u32>)> {
    if let Some(thread) = of(tid) {
        if let Some(outer) = Thread::inside(thread) {
            return Some((thread, Some(outer)));
        }
        if take(thread, u64::from(tid), tid, function) {
            return Some((thread, None));
        }
    }
    for way in 0..WAYS {
        let thread = THREADS.at(place(tid, way));
        // SAFETY: a map value, aligned and alive.
        let old = load(unsafe { &raw const (*thread).call });
        if old >> 32 == 0 && take(thread, old, tid, function) {
            // No thread of ours: what the last one remembered means nothing.
            // SAFETY: as above; the entry is ours.
            unsafe { (&raw mut (*thread).start_ns).write_volatile(0) };
            return Some((thread, None));
        }
    }
    None
}

/// Takes an idle entry, unless somebody else just did.
#[inline(always)]
fn take(thread: *mut Thread, old: u64, tid: u32, function: u32) -> bool {
    // SAFETY: a map value, aligned and alive.
    swap(
        unsafe { &raw mut (*thread).call },
        old,
        in_call(tid, function),
    )
}

#[inline(always)]
fn in_call(tid: u32, function: u32) -> u64 {
    u64::from(function + 1) << 32 | u64::from(tid)
}

/// Neighbouring ids lie a few entries apart, so that each has its ways to itself.
#[inline(always)]
fn place(tid: u32, way: u32) -> u32 {
    tid.wrapping_mul(WAYS + 1).wrapping_add(way)
}
