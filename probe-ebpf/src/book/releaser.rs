//! On whose behalf references are released.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use ledger::{Fit, Releaser};

use crate::{
    book::settings,
    kernel::{interrupt::in_interrupt, layout::layout, read::member, ring},
};

/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// `PF_WQ_WORKER`, as above.
const WORKER: u32 = 0x20;
/// `PF_IO_WORKER`, as above: a thread that an io_uring has for itself.
const IO_WORKER: u32 = 0x10;

/// As far as it is known here: nothing in an interrupt, which serves anybody.
///
/// A ring's references are those of the process that it was made for, whoever releases them:
/// rings are inherited and passed on.
#[inline(always)]
pub(crate) fn releaser() -> Releaser {
    if in_interrupt() {
        return Releaser::default();
    }
    // SAFETY: the helper has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let flags: u32 = member(task, layout!(task_flags)).unwrap_or(0);
    let is_process = flags & KERNEL_THREAD == 0;
    let object = if is_process {
        ring::of_syscall(task)
    } else if flags & WORKER != 0 {
        ring::of_worker()
    } else {
        0
    };
    if object != 0 {
        return Releaser {
            tgid: 0,
            mm: ring::mm_of(object),
            object,
            doubt: if settings::buffers_were_cloned() {
                Fit::OF_OBJECTS
            } else {
                0
            },
        };
    }
    // What was unregistered while a request used it, is released when that ends.
    let may_end_one = !is_process || flags & IO_WORKER != 0 || ring::may_end_a_request(task);
    Releaser {
        tgid: if is_process {
            bpf_get_current_pid_tgid() >> 32
        } else {
            0
        },
        // A kernel thread may have the address space of the process that it works for.
        mm: member(task, layout!(task_mm)).unwrap_or(0),
        object,
        doubt: if may_end_one { Fit::OF_OBJECTS } else { 0 },
    }
}
