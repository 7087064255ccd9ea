//! Which call the current thread is inside of, and whether an interrupt runs on
//! top of it.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id},
    macros::map,
    maps::HashMap,
};
use probe_abi::Lost;

use crate::{counters, folio::read_kernel, layout::layout};

/// Threads that can be inside a GUP call, or a walk, at once.
const THREADS: u32 = 16384;

/// A GUP call under way, outermost only.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GupCall {
    /// The page array to be filled, or the folio itself for `folio_add_pin*()`.
    pub(crate) pages: u64,
    /// Which function: nested returns are told apart by it.
    pub(crate) function: u32,
    /// `gup_flags`.
    pub(crate) flags: u32,
}

#[map]
static GUP_CALLS: HashMap<u32, GupCall> = HashMap::with_max_entries(THREADS, 0);

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

/// Thread id of the current task.
#[inline(always)]
pub(crate) fn tid() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

#[inline(always)]
pub(crate) fn gup_call(tid: u32) -> Option<GupCall> {
    // SAFETY: only this thread writes its entry.
    unsafe { GUP_CALLS.get(tid) }.copied()
}

#[inline(always)]
pub(crate) fn enter_gup(tid: u32, call: &GupCall) {
    if GUP_CALLS.insert(tid, call, 0).is_err() {
        counters::lose(Lost::THREADS_FULL, 1);
    }
}

#[inline(always)]
pub(crate) fn leave_gup(tid: u32) {
    // An entry that is gone is what was wanted.
    let _ = GUP_CALLS.remove(tid);
}

#[inline(always)]
pub(crate) fn walking(tid: u32) -> Option<*mut Walking> {
    WALKS.get_ptr_mut(tid)
}

#[inline(always)]
pub(crate) fn enter_walk(tid: u32, walk: &Walking) {
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
pub(crate) fn leave_walk(tid: u32) {
    // An entry that is gone is what was wanted.
    let _ = WALKS.remove(tid);
}

/// Whether an interrupt (hard, soft being served, or NMI) runs on top of the
/// current task; false where this kernel does not show its preempt count.
#[inline(always)]
pub(crate) fn in_interrupt() -> bool {
    /// `SOFTIRQ_OFFSET | HARDIRQ_MASK | NMI_MASK`, include/linux/preempt.h.
    const INTERRUPT: u32 = 0x00ff_0100;
    if layout!(preempt_count) == 0 || layout!(per_cpu_offset) == 0 {
        return false;
    }
    // SAFETY: the helper has no precondition.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(offset) = read_kernel::<u64>(layout!(per_cpu_offset) + u64::from(cpu) * 8) else {
        return false;
    };
    let count = read_kernel::<u32>(offset.wrapping_add(layout!(preempt_count)));
    count.is_some_and(|count| count & INTERRUPT != 0)
}
