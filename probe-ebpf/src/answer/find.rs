//! Finding a process by its id, in the kernel's own tree of ids.

use aya_ebpf::helpers::generated::bpf_get_current_task;
use probe_abi::ABSENT;

use crate::kernel::{
    layout::layout,
    read::{member, read_kernel},
};

/// Namespaces of process ids inside one another: `MAX_PID_NS_LEVEL`,
/// include/linux/pid_namespace.h.
const DEEPEST: u32 = 32;

/// Levels of a tree that has every process id.
const TREE_LEVELS: u32 = 6;

/// The `struct pid` of the current task.
#[inline(always)]
pub(super) fn own_pid() -> Option<u64> {
    // SAFETY: the helper has no precondition.
    let this = unsafe { bpf_get_current_task() };
    member(this, layout!(task_pid))
}

/// The first thread of a `struct pid`'s process; 0 where it has none any more.
#[inline(always)]
pub(super) fn leader_of(pid: u64) -> Option<u64> {
    let link = layout!(task_link);
    let first: u64 = member(pid, layout!(pid_tasks))?;
    match (first, link) {
        (_, ABSENT) => None,
        (0, _) => Some(0),
        _ => Some(first - u64::from(link)),
    }
}

/// The id of a process in the namespace that `own` is of.
#[inline(always)]
pub(super) fn pid_here(pid: u64, own: u64) -> Option<u32> {
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
pub(super) fn pid_of(own: u64, id: u32) -> Option<u64> {
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
