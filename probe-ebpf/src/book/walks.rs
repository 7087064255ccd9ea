//! Which mkclean walk each thread is inside of, and what it saw on entry.
//!
//! An array of entries instead of a hash map, as for `threads`: a walk costs a few loads,
//! and nothing is allocated.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use probe_abi::Lost;

use crate::{
    book::counters,
    verifier::{
        atomic::{load, swap, xadd},
        table::Table,
    },
};

/// Threads that can be inside a walk at once; a power of two.
const ENTRIES: u32 = 4096;

/// Entries that a thread may use.
const WAYS: u32 = 4;

/// A walk takes no longer than so: an entry that is older is one whose return was missed.
const LONGEST_NS: u64 = 60_000_000_000;

/// A `folio_mkclean()` under way, with what its entry saw.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Walking {
    /// The thread that walks, plus 1 in the upper half; 0 while nobody has the entry.
    pub(crate) thread: u64,
    pub(crate) at_ns: u64,
    /// The page or folio that was passed, and the folio's head page.
    pub(crate) argument: u64,
    pub(crate) folio: u64,
    pub(crate) mapcount: u32,
    pub(crate) pins: u32,
    pub(crate) gets: u32,
    pub(crate) gups: u32,
    pub(crate) zaps: u32,
    pub(crate) ptes: u32,
    pub(crate) slots: u32,
    /// Zero; map values have no padding.
    pub(crate) reserved: u32,
}

#[unsafe(link_section = ".bss.walks")]
static WALKS: Table<Walking, { ENTRIES as usize }> = Table::zeroed();

/// Walks under way on the whole machine; the agent maps it.
#[map]
static WALKS_UNDER_WAY: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Whether there are any.
#[inline(always)]
pub(crate) fn are_any() -> bool {
    let walks = WALKS_UNDER_WAY.get_ptr(0);
    walks.is_some_and(|it| load(it) != 0)
}

#[inline(always)]
fn count(n: u64) {
    if let Some(walks) = WALKS_UNDER_WAY.get_ptr_mut(0) {
        xadd(walks, n);
    }
}

#[inline(always)]
fn entry(tid: u32, way: u32) -> *mut Walking {
    WALKS.at(tid.wrapping_mul(WAYS + 1).wrapping_add(way))
}

#[inline(always)]
fn thread_of(walking: *mut Walking) -> *mut u64 {
    // SAFETY: a map value, aligned and alive.
    unsafe { &raw mut (*walking).thread }
}

#[inline(always)]
fn id(tid: u32) -> u64 {
    1 << 32 | u64::from(tid)
}

/// The walk that a thread is inside of.
#[inline(always)]
pub(crate) fn of(tid: u32) -> Option<*mut Walking> {
    for way in 0..WAYS {
        let walking = entry(tid, way);
        if load(thread_of(walking)) == id(tid) {
            return Some(walking);
        }
    }
    None
}

/// A thread begins a walk. An entry that it has already is one whose return was missed.
#[inline(always)]
pub(crate) fn enter(tid: u32, walk: Walking) {
    if let Some(stale) = of(tid) {
        counters::lose(Lost::RETURN_MISSED, 1);
        fill(stale, tid, walk);
        return;
    }
    for way in 0..WAYS {
        let walking = entry(tid, way);
        if load(thread_of(walking)) == 0 && swap(thread_of(walking), 0, id(tid)) {
            count(1);
            fill(walking, tid, walk);
            return;
        }
    }
    if !take_over(tid, walk) {
        counters::lose(Lost::THREADS_FULL, 1);
    }
}

/// Takes the entry of a walk that has long been over.
#[inline(always)]
fn take_over(tid: u32, walk: Walking) -> bool {
    for way in 0..WAYS {
        let walking = entry(tid, way);
        let thread = load(thread_of(walking));
        // SAFETY: a map value, aligned and alive.
        let began = load(unsafe { &raw const (*walking).at_ns });
        let is_over = walk.at_ns.wrapping_sub(began) > LONGEST_NS;
        if is_over && swap(thread_of(walking), thread, id(tid)) {
            counters::lose(Lost::RETURN_MISSED, 1);
            fill(walking, tid, walk);
            return true;
        }
    }
    false
}

#[inline(always)]
fn fill(walking: *mut Walking, tid: u32, walk: Walking) {
    // SAFETY: a map value that is this thread's.
    unsafe {
        walking.write(Walking {
            thread: id(tid),
            ..walk
        });
    }
}

/// The walk is over.
#[inline(always)]
pub(crate) fn leave(walking: *mut Walking) {
    // SAFETY: a map value that is this thread's, and no longer.
    unsafe { thread_of(walking).write_volatile(0) };
    count(1_u64.wrapping_neg());
}

/// A walk begins that nothing is kept of: if the thread has an entry, its return was missed.
#[inline(always)]
pub(crate) fn pass_over(tid: u32) {
    if let Some(stale) = of(tid) {
        counters::lose(Lost::RETURN_MISSED, 1);
        leave(stale);
    }
}
