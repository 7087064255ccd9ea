//! On whose behalf references are released.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_task};
use ledger::{Fit, Releaser};

use crate::{
    book::settings,
    kernel::{
        arch::{Arch, This},
        interrupt::in_interrupt,
        layout::layout,
        read::member,
        ring, task,
    },
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
    Releaser {
        tgid: if is_process {
            bpf_get_current_pid_tgid() >> 32
        } else {
            0
        },
        // A kernel thread may have the address space of the process that it works for.
        mm: member(task, layout!(task_mm)).unwrap_or(0),
        object,
        doubt: if is_process && flags & IO_WORKER == 0 {
            doubt_of(task)
        } else {
            Fit::OF_OTHERS | Fit::OF_OBJECTS
        },
    }
}

/// Whose pins a process may release beside its own, see [`Releaser::doubt`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn doubt_of(task: u64) -> u64 {
    match This::system_call(task, task::registers()) {
        // What such a call releases it has pinned itself.
        Some((number, ..)) if This::PROCESS_VM.contains(&number) => 0,
        // Whoever reaps a polled ring, and otherwise who has sent requests, ends a request: what was
        // unregistered while that used it is released then.
        Some((ring::ENTER, ..)) => Fit::OF_OTHERS | Fit::OF_OBJECTS,
        _ if ring::has_sent_requests(task) => Fit::OF_OTHERS | Fit::OF_OBJECTS,
        _ => Fit::OF_OTHERS,
    }
}
