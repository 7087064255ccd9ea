//! The current task, for kernels that give its address only.

use aya_ebpf::helpers::generated::bpf_get_current_task;

use crate::{folio::read_kernel, layout::layout};

/// Its address, and when it began.
#[inline(always)]
pub(crate) fn current() -> (u64, u64) {
    // SAFETY: the helper has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let start_ns = read_kernel(task + u64::from(layout!(task_start)));
    (task, start_ns.unwrap_or(0))
}
