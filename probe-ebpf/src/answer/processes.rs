//! How processes are: whether they run, what they are called, what they are charged for.
//! Read out of the kernel, because `/proc` may be hidden from the agent, or be another
//! namespace's.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{PROCESSES_AT_ONCE, Process};

use super::find::{leader_of, own_pid, pid_here, pid_of};
use crate::{
    kernel::{layout::layout, read::member},
    verifier::repeat::each,
};

/// Questions and answers; the agent maps them.
#[map]
static PROCESSES: Array<Process> =
    Array::with_max_entries(PROCESSES_AT_ONCE as u32, BPF_F_MMAPABLE);

/// `exit_state` of a task that nobody has waited for yet, include/linux/sched.h.
const ZOMBIE: u32 = 0x20;

/// `SIGNAL_GROUP_EXIT`, include/linux/sched/signal.h.
const GROUP_EXIT: u32 = 4;

/// The first argument is how many are asked for.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn look_up(ctx: RawTracePointContext) -> i32 {
    let n: u64 = ctx.arg(0);
    each(n.min(PROCESSES_AT_ONCE as u64) as u32, find_process);
    0
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn find_process(index: u64) -> i64 {
    let Some(fact) = PROCESSES.get_ptr_mut(index as u32) else {
        return 1;
    };
    // SAFETY: a map value, aligned and alive; the agent waits for this run to end.
    let fact = unsafe { &mut *fact };
    fact.state = state(fact).unwrap_or(Process::UNKNOWN);
    0
}

/// `None` where this kernel does not show it.
#[inline(always)]
fn state(fact: &mut Process) -> Option<u32> {
    let own = own_pid()?;
    let pid = pid_of(own, fact.tgid)?;
    if pid == 0 {
        return Some(Process::ENDED);
    }
    let leader = leader_of(pid)?;
    if leader == 0 {
        return Some(Process::ENDED);
    }
    let start = member::<u64>(leader, layout!(task_start))?;
    match fact.start_ns {
        0 => fact.start_ns = start,
        // The id came again.
        other if other != start => return Some(Process::ENDED),
        _ => {}
    }
    let exit_state: u32 = member(leader, layout!(task_exit_state))?;
    let signal: u64 = member(leader, layout!(task_signal))?;
    let threads: u32 = member(signal, layout!(signal_live))?;
    fact.comm = member(leader, layout!(task_comm))?;
    describe(fact, leader, signal, pid, own);
    let left: u32 = member(signal, layout!(signal_threads)).unwrap_or(1);
    // A first thread that has ended waits for the others. The last to go counts as gone before
    // it lets go of what the process has, and may wait at that.
    let is_last_on_its_way = exit_state == 0 || left > 1;
    if exit_state & !ZOMBIE != 0 || threads == 0 && !is_last_on_its_way {
        return Some(Process::ENDED);
    }
    if threads == 0 {
        return Some(Process::EXITING);
    }
    let told: u32 = member(signal, layout!(signal_flags)).unwrap_or(0);
    Some(if told & GROUP_EXIT != 0 {
        Process::EXITING
    } else {
        Process::LIVES
    })
}

/// What it is charged for, and may be; as far as the kernel shows it.
#[inline(always)]
fn describe(fact: &mut Process, leader: u64, signal: u64, pid: u64, own: u64) {
    fact.memlock = member(signal, layout!(signal_memlock)).unwrap_or(u64::MAX);
    // Gone with the first thread, if that has ended.
    let mm: u64 = member(leader, layout!(task_mm)).unwrap_or(0);
    fact.mm = mm;
    if mm != 0 {
        fact.pinned_vm = member(mm, layout!(mm_pinned)).unwrap_or(0);
        fact.locked_vm = member(mm, layout!(mm_locked)).unwrap_or(0);
    }
    let cred: u64 = member(leader, layout!(task_cred)).unwrap_or(0);
    fact.uid = member(cred, layout!(cred_uid)).unwrap_or(0);
    let namespace: u64 = member(cred, layout!(cred_user_ns)).unwrap_or(0);
    fact.user_level = member(namespace, layout!(user_ns_level)).unwrap_or(0);
    fact.user_ns_owner = member(namespace, layout!(user_ns_owner)).unwrap_or(0);
    fact.user_locked_vm = locked(cred).unwrap_or(u64::MAX);
    fact.pid_here = pid_here(pid, own).unwrap_or(0);
}

/// What the user is charged for, whichever process of it took it.
#[inline(always)]
fn locked(cred: u64) -> Option<u64> {
    let user: u64 = member(cred, layout!(cred_user))?;
    member(user, layout!(user_locked))
}
