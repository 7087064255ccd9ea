//! The current task, for kernels that give its address only.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_task},
};

use crate::kernel::{
    layout::layout,
    read::{member, read_kernel},
};

/// Who is running.
pub(crate) struct Current {
    /// Address of the `task_struct`.
    pub(crate) task: u64,
    /// When it began.
    pub(crate) start_ns: u64,
    /// Its address space.
    pub(crate) mm: u64,
    /// Its (real) user, as the initial user namespace has it.
    pub(crate) uid: u32,
    /// Id of its cgroup in the unified hierarchy.
    pub(crate) cgroup: u64,
}

/// The running task; here it is looked up at each question.
#[derive(Clone, Copy)]
pub(crate) struct Me;

#[inline(always)]
pub(crate) fn me() -> Me {
    Me
}

impl Me {
    /// The thread's id.
    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        tid()
    }
}

#[inline(always)]
pub(crate) fn current(_: Me) -> Current {
    // SAFETY: the helper has no precondition.
    let task = unsafe { bpf_get_current_task() };
    let start_ns = read_kernel(task + u64::from(layout!(task_start)));
    let mm = read_kernel(task + u64::from(layout!(task_mm)));
    Current {
        task,
        start_ns: start_ns.unwrap_or(0),
        mm: mm.unwrap_or(0),
        uid: bpf_get_current_uid_gid() as u32,
        // SAFETY: as above.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
    }
}

/// The thread's id.
#[inline(always)]
pub(crate) fn tid() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// When the first thread of the current process began; 0 where that cannot be read.
#[inline(always)]
pub(crate) fn start_of_process() -> u64 {
    // SAFETY: as above.
    let task = unsafe { bpf_get_current_task() };
    let leader: Option<u64> = member(task, layout!(task_leader));
    let start = leader.and_then(|it| member(it, layout!(task_start)));
    start.unwrap_or(0)
}

/// This kernel does not give them.
#[inline(always)]
pub(crate) fn registers() -> u64 {
    0
}
