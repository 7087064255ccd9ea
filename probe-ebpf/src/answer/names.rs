//! What a pointer stands for: which file, which cgroup.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str},
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use probe_abi::{ABSENT, Answer, NAME_BYTES, PATH_DEPTH, Query};

use super::find::{leader_of, own_pid, pid_of};
use crate::{
    book::settings,
    kernel::{layout::layout, read::member},
    verifier::repeat::repeat_here,
};

#[map]
static ANSWER: Array<Answer> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Tag bits of `memcg_data`: what it points to, and whose it is.
const MEMCG_TAGS: u64 = 7;

#[raw_tracepoint(tracepoint = "sys_enter")]
fn resolve(ctx: RawTracePointContext) -> i32 {
    let Some(answer) = ANSWER.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a map value; the agent asks one question at a time.
    let answer = unsafe { &mut *answer };
    answer.known = 0;
    let (query, first, second): (u64, u64, u64) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let known = match query {
        Query::FILE => file(first, second, answer),
        Query::MEMCG => memcg(first, answer),
        _ => cgroup_of(first as u32, second, answer),
    };
    answer.known = u64::from(known.is_some());
    0
}

/// The file that `mapping` caches, if the folio of `key` is still in it: a
/// mapping that a page is in does not go away while a reader holds the RCU lock.
#[inline(always)]
fn file(key: u64, mapping: u64, answer: &mut Answer) -> Option<()> {
    let page = settings::page_of(key);
    if page == 0 || member::<u64>(page, layout!(mapping))? != mapping {
        return None;
    }
    let inode: u64 = member(mapping, layout!(mapping_host))?;
    answer.inode = member(inode, layout!(inode_ino))?;
    let volume: u64 = member(inode, layout!(inode_sb))?;
    answer.device = member(volume, layout!(sb_dev))?;
    let kind: u64 = member(volume, layout!(sb_type))?;
    let name: u64 = member(kind, layout!(fs_name))?;
    let id = volume + u64::from(layout!(sb_id));
    // SAFETY: the buffers are as long as said; a failure leaves them zero.
    unsafe {
        bpf_probe_read_kernel_str(
            answer.file_system.as_mut_ptr().cast(),
            16,
            name as *const c_void,
        );
        bpf_probe_read_kernel(answer.volume.as_mut_ptr().cast(), 32, id as *const c_void);
    }
    answer.depth = 0;
    let alias: u64 = member(inode, layout!(inode_dentry))?;
    if alias == 0 || layout!(dentry_alias) == ABSENT {
        // A file without a name.
        return Some(());
    }
    follow(
        alias - u64::from(layout!(dentry_alias)),
        [layout!(dentry_name), layout!(dentry_parent)],
        answer,
    );
    Some(())
}

/// Keeps the names on the way from an entry of a tree to its root, which is its own parent
/// or has none.
#[inline(always)]
fn follow(entry: u64, [name, parent]: [u32; 2], answer: &mut Answer) {
    let mut trail = Trail {
        entry,
        name,
        parent,
        depth: 0,
    };
    repeat_here(PATH_DEPTH as u32, up, (&raw mut trail).cast());
    answer.depth = trail.depth as u32;
}

#[repr(C)]
struct Trail {
    entry: u64,
    depth: u64,
    /// Where an entry has the address of its name, and of its parent.
    name: u32,
    parent: u32,
}

/// Keeps one name, and goes to its parent.
extern "C" fn up(at: u64, trail: *mut c_void) -> i64 {
    // SAFETY: the pointer that `follow` passed.
    let trail = unsafe { &mut *trail.cast::<Trail>() };
    let Some(answer) = ANSWER.get_ptr_mut(0) else {
        return 1;
    };
    // One after the other: the verifier takes no look at what was not read.
    let Some(name) = member::<u64>(trail.entry, trail.name) else {
        return 1;
    };
    let Some(parent) = member::<u64>(trail.entry, trail.parent) else {
        return 1;
    };
    // SAFETY: masked to be inside the array; the cell is as long as said.
    unsafe {
        let cell = (&raw mut (*answer).names)
            .cast::<[u8; NAME_BYTES]>()
            .add(at as usize & (PATH_DEPTH - 1));
        bpf_probe_read_kernel_str(cell.cast(), NAME_BYTES as u32, name as *const c_void);
    }
    trail.depth += 1;
    if parent == trail.entry || parent == 0 {
        return 1;
    }
    trail.entry = parent;
    0
}

/// The cgroup of a `memcg_data`, which is a memory cgroup or an `obj_cgroup` that
/// knows one, by kernel and page. A cgroup points to itself: that tells which.
#[inline(always)]
fn memcg(data: u64, answer: &mut Answer) -> Option<()> {
    let pointer = data & !MEMCG_TAGS;
    let cgroup = match cgroup_at(pointer) {
        Some(cgroup) => cgroup,
        None => cgroup_at(member(pointer, layout!(objcg_memcg))?)?,
    };
    name_cgroup(cgroup, answer)
}

#[inline(always)]
fn cgroup_at(memcg: u64) -> Option<u64> {
    let cgroup: u64 = member(memcg, layout!(memcg_cgroup))?;
    (member::<u64>(cgroup, layout!(cgroup_self))? == cgroup).then_some(cgroup)
}

/// The cgroup that a process is in.
#[inline(always)]
fn cgroup_of(tgid: u32, start_ns: u64, answer: &mut Answer) -> Option<()> {
    let pid = pid_of(own_pid()?, tgid)?;
    if pid == 0 {
        return None;
    }
    let leader = leader_of(pid)?;
    if leader == 0 || member::<u64>(leader, layout!(task_start))? != start_ns {
        return None;
    }
    let set: u64 = member(leader, layout!(task_cgroups))?;
    let unified: u64 = member(set, layout!(css_set_default))?;
    let node: u64 = member(unified, layout!(cgroup_kn))?;
    let id = member(node, layout!(kn_id))?;
    let mut cgroup = unified;
    // Where it is used for nothing, all are in its root.
    if member(node, layout!(kn_parent)) == Some(0_u64) {
        cgroup = legacy(set, layout!(css_set_memory))
            .or_else(|| legacy(set, layout!(css_set_pids)))
            .unwrap_or(unified);
    }
    name_cgroup(cgroup, answer)?;
    answer.unified = id;
    Some(())
}

/// The cgroup that these processes have for a controller, if it is of a hierarchy of version 1.
#[inline(always)]
fn legacy(set: u64, controller: u32) -> Option<u64> {
    let state: u64 = member(set, controller)?;
    let cgroup: u64 = member(state, layout!(css_cgroup))?;
    (hierarchy_of(cgroup)? != 0).then_some(cgroup)
}

/// The number of a cgroup's hierarchy: 0 is the unified one.
#[inline(always)]
fn hierarchy_of(cgroup: u64) -> Option<u32> {
    let root: u64 = member(cgroup, layout!(cgroup_root))?;
    member(root, layout!(root_hierarchy))
}

/// Id and path of a cgroup: of its directory, which is there as long as the cgroup is,
/// also when it has been removed.
#[inline(always)]
fn name_cgroup(cgroup: u64, answer: &mut Answer) -> Option<()> {
    let node: u64 = member(cgroup, layout!(cgroup_kn))?;
    answer.cgroup = member(node, layout!(kn_id))?;
    answer.hierarchy = hierarchy_of(cgroup).map_or(u64::MAX, u64::from);
    answer.depth = 0;
    let offsets = [layout!(kn_name), layout!(kn_parent)];
    if offsets[0] != ABSENT && offsets[1] != ABSENT {
        follow(node, offsets, answer);
    }
    Some(())
}
