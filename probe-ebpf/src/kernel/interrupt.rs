//! Whether an interrupt runs on top of the current task.

use aya_ebpf::helpers::{bpf_get_smp_processor_id, generated::bpf_get_current_task};
use probe_abi::ABSENT;

use crate::kernel::{layout::layout, read::read_kernel};

/// Hard, soft being served, or NMI; false where this kernel does not show its preempt
/// count.
#[inline(always)]
pub(crate) fn in_interrupt() -> bool {
    /// `SOFTIRQ_OFFSET | HARDIRQ_MASK | NMI_MASK`, include/linux/preempt.h.
    const INTERRUPT: u32 = 0x00ff_0100;
    preempt_count() & INTERRUPT != 0
}

/// Whether none does; false where this kernel does not show its preempt count.
///
/// A function of its own: it is asked rarely, where every instruction counts.
#[inline(never)]
pub(crate) fn in_task() -> bool {
    let is_shown = layout!(task_preempt_count) != ABSENT
        || layout!(preempt_count) != 0 && layout!(per_cpu_offset) != 0;
    is_shown && !in_interrupt()
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
