//! Per-CPU totals in one array that user space maps: reading them makes no
//! system call, and so never switches kprobes off on a CPU (a BPF map system
//! call does, for as long as it lasts: `bpf_disable_instrumentation()`).

use core::mem::offset_of;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::bpf_get_smp_processor_id, macros::map, maps::Array,
};
use probe_abi::{CpuCounters, STRATA, Word, stratum};

use crate::verifier::{
    atomic::xadd,
    unknown::{opaque, unknown_zero},
};

/// One set per possible CPU; the agent sets the size.
#[map]
static COUNTERS: Array<CpuCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The set of this CPU.
#[inline(always)]
pub(crate) fn of_this_cpu() -> Option<*mut CpuCounters> {
    // SAFETY: the helper has no precondition.
    COUNTERS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })
}

/// Adds `n` to the counter of this CPU at a byte offset in [`CpuCounters`].
///
/// Atomic although per CPU: a completion interrupt can land inside a probe.
#[inline(always)]
pub(crate) fn add(n: u64, offset: usize) {
    let Some(counters) = of_this_cpu() else {
        return;
    };
    // SAFETY: callers pass the offset of a `u64` field.
    xadd(
        unsafe { counters.cast::<u8>().add(offset).cast::<u64>() },
        n,
    );
}

/// Adds `n` to the one counter and 1 to the other.
#[inline(always)]
pub(crate) fn add_and_count(n: u64, sum: usize, number: usize) {
    if let Some(counters) = of_this_cpu() {
        add_and_count_to(counters, n, sum, number);
    }
}

/// The same to counters that are this CPU's.
#[inline(always)]
pub(crate) fn add_and_count_to(counters: *mut CpuCounters, n: u64, sum: usize, number: usize) {
    let counters = counters.cast::<u8>();
    // SAFETY: as above.
    unsafe {
        xadd(counters.add(sum).cast::<u64>(), n);
        xadd(counters.add(number).cast::<u64>(), 1);
    }
}

/// Counts `n` losses of a [`probe_abi::Lost`] cause.
#[inline(always)]
pub(crate) fn lose(cause: usize, n: u64) {
    rarely(n, lost(cause));
}

/// The same in line, for where calls are as deep already as the verifier lets them: each takes 32 bytes
/// of a stack of 512 (before Linux 6.2).
#[inline(always)]
pub(crate) fn lose_in_line(cause: usize, n: u64) {
    add(n, lost(cause));
}

const fn lost(cause: usize) -> usize {
    offset_of!(CpuCounters, lost) + cause * 8
}

/// The same as [`add`] for what is rare: each way to a counter in line is one more that the kernel
/// puts its own code in at every load, and moves all behind it.
#[inline(always)]
pub(crate) fn rarely(n: u64, offset: usize) {
    add_apart(n, offset as u64);
}

/// A function that the verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn add_apart(n: u64, offset: u64) -> u64 {
    const LAST: u64 = (size_of::<CpuCounters>() - size_of::<u64>()) as u64;
    // Opaque, or the compiler drops the bound that the verifier asks for.
    let offset = opaque(offset);
    if offset <= LAST {
        add(n, (offset & !7) as usize);
    }
    0
}

/// Counts a mkclean walk of a [`probe_abi::WalkKind`].
#[inline(always)]
pub(crate) fn walk(kind: usize) {
    add(1, offset_of!(CpuCounters, walks) + kind * 8);
}

/// Counts pins (or, negative, their releases) that are not in the book: of most folios, where a
/// sample of them is kept.
#[inline(always)]
pub(crate) fn pass_over(key: u64, kind: u64, n: u64) {
    if kind != Word::GET {
        add(n, of_stratum(key, offset_of!(CpuCounters, passed_over)));
    }
}

/// Counts releases of pins that the book should have and has not.
#[inline(always)]
pub(crate) fn unmatched(key: u64, n: u64) {
    rarely(n, of_stratum(key, offset_of!(CpuCounters, unmatched)));
}

/// The key's counter of those that begin at this offset.
#[inline(always)]
fn of_stratum(key: u64, counters: usize) -> usize {
    // The compiler knows that a stratum is below their number, the verifier
    // only what a mask says that the compiler cannot leave out.
    let stratum = (u64::from(stratum(key)) + unknown_zero()) as usize & (STRATA - 1);
    counters + stratum * 8
}
