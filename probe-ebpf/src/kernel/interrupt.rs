//! Whether an interrupt runs on top of the current task.

use aya_ebpf::helpers::{bpf_get_smp_processor_id, generated::bpf_get_current_task};
use probe_abi::ABSENT;

use crate::kernel::{layout::layout, read::read_kernel};

// Bits of the preempt count, include/linux/preempt.h: a soft interrupt that is served, four of hard
// ones, and above them one that says so of NMIs (more where those are counted, which do not pin).
const SOFT: u32 = 1 << 8;
const HARD: u32 = 0xf;
const NMI: u32 = 0x10;

/// Hard, soft being served, or NMI; false where this kernel does not show its preempt
/// count.
#[inline(always)]
pub(crate) fn in_interrupt() -> bool {
    let interrupt = SOFT | (HARD | NMI) << layout!(hardirq_shift);
    preempt_count() & interrupt != 0
}

/// Whether none does; false where this kernel does not show its preempt count.
///
/// A function of its own: it is asked rarely, where every instruction counts.
#[inline(never)]
pub(crate) fn in_task() -> bool {
    is_shown() && !in_interrupt()
}

/// Which kinds of interrupt run on top of the current task, as a number of three bits; `None` where
/// this kernel does not show its preempt count.
#[inline(always)]
pub(crate) fn nesting() -> Option<u64> {
    if !is_shown() {
        return None;
    }
    let count = preempt_count();
    let above = count >> layout!(hardirq_shift);
    let [soft, hard, nmi] = [count & SOFT, above & HARD, above & NMI].map(|it| u64::from(it != 0));
    Some(soft | hard << 1 | nmi << 2)
}

#[inline(always)]
fn is_shown() -> bool {
    layout!(task_preempt_count) != ABSENT
        || layout!(preempt_count) != 0 && layout!(per_cpu_offset) != 0
}

/// As a member of the task or as a variable of the CPU: kernels have it there or
/// there. 0 where it cannot be had: an `Option` would leave the number undefined.
#[inline(always)]
fn preempt_count() -> u32 {
    if layout!(task_preempt_count) != ABSENT {
        // SAFETY: the helper has no precondition.
        let task = unsafe { bpf_get_current_task() };
        return read_kernel(task + u64::from(layout!(task_preempt_count))).unwrap_or(0);
    }
    if layout!(preempt_count) == 0 || layout!(per_cpu_offset) == 0 {
        return 0;
    }
    // SAFETY: as above.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(offset) = read_kernel::<u64>(layout!(per_cpu_offset) + u64::from(cpu) * 8) else {
        return 0;
    };
    read_kernel(offset.wrapping_add(layout!(preempt_count))).unwrap_or(0)
}
