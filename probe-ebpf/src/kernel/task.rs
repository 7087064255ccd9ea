//! The current task, as a typed pointer (Linux 5.11).

use aya_ebpf::helpers::{
    bpf_get_current_uid_gid,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_task_btf},
};
use probe_abi::ABSENT;

use crate::kernel::{
    layout::{at, layout},
    typed::Typed,
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

/// The running task itself, for what a call asks of it more than once.
#[derive(Clone, Copy)]
pub(crate) struct Me(Typed);

#[inline(always)]
pub(crate) fn me() -> Me {
    // SAFETY: the helper has no precondition, and what it returns is never null.
    Me(unsafe { Typed::known(bpf_get_current_task_btf().cast()) })
}

impl Me {
    /// The thread's id.
    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        self.0.read(at!(task_tid))
    }
}

#[inline(always)]
pub(crate) fn current(Me(task): Me) -> Current {
    let uid = if layout!(task_cred) == ABSENT || layout!(cred_uid) == ABSENT {
        bpf_get_current_uid_gid() as u32
    } else {
        // What the helper reads as well, but for a hundred instructions.
        task.follow_some(at!(task_cred))
            .map_or(0, |cred| cred.read(at!(cred_uid)))
    };
    Current {
        task: task.address(),
        start_ns: task.read(at!(task_start)),
        mm: task.follow(at!(task_mm)).address(),
        uid,
        cgroup: if layout!(task_cgroups) == ABSENT {
            // SAFETY: the helper has no precondition.
            unsafe { bpf_get_current_cgroup_id() }
        } else {
            cgroup_of(task).unwrap_or(0)
        },
    }
}

/// What the helper reads as well, under a lock that programs have anyway.
#[inline(always)]
fn cgroup_of(task: Typed) -> Option<u64> {
    let node = task
        .follow_some(at!(task_cgroups))?
        .follow_some(at!(css_set_default))?
        .follow_some(at!(cgroup_kn))?;
    Some(node.read(at!(kn_id)))
}

/// The thread's id.
#[inline(always)]
pub(crate) fn tid() -> u32 {
    me().tid()
}

/// When the first thread of the current process began; 0 where that cannot be read.
#[inline(always)]
pub(crate) fn start_of_process() -> u64 {
    if layout!(task_leader) == ABSENT || layout!(task_start) == ABSENT {
        return 0;
    }
    let Me(task) = me();
    task.follow_some(at!(task_leader))
        .map_or(0, |it| it.read(at!(task_start)))
}

/// Address of the registers that the current system call was entered with; 0 where they
/// cannot be had.
#[inline(always)]
pub(crate) fn registers() -> u64 {
    // SAFETY: the helpers take what the other returned (Linux 5.15).
    let registers = unsafe {
        let task = bpf_get_current_task_btf();
        aya_ebpf::helpers::generated::bpf_task_pt_regs(task)
    };
    // SAFETY: a typed pointer, never null.
    unsafe { Typed::known(registers as *const u8) }.address()
}
