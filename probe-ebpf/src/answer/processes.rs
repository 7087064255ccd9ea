//! How processes are: whether they run, what they are called, what they are charged for.
//! Read out of the kernel, because `/proc` may be hidden from the agent, or be another
//! namespace's.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::bpf_get_current_task,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{ABSENT, PROCESSES_AT_ONCE, Process};

use crate::{
    kernel::{
        layout::layout,
        read::{member, read_kernel},
    },
    verifier::repeat::{needs, repeat_here},
};

/// Questions and answers; the agent maps them.
#[map]
static PROCESSES: Array<Process> =
    Array::with_max_entries(PROCESSES_AT_ONCE as u32, BPF_F_MMAPABLE);

/// Namespaces of process ids inside one another: `MAX_PID_NS_LEVEL`,
/// include/linux/pid_namespace.h.
const DEEPEST: u32 = 32;

/// Levels of a tree that has every process id.
const TREE_LEVELS: u32 = 6;

/// `exit_state` of a task that nobody has waited for yet, include/linux/sched.h.
const ZOMBIE: u32 = 0x20;

/// `SIGNAL_GROUP_EXIT`, include/linux/sched/signal.h.
const GROUP_EXIT: u32 = 4;

/// The first argument is how many are asked for.
#[raw_tracepoint(tracepoint = "sys_enter")]
fn look_up(ctx: RawTracePointContext) -> i32 {
    let n: u64 = ctx.arg(0);
    repeat_here(
        n.min(PROCESSES_AT_ONCE as u64) as u32,
        find_process,
        core::ptr::null_mut(),
    );
    0
}

#[cfg_attr(feature = "baseline", unsafe(no_mangle), inline(never))]
extern "C" fn find_process(index: u64, _nothing: *mut core::ffi::c_void) -> i64 {
    needs(index);
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
    // SAFETY: the helper has no precondition.
    let this = unsafe { bpf_get_current_task() };
    let own: u64 = member(this, layout!(task_pid))?;
    let pid = pid_of(own, fact.tgid)?;
    if pid == 0 {
        return Some(Process::ENDED);
    }
    let first: u64 = member(pid, layout!(pid_tasks))?;
    let link = layout!(task_link);
    if link == ABSENT {
        return None;
    }
    if first == 0 {
        return Some(Process::ENDED);
    }
    let leader = first - u64::from(link);
    // The id came again.
    if member::<u64>(leader, layout!(task_start))? != fact.start_ns {
        return Some(Process::ENDED);
    }
    let exit_state: u32 = member(leader, layout!(task_exit_state))?;
    let signal: u64 = member(leader, layout!(task_signal))?;
    let threads: u32 = member(signal, layout!(signal_live))?;
    fact.comm = member(leader, layout!(task_comm))?;
    describe(fact, leader, signal, pid, own);
    // A first thread that has ended waits for the others.
    if threads == 0 || exit_state & !ZOMBIE != 0 {
        return Some(Process::ENDED);
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
    if mm != 0 {
        fact.pinned_vm = member(mm, layout!(mm_pinned)).unwrap_or(0);
        fact.locked_vm = member(mm, layout!(mm_locked)).unwrap_or(0);
    }
    fact.user_level = user_level(leader).unwrap_or(0);
    fact.pid_here = pid_here(pid, own).unwrap_or(0);
}

#[inline(always)]
fn user_level(task: u64) -> Option<u32> {
    let cred: u64 = member(task, layout!(task_cred))?;
    let namespace: u64 = member(cred, layout!(cred_user_ns))?;
    member(namespace, layout!(user_ns_level))
}

/// The id of a process in the namespace that `own` is of.
#[inline(always)]
fn pid_here(pid: u64, own: u64) -> Option<u32> {
    let level: u32 = member(own, layout!(pid_level))?;
    let here: u64 = number_at(own, level, layout!(upid_ns))?;
    let there: u64 = number_at(pid, level, layout!(upid_ns))?;
    if here != there {
        return None;
    }
    number_at(pid, level, layout!(upid_nr))
}

/// A member of what a `struct pid` is at a level.
#[inline(always)]
fn number_at<T: Copy>(pid: u64, level: u32, offset: u32) -> Option<T> {
    let numbers = layout!(pid_numbers);
    if numbers == ABSENT || offset == ABSENT || level > DEEPEST {
        return None;
    }
    let at = u64::from(level) * u64::from(layout!(upid_size));
    read_kernel(pid + u64::from(numbers) + at + u64::from(offset))
}

/// The `struct pid` of an id in the initial namespace, which is found from that of `own`; 0
/// where there is none.
#[inline(always)]
fn pid_of(own: u64, id: u32) -> Option<u64> {
    let level: u32 = member(own, layout!(pid_level))?;
    let mut namespace: u64 = number_at(own, level, layout!(upid_ns))?;
    for _ in 0..DEEPEST {
        let parent: u64 = member(namespace, layout!(ns_parent))?;
        if parent == 0 {
            break;
        }
        namespace = parent;
    }
    in_tree(member(namespace, layout!(ns_idr))?, id)
}

/// What the tree below `entry` has for an id, include/linux/xarray.h.
#[inline(always)]
fn in_tree(mut entry: u64, id: u32) -> Option<u64> {
    let mask = (1 << (layout!(xa_bits) & 31)) - 1;
    for level in 0..TREE_LEVELS {
        if !is_node(entry) {
            break;
        }
        let node = entry - NODE;
        let shift: u8 = member(node, layout!(xa_shift))?;
        let slots = layout!(xa_slots);
        if slots == ABSENT {
            return None;
        }
        let index = id >> (shift & 31);
        // What the topmost node has no slot for is not in the tree.
        if level == 0 && index > mask {
            return Some(0);
        }
        entry = read_kernel(node + u64::from(slots) + u64::from(index & mask) * 8)?;
    }
    Some(if is_node(entry) { 0 } else { entry })
}

/// What an entry has besides that is another node.
const NODE: u64 = 2;

#[inline(always)]
fn is_node(entry: u64) -> bool {
    entry & 3 == NODE && entry > 4096
}
