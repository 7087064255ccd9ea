//! The current task, as a typed pointer (Linux 5.11).

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;

use crate::{layout::layout, typed::Typed};

/// Its address, and when it began.
#[inline(always)]
pub(crate) fn current() -> (u64, u64) {
    // SAFETY: the helper has no precondition, and what it returns is never null.
    let task = unsafe { Typed::known(bpf_get_current_task_btf().cast()) };
    (task.address(), task.read(layout!(task_start)))
}
