//! On whose behalf references are released.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use ledger::Releaser;

use crate::kernel::{interrupt::in_interrupt, layout::layout, read::member, ring};

/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// `PF_WQ_WORKER`, as above.
const WORKER: u32 = 0x20;

/// As far as it is known here: nothing in an interrupt, which serves anybody.
#[inline(always)]
pub(crate) fn releaser() -> Releaser {
    if in_interrupt() {
        return Releaser::default();
    }
    // SAFETY: the helper has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let flags: u32 = member(task, layout!(task_flags)).unwrap_or(0);
    // A kernel thread may have the address space of the process that it works for.
    let mm = member(task, layout!(task_mm)).unwrap_or(0);
    if flags & KERNEL_THREAD == 0 {
        return Releaser {
            tgid: bpf_get_current_pid_tgid() >> 32,
            mm,
            object: ring::of_syscall(task),
        };
    }
    if flags & WORKER == 0 {
        return Releaser {
            tgid: 0,
            mm,
            object: 0,
        };
    }
    let (object, mm_of_ring) = ring::of_worker();
    Releaser {
        tgid: 0,
        mm: if mm == 0 { mm_of_ring } else { mm },
        object,
    }
}
