//! Which mkclean walk each thread is inside of, and what it saw on entry.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::HashMap};
use probe_abi::Lost;

use crate::counters;

/// Threads that can be inside a walk at once.
const THREADS: u32 = 16384;

/// A `folio_mkclean()` under way, with what its entry saw.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Walking {
    pub(crate) at_ns: u64,
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

#[map]
static WALKS: HashMap<u32, Walking> = HashMap::with_max_entries(THREADS, 0);

#[inline(always)]
pub(crate) fn of(tid: u32) -> Option<*mut Walking> {
    WALKS.get_ptr_mut(tid)
}

#[inline(always)]
pub(crate) fn enter(tid: u32, walk: &Walking) {
    if WALKS.insert(tid, walk, u64::from(BPF_NOEXIST)).is_ok() {
        return;
    }
    // Either the table is full, or this thread's last return was missed.
    if WALKS.insert(tid, walk, 0).is_ok() {
        counters::lose(Lost::RETURN_MISSED, 1);
    } else {
        counters::lose(Lost::THREADS_FULL, 1);
    }
}

#[inline(always)]
pub(crate) fn leave(tid: u32) {
    // An entry that is gone is what was wanted.
    let _ = WALKS.remove(tid);
}
